import copy
import json
import os
import subprocess
import sys

import jsonschema
import kubernetes_validate
import pytest
import yaml
from moto import mock_aws
from ray.autoscaler._private.gcp import config as google
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.tune_jobs.cluster.checks.test_static import node, run
from tune_jobs.cluster import config as configs
from tune_jobs.cluster.checks import static
from tune_jobs.cluster.checks.gcp import gcp_node_config
from tune_jobs.cluster.config import CLUSTER_FILE, ROOT, pinned, read_config
from tune_jobs.ray_runtime import capacity
from tune_jobs.ray_runtime.capacity import AUTOSCALER_VARIABLE, TrialResources


def rendered(capsys, *words):
    assert run("render", *words) == 0
    text = capsys.readouterr().out
    return text, yaml.safe_load(text)


@pytest.fixture(autouse=True)
def checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_aws_is_the_file_itself(capsys):
    assert rendered(capsys, "--provider", "aws")[0] == CLUSTER_FILE.read_text()


@mock_aws
def test_aws_is_written_with_the_image_of_today(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    given = node(read_config(CLUSTER_FILE))["ImageId"]
    assert run("render", "--provider", "aws", "--pin") == 2
    assert given.removeprefix("resolve:ssm:") in capsys.readouterr().err  # which moto does not have
    known = "resolve:ssm:/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2"
    file = tmp_path / "cluster.yaml"
    file.write_text(CLUSTER_FILE.read_text().replace(given, known))
    monkeypatch.setattr(configs, "CLUSTER_FILE", file)
    text, made = rendered(capsys, "--provider", "aws", "--pin")
    images = {kind["node_config"]["ImageId"] for kind in made["available_node_types"].values()}
    (image,) = images
    assert image.startswith("ami-")
    assert text == file.read_text().replace(known, image)


VARIANTS = {
    "gcp": ["--provider", "gcp", "--project", "my-project"],
    "local": ["--provider", "local", "--head", "10.0.0.1", "--workers", "10.0.0.2", "10.0.0.3",
              "--user", "me", "--key", "~/.ssh/id"],
}  # fmt: skip


@pytest.mark.parametrize("words", VARIANTS.values(), ids=VARIANTS.keys())
def test_ray_takes_the_variants(words, capsys, tmp_path):
    text, made = rendered(capsys, *words)
    validate_config(prepare_config(copy.deepcopy(made) | {"file_mounts": {}}))
    setup = [command.replace("[cluster,gcp]", "[cluster]") for command in made["setup_commands"]]
    assert setup == read_config(CLUSTER_FILE)["setup_commands"]
    assert "cluster.yaml" in text.splitlines()[0]
    file = tmp_path / "made.yaml"
    file.write_text(text)
    assert not [f for f in static.static_findings(read_config(file)) if "auth_token" not in f
                and "ssh_private_key" not in f]  # fmt: skip


def test_every_shell_of_a_node_shows_the_token(tmp_path):
    (command,) = [c for c in read_config(CLUSTER_FILE)["setup_commands"] if "RAY_AUTH_MODE" in c]
    script = f"touch ~/.bashrc; {command}; {command}; . ~/.bashrc; echo $RAY_AUTH_MODE"
    shell = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(["bash", "-c", script], env=shell, capture_output=True, text=True)
    assert done.stdout == "token\n"
    assert (tmp_path / ".bashrc").read_text().count("RAY_AUTH_MODE") == 1


def test_machines_of_ones_own_are_not_shut_down(capsys):
    text, made = rendered(capsys, *VARIANTS["local"])
    assert "shutdown" not in text
    assert made["provider"]["worker_ips"] == ["10.0.0.2", "10.0.0.3"]
    assert made["auth"] == {"ssh_user": "me", "ssh_private_key": "~/.ssh/id"}


def test_google_deletes_machines_whatever_ends_them(capsys):
    text, made = rendered(capsys, *VARIANTS["gcp"])
    for name, kind in made["available_node_types"].items():
        scheduling = kind["node_config"]["scheduling"]
        assert (scheduling.get("provisioningModel") == "SPOT") == (name != "head")
        assert scheduling["instanceTerminationAction"] == "DELETE"
        assert scheduling["maxRunDuration"] == {"seconds": str(25 * 3600)}
    assert "shutdown" not in text  # after which Google keeps the node, and bills its disk
    for which in ("head", "worker"):
        commands = "".join(made[f"{which}_start_ray_commands"])
        assert "gcloud compute instances delete $(hostname) --zone=us-central1-a" in commands


def test_googles_machines_have_what_ray_and_storage_need(capsys):
    _, made = rendered(capsys, *VARIANTS["gcp"])
    assert "bakeoff[cluster,gcp]" in "".join(made["setup_commands"])
    account = google.SERVICE_ACCOUNT_EMAIL_TEMPLATE.format(
        account_id=google.DEFAULT_SERVICE_ACCOUNT_ID, project_id="my-project"
    )
    for name in ("gpu", "cpu"):
        (given,) = node(made, name)["serviceAccounts"]
        assert given["email"] == account


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda n: n.update(machneType="g2"), ["gpu.node_config is not", "machneType"]),
        (lambda n: n["scheduling"].update(provisioninModel="SPOT"),
         ["node_config.scheduling is not", "provisioninModel"]),
        (lambda n: n["scheduling"].update(provisioningModel="SPOOT"), ["SPOOT", "STANDARD"]),
        (lambda n: n["scheduling"].update(automaticRestart="no"), ["'no' is not", "boolean"]),
        (lambda n: n["disks"][0].update(initializeParams="120"), ["disks.0.initializeParams"]),
    ],
)  # fmt: skip
def test_what_google_would_refuse_is_found(change, words, capsys):
    _, made = rendered(capsys, *VARIANTS["gcp"])
    change(node(made))
    (finding,) = gcp_node_config(made)
    for word in words:
        assert word in finding


