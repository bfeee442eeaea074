"""A module is imported where a person named it, and not because a file does."""

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import write_model
from trainables import trust
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.models import build_model
from trainables.saved_model import MODEL_FILE, load_model

CODE = """
from pathlib import Path
from torch import nn
Path(__file__).with_name("imported").touch()

def build(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, num_classes))
"""


@pytest.fixture(autouse=True)
def nothing_trusted(monkeypatch, tmp_path):
    monkeypatch.setattr(trust, "_trusted", set())
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module that has not been imported, in the folder that a job runs in."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    name = f"nets_of_{tmp_path.name.replace('-', '_')}"
    (folder / f"{name}.py").write_text(CODE)
    yield name
    sys.modules.pop(name, None)


def was_imported():
    return Path("imported").exists()


def test_a_network_that_only_a_file_names_is_not_imported(module):
    with pytest.raises(InputError, match=f"add --trust {module}"):
        build_model(f"{module}:build", 3, 8)
    assert not was_imported()


def test_a_network_that_a_person_named_is_imported_here_from_then_on(module, monkeypatch):
    trust.trust([module])
    build_model(f"{module}:build", 3, 8)
    assert was_imported()
    monkeypatch.setattr(trust, "_trusted", set())  # as in the next job
    build_model(f"{module}:build", 3, 8)


def test_a_module_that_has_changed_is_named_again(module, monkeypatch):
    trust.trust([f"{module}:build"])
    build_model(f"{module}:build", 3, 8)
    monkeypatch.setattr(trust, "_trusted", set())
    Path(f"{module}.py").write_text(CODE + "# changed")
    with pytest.raises(InputError, match="as it is now"):
        build_model(f"{module}:build", 3, 8)


def test_a_home_that_cannot_be_written_forgets(module, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", f"{Path.cwd()}/{module}.py")
    trust.trust([module])
    build_model(f"{module}:build", 3, 8)
    assert not trust.is_remembered(module)


@pytest.mark.parametrize("name", ["os:abort", "http.server:test", "json:dumps", "tests.nets:tiny"])
def test_a_model_folder_runs_no_code(name, tiny_data, tmp_path):
    write_model(tmp_path, TrialConfig(lr=1e-3), tiny_data)
    about = json.loads((tmp_path / MODEL_FILE).read_text())
    (tmp_path / MODEL_FILE).write_text(json.dumps(about | {"model": name}))
    with pytest.raises(InputError, match="--trust"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    "name", [":x", "..x:y", "x:", "*:y", "a b:c", "nets:1", "sys:__import__('os')"]
)
def test_what_is_no_name_of_a_function_is_refused(name):
    trust.trust([trust.EVERY])
    with pytest.raises(InputError, match=r"package\.module:function"):
        build_model(name, 3, 8)


@pytest.mark.parametrize("name", ["json:dumps", "os:system", "sys:exit", "nothing_at_all:build"])
def test_a_function_that_builds_no_network_is_refused(name):
    trust.trust([trust.EVERY])
    with pytest.raises(InputError):
        build_model(name, 3, 8)


def test_networks_of_torchvision_and_our_own_need_no_trust():
    for name in ("cnn", "resnet18"):
        build_model(name, 3, 32)
