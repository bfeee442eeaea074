from pathlib import Path

import pytest
import yaml

from tests.tune_jobs.cluster.checks.test_static import run
from trainables.errors import InputError
from tune_jobs.cluster.config import read_config

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("home")


def refused(capsys, file, *words):
    assert run("check", file, "--offline") == 2
    printed = capsys.readouterr().err
    assert printed.count("error: ") == 1
    for word in words:
        assert word in printed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ["cannot be read", "check the path"]),
        (b"a: [", ["is not valid YAML"]),
        (b"\xff\xfe\xfa", ["is not valid YAML"]),
        (b"- a", ["['a'] must be a mapping"]),
    ],
)
def test_what_is_no_configuration_is_one_message(text, words, tmp_path, capsys):
    file = tmp_path / "bad.yaml"
    if text is not None:
        file.write_bytes(text)
    refused(capsys, file, *words)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("max_worker", 3, ["max_worker", "rejected by Ray", "see cluster.yaml for an example"]),
        ("provider.type", "nowhere", ["nowhere", "rejected by Ray", "cluster.yaml for an example"]),
        ("head_node_type", "other", ["head_node_type", "rejected by Ray"]),
        ("cluster_name", 3, ["cluster_name: 3 must be a string"]),
        ("provider", None, ["provider: None must be a mapping", "see cluster.yaml for an example"]),
        ("provider", "aws", ["provider: 'aws' must be a mapping"]),
        ("provider", ..., ["'provider' is missing"]),
        ("provider.region", ..., ["provider: 'region' is missing"]),
        ("provider.region", "", ["provider.region: ''", "see cluster.yaml for an example"]),
        ("provider.security_group", None, ["provider.security_group: None must be a mapping"]),
        ("setup_commands", None, ["setup_commands: None must be a list", "remove the key"]),
        ("setup_commands", [{"a": 1}], ["setup_commands.0: {'a': 1} must be a string"]),
        ("file_mounts", None, ["file_mounts: None must be a mapping"]),
        ("file_mounts", ["a"], ["file_mounts: ['a'] must be a mapping"]),
        ("file_mounts", {"~/a": None}, ["file_mounts.~/a: None must be a string"]),
        ("file_mounts", {1: "a"}, ["file_mounts: 1 must be a string"]),
        ("available_node_types", ["gpu"], ["available_node_types: ['gpu'] must be a mapping"]),
        ("available_node_types", {}, ["available_node_types: must not be empty"]),
        ("available_node_types", ..., ["'available_node_types' is missing"]),
        ("available_node_types.gpu", None, ["gpu: None must be a mapping"]),
        ("available_node_types.gpu.node_config", None, ["node_config: None must be a mapping"]),
        ("head_node_type", ..., ["'head_node_type' is missing"]),
        ("docker", None, ["docker: None must be a mapping"]),
        ("docker", {"image": "ray"}, ["rejected by Ray", "container"]),
        ("idle_timeout_minutes", "5", ["idle_timeout_minutes: '5' must be a number"]),
        ("metadata.dollars_per_hour", None, ["dollars_per_hour: None must be a mapping"]),
        ("metadata.dollars_per_hour", "x", ["dollars_per_hour: 'x' must be a mapping"]),
        ("metadata.dollars_per_hour", [1], ["dollars_per_hour: [1] must be a mapping"]),
        ("metadata.dollars_per_hour.gpu", "1 $", ["dollars_per_hour.gpu: '1 $' must be a number"]),
    ],
)
def test_a_key_that_cannot_be_read_is_one_message(place, value, words, config, tmp_path, capsys):
    *above, key = place.split(".")
    section = config
    for each in above:
        section = section[each]
    if value is ...:
        del section[key]
    else:
        section[key] = value
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(config))
    refused(capsys, file, *words)


def test_a_manifest_is_for_kubectl(tmp_path, capsys):
    kuberay = ["--provider", "kuberay", "--image", "registry/bakeoff:1", "--entrypoint", "job"]
    assert run("render", *kuberay) == 0
    file = tmp_path / "rayjob.yaml"
    file.write_text(capsys.readouterr().out)
    refused(capsys, file, "RayJob", f"kubectl apply -f {file}")


def test_a_bad_file_is_refused_by_read_config(tmp_path):
    with pytest.raises(InputError):
        read_config(tmp_path / "none.yaml")


def test_every_package_is_copied_to_the_nodes():
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))
    assert set(config["file_mounts"].values()) >= {"bakeoff", "trainables", "tune_jobs"}
