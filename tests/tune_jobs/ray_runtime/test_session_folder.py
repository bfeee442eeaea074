"""The folder of a local Ray is where it can be, and for its user alone."""

import shutil
import stat
from collections import namedtuple
from pathlib import Path

import pytest

from trainables.errors import InputError
from tune_jobs.ray_runtime import session_folder as module
from tune_jobs.ray_runtime.session_folder import (
    RAY_FOLDER,
    TOKEN_FILE,
    keep_logs,
    session_folder,
)

Usage = namedtuple("Usage", "free")


@pytest.fixture
def short(monkeypatch):
    """A folder with a short path, that is used where no other can be."""
    path = Path("/tmp", f"s-{Path(__file__).stat().st_ino}")
    path.mkdir(exist_ok=True)
    monkeypatch.setattr(module, "PARENTS", (str(path),))
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.delenv("TMPDIR", raising=False)
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("name", ["RAY_TMPDIR", "TMPDIR"])
@pytest.mark.parametrize("parent", ["x" * 80, "not/there"])
def test_a_folder_that_cannot_be_used_is_passed_over(name, parent, short, tmp_path, monkeypatch):
    monkeypatch.setenv(name, str(tmp_path / parent))
    if parent.startswith("x"):
        (tmp_path / parent).mkdir()
    with session_folder() as folder:
        assert folder.parent == short
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(short.iterdir()) == []
    assert not list(tmp_path.rglob("bakeoff-*"))


def test_without_a_folder_the_reasons_are_named(short, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free=3_000_000))
    monkeypatch.setenv("TMPDIR", "/not/there")
    with (
        pytest.raises(InputError, match=r"/not/there cannot.*has 3 MB left.*RAY_TMPDIR"),
        session_folder(),
    ):
        pass


def test_the_logs_of_a_ray_that_did_not_start_are_kept(short):
    with session_folder() as folder:
        logs = folder / RAY_FOLDER / "session_2030-01-01" / "logs"
        logs.mkdir(parents=True)
        (logs / "raylet.out").write_text("why")
        kept = keep_logs(folder)
    assert (kept / "raylet.out").read_text() == "why"


def test_the_folder_of_a_killed_job_is_deleted_and_that_of_a_running_one_is_not(short):
    killed = short / "bakeoff-killed"
    killed.mkdir()
    (killed / TOKEN_FILE).touch()
    with session_folder() as running:
        assert not killed.exists()
        with session_folder():
            assert (running / TOKEN_FILE).exists()
