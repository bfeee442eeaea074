"""Fixtures of emulated hosts, and the expected results of the grid."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.cluster.grids import GRID, LONG, epochs_of
from tests.cluster.hosts import Hosts
from tune_jobs.analysis.results import load_trials
from tune_jobs.cluster.config import ROOT

NEEDED = ("ip", "nsenter", "rsync", "ssh-keygen", "/usr/sbin/sshd")


def pytest_collection_modifyitems(items):
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if os.getuid() != 0:
        reason = "needs root, to make network namespaces"
    elif missing:
        reason = f"needs {', '.join(missing)} (Debian's iproute2, openssh-server and rsync)"
    elif subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"]).returncode:
        reason = "needs the right to make namespaces"
    else:
        return
    for item in items:
        if {"hosts", "cloud"} & set(item.fixturenames):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def hosts():
    made = Hosts()
    try:
        made.up()
        yield made
    finally:
        made.down()
        shutil.rmtree(made.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def expected(tmp_path_factory):
    """Epochs and trials of the grid on this machine alone."""
    storage = tmp_path_factory.mktemp("local")
    words = map(str, (*GRID, "--epochs", LONG, "--storage-path", storage))
    command = [sys.executable, "tune_jobs/lr_grid.py", *words]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return epochs_of(storage / "lr-grid"), load_trials(storage / "lr-grid")
