"""Emulated hosts on which `ray up` really runs; see hosts.sh."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from tune_jobs.cluster.config import CLUSTER_FILE, ROOT, read_config
from tune_jobs.cluster.render import local

SCRIPT = Path(__file__).with_name("hosts.sh")
HEAD, WORKERS = "10.77.0.4", ["10.77.0.5", "10.77.0.6", "10.77.0.7"]
LAPTOP = "10.77.0.254"
WAIT_FOR_NODES = """
import sys, time, ray
ray.init("auto", log_to_driver=False)
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[1]):
    time.sleep(0.1)
"""


class Hosts:
    """A laptop, a head and workers of one core each, with a shared disk."""

    def __init__(self):
        # A short path, as those of sockets below it are limited.
        self.folder = Path(tempfile.mkdtemp(prefix="lab", dir="/tmp"))
        self.share = self.folder / "share"
        binds = [sys.prefix, str(Path(sys.executable).resolve().parents[1]), str(ROOT)]
        # Without the token of a Ray that other tests of this process have started.
        own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
        self.environment = own | {
            "LAB": str(self.folder), "BIND": ":".join(dict.fromkeys(binds))
        }  # fmt: skip
        self.config = self.folder / "cluster.yaml"
        self.key = str(self.folder / "id")
        self.log = self.folder / "job.log"
        # Version 2 of the autoscaler starts one worker too few with provider local.
        self.settings = {
            "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "RAY_UP_enable_autoscaler_v2": "0",
        }

    def __call__(self, *words, **options):
        return subprocess.run(
            [SCRIPT, *map(str, words)], env=self.environment, check=True, **options
        )

    def up(self, workers=3):
        """Power the hosts on, run `ray up` on them, and wait for all nodes."""
        self("up", workers)
        config = local(read_config(CLUSTER_FILE), HEAD, WORKERS[:workers], "root", self.key)
        config["worker_start_ray_commands"][-1] += " --num-cpus=1"
        self.ray_up(config)
        # One process: each call of Ray's command line takes seconds of a core.
        wait = (sys.executable, "-c", WAIT_FOR_NODES, workers + 1)
        self("in", "h4", "env", "RAY_AUTH_MODE=token", *wait, timeout=240)

    def ray_up(self, config, **exports):
        """Run `ray up` with this environment instead of an installation, which needs a network."""
        own = {"PATH": f"{sys.prefix}/bin:$PATH", "PYTHONPATH": ROOT, "COLUMNS": "200"}
        exports = own | exports
        shown = " ".join(f"{name}={value}" for name, value in exports.items())
        # Of the setup commands, keep the one that makes every shell send the token.
        token = [command for command in config["setup_commands"] if "RAY_AUTH_MODE" in command]
        config["setup_commands"] = [f"echo 'export {shown}' >> ~/.bashrc", *token]
        self.config.write_text(yaml.safe_dump(config))
        self.laptop("ray", "get-auth-token", "--generate")
        self.laptop("ray", "up", "-y", "--no-config-cache", self.config)

    def command(self, *words):
        """Return a command on the laptop as a list for subprocess."""
        settings = [f"{name}={value}" for name, value in self.settings.items()]
        return [str(SCRIPT), "in", "cli", "env", "-C", str(ROOT), *settings, *map(str, words)]

    def laptop(self, *words, check=True):
        done = subprocess.run(
            self.command(*words), env=self.environment, capture_output=True, text=True, timeout=300
        )
        if check:
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done

    def submit(self, *words, job="lr_grid"):
        """Return the `ray submit` command of a job, as typed on the laptop."""
        submit = ["ray", "submit", "--no-config-cache", self.config, f"tune_jobs/{job}.py", "--"]
        return [*submit, "--address", "auto", *words]

    def start(self, *words):
        """Start a command on the laptop, with its output in `log`."""
        with self.log.open("w") as log:
            command = self.command(*words)
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def on_head(self, text, check=True):
        return self.laptop("ray", "exec", "--no-config-cache", self.config, text, check=check)

    def down(self):
        self("down")
