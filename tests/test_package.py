"""The package as `pip install .` and a wheel install it, away from the checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tune_jobs.command_line.invocation import JOBS

ROOT = Path(__file__).parents[1]
PACKAGES = ("bakeoff", "trainables", "tune_jobs")
FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "cluster.yaml",
         "constraints.txt")  # fmt: skip
"""What the packages need to be built."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder into which the package was installed from a copy of its sources."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, source / package, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation",
               "--no-compile", "--quiet", "--target", target, source]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, text=True)
    return target


@pytest.fixture
def bakeoff(installed, tmp_path):
    """Run the console command in an empty folder; returns what it printed."""
    environment = os.environ | {"PYTHONPATH": str(installed), "COLUMNS": "200"}
    environment["PATH"] = f"{installed / 'bin'}{os.pathsep}{environment['PATH']}"

    def run(*words):
        done = subprocess.run(
            ["bakeoff", *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_the_package_has_every_module_and_file(installed):
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                copy = installed / file.relative_to(ROOT)
                assert copy.exists(), f"{copy} is missing: name it in pyproject.toml"
    for name in ("cluster.yaml", "constraints.txt"):
        copy = installed / "tune_jobs" / "cluster" / name
        assert copy.read_text() == (ROOT / name).read_text()


def test_the_console_command_lists_its_jobs(bakeoff):
    listed = bakeoff("--help")
    assert all(name in listed for name in JOBS)


@pytest.mark.faults
def test_a_grid_runs_and_what_it_suggests_is_what_works(bakeoff, tmp_path):
    printed = bakeoff("lr-grid", "--lr", "1e-3", "1e-4", "--epochs", "2")
    suggested = printed.split("Next:")[1]
    assert "    bakeoff compare runs/lr-grid\n" in suggested
    assert "bakeoff predict IMAGE --model comparison/model" in bakeoff("compare", "runs/lr-grid")
    assert (tmp_path / "comparison" / "report.html").exists()
    assert bakeoff("cluster", "render", "--provider", "aws") == (ROOT / "cluster.yaml").read_text()