def test_google_without_its_client_is_found(capsys, monkeypatch):
    _, made = rendered(capsys, *VARIANTS["gcp"])
    monkeypatch.setitem(sys.modules, "googleapiclient.discovery_cache", None)
    (finding,) = gcp_node_config(made)
    assert "[cluster,gcp]" in finding


KUBERAY = ["--provider", "kuberay", "--image", "registry/bakeoff:1",
           "--entrypoint", "python tune_jobs/lr_grid.py"]  # fmt: skip
TEMPLATE = {"type": "object"}  # pods are validated apart
START = {"type": "object", "additionalProperties": {"type": "string"}}
NUMBER, YES_OR_NO, TEXT = {"type": "integer"}, {"type": "boolean"}, {"type": "string"}


def fields(**known):
    return {"type": "object", "additionalProperties": False, "properties": known}


# Names and types of the fields of RayJob and RayCluster, ray.io/v1, that we may use.
RAY_JOB = fields(
    apiVersion={"const": "ray.io/v1"}, kind={"const": "RayJob"}, metadata={"type": "object"},
    spec=fields(
        entrypoint=TEXT, runtimeEnvYAML=TEXT, shutdownAfterJobFinishes=YES_OR_NO,
        ttlSecondsAfterFinished=NUMBER, activeDeadlineSeconds=NUMBER, backoffLimit=NUMBER,
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode"]},
        rayClusterSpec=fields(
            rayVersion=TEXT, enableInTreeAutoscaling=YES_OR_NO,
            authOptions=fields(mode={"enum": ["disabled", "token"]}, secretName=TEXT),
            autoscalerOptions=fields(
                idleTimeoutSeconds=NUMBER,
                upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
            ),
            headGroupSpec=fields(rayStartParams=START, template=TEMPLATE),
            workerGroupSpecs={"type": "array", "items": fields(
                groupName=TEXT, replicas=NUMBER, minReplicas=NUMBER, maxReplicas=NUMBER,
                rayStartParams=START, template=TEMPLATE,
            )},
        ),
    ),
)  # fmt: skip


def test_kubernetes_gets_a_rayjob_whose_pods_are_valid(capsys):
    _, made = rendered(capsys, *KUBERAY)
    jsonschema.validate(made, RAY_JOB)
    spec = made["spec"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["entrypoint"] == "python tune_jobs/lr_grid.py"
    cluster = spec["rayClusterSpec"]
    assert cluster["rayVersion"] == pinned("ray")
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    groups = {group["groupName"]: group for group in cluster["workerGroupSpecs"]}
    assert {group["minReplicas"] for group in groups.values()} == {0}
    for template in (
        cluster["headGroupSpec"]["template"],
        *(g["template"] for g in groups.values()),
    ):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, **template}
        kubernetes_validate.validate(pod, "1.31", strict=True)
    limits = groups["gpu"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == 1


def test_the_driver_on_kubernetes_knows_what_may_be_started(capsys, monkeypatch):
    _, made = rendered(capsys, *KUBERAY)
    head = made["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    environment = {each["name"]: each["value"] for each in head["env"]}
    monkeypatch.setenv(AUTOSCALER_VARIABLE, environment[AUTOSCALER_VARIABLE])
    assert json.loads(environment[AUTOSCALER_VARIABLE])["max_workers"] == 8
    context = type("Context", (), {"gcs_address": "10.0.0.1:6379"})
    monkeypatch.setattr(capacity.ray, "get_runtime_context", context)
    monkeypatch.setattr(capacity.ray.util, "get_node_ip_address", lambda: "10.0.0.1")
    types, most = capacity.node_types()
    assert most == 8
    assert [kind.slots(TrialResources(1, 0.25)) for kind in types] == [4, 0]


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (["--provider", "gcp"], "--project"),
        (["--provider", "local"], "--head"),
        (["--provider", "local", "--head", "10.0.0.1"], "--workers"),
        (["--provider", "kuberay"], "--image"),
        (["--provider", "kuberay", "--image", "registry/bakeoff:1"], "--entrypoint"),
    ],
)
def test_what_a_provider_needs_is_named(words, missing, capsys):
    assert run("render", *words) == 2
    assert missing in capsys.readouterr().err
