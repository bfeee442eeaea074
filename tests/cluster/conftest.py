"""Hosts of our own making, on which `ray up` runs for real; see hosts.sh."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from tune_jobs.cluster.config import CLUSTER_FILE, ROOT, read_config
from tune_jobs.cluster.render import local

SCRIPT = Path(__file__).with_name("hosts.sh")
NEEDED = ("ip", "nsenter", "rsync", "ssh-keygen", "/usr/sbin/sshd")
HEAD, WORKERS = "10.77.0.1", ["10.77.0.2", "10.77.0.3"]


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
        if "hosts" in item.fixturenames:
            item.add_marker(pytest.mark.skip(reason=reason))


class Hosts:
    """A laptop, a head and two workers, with a disk that they share."""

    def __init__(self):
        # Short, as sockets lie below it.
        self.folder = Path(tempfile.mkdtemp(prefix="lab", dir="/tmp"))
        self.share = self.folder / "share"
        binds = [sys.prefix, str(Path(sys.executable).resolve().parents[1]), str(ROOT)]
        self.environment = {
            **os.environ,
            "LAB": str(self.folder),
            "BIND": ":".join(dict.fromkeys(binds)),
        }
        self.config = self.folder / "cluster.yaml"
        self.log = self.folder / "job.log"

    def __call__(self, *words, **options):
        return subprocess.run(
            [SCRIPT, *map(str, words)], env=self.environment, check=True, **options
        )

    def up(self):
        self("up", len(WORKERS))
        made = local(read_config(CLUSTER_FILE), HEAD, WORKERS, "root", str(self.folder / "id"))
        path = f"{sys.prefix}/bin:$PATH"
        # In place of the installation, which needs a network.
        made["setup_commands"] = [f"echo 'export PATH={path} COLUMNS=200' >> ~/.bashrc"]
        self.config.write_text(yaml.safe_dump(made))
        self.laptop("ray", "get-auth-token", "--generate")
        self.laptop("ray", "up", "-y", "--no-config-cache", self.config)

    def command(self, *words):
        """A command on the laptop, as a list for subprocess."""
        path = f"PATH={sys.prefix}/bin:{os.environ['PATH']}"
        settings = ["RAY_UP_enable_autoscaler_v2=0", path]
        return [str(SCRIPT), "in", "cli", "env", "-C", str(ROOT), *settings, *map(str, words)]

    def laptop(self, *words, check=True):
        done = subprocess.run(
            self.command(*words), env=self.environment, capture_output=True, text=True, timeout=180
        )
        if check:
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done

    def submit(self, *words):
        """`ray submit` of the grid, as it is typed on the laptop."""
        job = ["ray", "submit", "--no-config-cache", self.config, "tune_jobs/lr_grid.py", "--"]
        return [*job, "--address", "auto", *words]

    def start(self, *words):
        """Begin a command on the laptop; what it prints is in `log`."""
        with self.log.open("w") as log:
            command = self.command(*words)
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def on_head(self, text, check=True):
        return self.laptop("ray", "exec", "--no-config-cache", self.config, text, check=check)

    def down(self):
        self("down")


@pytest.fixture
def hosts():
    made = Hosts()
    try:
        made.up()
        yield made
    finally:
        made.down()
        shutil.rmtree(made.folder, ignore_errors=True)
