"""Compare the nodes of a running cluster, and the user's machine, with this machine."""

from __future__ import annotations

import hashlib
import platform
import shlex
import shutil
import socket
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from rich.markup import escape
from rich.table import Table

from trainables.errors import InputError
from trainables.sources import list_images
from tune_jobs.cluster.sockets import reachable_sockets
from tune_jobs.command_line.invocation import words_that_start
from tune_jobs.command_line.options import DataOptions
from tune_jobs.command_line.terminal import open_console, plain_table, print_table
from tune_jobs.ray_runtime.ray_internals import asks_for_token
from tune_jobs.ray_runtime.session import ray_session
from tune_jobs.ray_runtime.storage_check import on_node
from tune_jobs.run_folder.folder import RunFolder

SAME = {
    "python": "install the same Python, including its patch version, on every node",
    "ray": "run pip install -e '.[cluster]' -c constraints.txt on every node",
    "torch": "run pip install -e . -c constraints.txt on every node",
    "sources": "run ray up again, which copies this checkout to every node",
}
"""Fact that must be equal on all machines -> remedy where it differs."""
DROPPABLE = ("shm", "disk", "clock", "data", "storage", "sources", "CUDA")
"""Columns of the table that a narrow terminal goes without, the first of them first."""
NO_GPU = "no GPU"
NOT_CHECKED = "not checked"
MOST_SKEW_S = 2.0
LEAST_DISK_GB, LEAST_SHM_GB = 2.0, 0.5


@dataclass(frozen=True)
class Machine:
    """State of one machine: this one, the user's, or a node of the cluster."""

    name: str
    """Name in the table: the host name of a node."""
    facts: dict[str, Any]
    """Result of `facts`; of `versions` for the user's machine; empty if the node did not answer."""
    skew_s: float
    """Clock skew against this machine in seconds."""
    error: str = ""
    """Why the node did not answer; empty if it did."""


def doctor(
    address: str,
    storage: str | None = None,
    data: DataOptions | None = None,
    laptop: dict[str, str] | None = None,
) -> int:
    """Print a table of all machines, and each problem with its remedy.

    Args:
        address: address of the Ray cluster.
        storage: folder or URI that every node writes to and reads back; not checked if None.
        data: dataset to load on this machine, as only the driver of a job loads it.
        laptop: `versions` of the machine that the cluster was started from.

    Returns:
        2 if there are findings, else 0.
    """
    console = open_console()
    about = facts(storage) | {"data": read(data) if data else NOT_CHECKED}
    del about["token"]  # which nodes are asked about, this one too if it is one
    here = [Machine(f"this machine ({socket.gethostname()})", about, 0.0)]
    yours = [Machine("yours", laptop, 0.0)] if laptop is not None else []
    with ray_session(address):
        nodes = [examine(node, storage) for node in ray.nodes() if node["Alive"]]
    machines = [*here, *yours, *nodes]
    wrong = findings(machines)
    print_table(console, table(machines, wrong), DROPPABLE)
    for name, text in wrong:
        console.print(f"[red]{escape(name)}[/]: {escape(text)}", highlight=False)
    if not wrong:
        agree = f"{len(nodes)} of {len(nodes)} nodes agree" + " with your machine" * len(yours)
        console.print(agree, highlight=False)
    return 2 if wrong else 0


def facts(storage: str | None) -> dict[str, Any]:
    """Return versions, free space, storage access and time of the machine that this runs on."""
    shm = Path("/dev/shm")
    return {
        **versions(),
        "cuda": torch.version.cuda if torch.cuda.is_available() else NO_GPU,
        "disk_gb": shutil.disk_usage("/tmp").free / 1e9,
        "shm_gb": shutil.disk_usage(shm).free / 1e9 if shm.exists() else float("inf"),
        "storage": write_and_read(storage) if storage else NOT_CHECKED,
        "token": asks_for_token(),
        "open": reachable_sockets(),
        "time": time.time(),
    }


def versions() -> dict[str, str]:
    """Return the versions that must be equal on all machines."""
    return {
        "python": platform.python_version(),
        "ray": ray.__version__,
        "torch": torch.__version__.partition("+")[0],  # without the CUDA build, compared apart
        "sources": sources(),
    }


def as_versions(words: Sequence[str]) -> dict[str, str]:
    """Parse the output of `versions` on another machine.

    Args:
        words: NAME=VALUE, one for each version.

    Raises:
        InputError: a version is missing, unknown or empty.
    """
    given = dict(word.partition("=")[::2] for word in words)
    if given.keys() != SAME.keys() or not all(given.values()):
        raise InputError(
            f"--expect {' '.join(words)!r} must have {', '.join(SAME)} as NAME=VALUE: pass what "
            f"{shlex.join(words_that_start('cluster'))} versions prints on your machine"
        )
    return given


def read(data: DataOptions) -> str:
    """Find a dataset as a job started here would, and read an image. Return "ok" or the error."""
    try:
        listing = list_images(data.source)
        listing.images.read(0)
    except (InputError, OSError) as error:
        return str(error)
    return "ok"


def sources() -> str:
    """Return a hash of the Python sources of this checkout."""
    digest = hashlib.blake2b(digest_size=4)
    root = Path(__file__).parents[2]
    for package in ("bakeoff", "trainables", "tune_jobs"):
        for file in sorted((root / package).rglob("*.py")):
            digest.update(str(file.relative_to(root)).encode() + file.read_bytes())
    return digest.hexdigest()


def write_and_read(storage: str) -> str:
    """Write a file to a storage and read it back. Return "ok" or the error."""
    name, content = f".doctor-{uuid.uuid4().hex}", uuid.uuid4().bytes
    try:
        folder = RunFolder.at(storage)
        folder.make()
        folder.write(name, content)
        same = folder.read(name) == content
        folder.fs.delete_file(f"{folder.path}/{name}")
    except (InputError, OSError) as error:
        return str(error)
    return "ok" if same else "the file read differs from the one written"


def examine(node: dict[str, Any], storage: str | None) -> Machine:
    """Collect the facts of a node, or the reason why it does not answer."""
    name, start = node["NodeManagerHostname"], time.time()
    try:
        found = on_node(node["NodeID"], facts, storage)
    except (ray.exceptions.RayError, TimeoutError) as error:
        return Machine(name, {}, 0.0, str(error).strip().splitlines()[-1])
    end = time.time()
    # Only a time outside of the request's own start and end proves a skew.
    skew = min(found["time"] - start, 0.0) or max(found["time"] - end, 0.0)
    return Machine(name, found, skew)


def findings(machines: list[Machine]) -> list[tuple[str, str]]:
    """Return each problem as (machine name, value with rule and remedy).

    Args:
        machines: this machine first, which the others are compared with.
    """
    here, wrong = machines[0], []
    gpus = [each for each in machines if each.facts.get("cuda", NO_GPU) != NO_GPU]
    for machine in machines:
        if machine.error:
            wrong.append((machine.name, f"does not answer ({machine.error}): check its logs"))
            continue
        for name, remedy in SAME.items():
            ours, theirs = here.facts[name], machine.facts[name]
            if ours != theirs:
                wrong.append((machine.name, f"{name} is {theirs}, but {ours} here: {remedy}"))
        if abs(machine.skew_s) > MOST_SKEW_S:
            text = (
                f"its clock is off by {machine.skew_s:+.0f} s, and at most {MOST_SKEW_S:g} s is "
                "allowed: start time synchronization (NTP) there"
            )
            wrong.append((machine.name, text))
        for name, least, place in (
            ("disk_gb", LEAST_DISK_GB, "/tmp"),
            ("shm_gb", LEAST_SHM_GB, "/dev/shm"),
        ):
            if machine.facts.get(name, least) < least:
                text = (
                    f"{machine.facts[name]:.1f} GB are free in {place}, and at least {least:g} GB "
                    "is required: free or add space"
                )
                wrong.append((machine.name, text))
        if fails(machine, "storage"):
            text = (
                f"it cannot write to the storage and read back ({machine.facts['storage']}): give "
                "it access to the storage"
            )
            wrong.append((machine.name, text))
        if fails(machine, "data"):
            text = (
                f"it cannot load the data ({machine.facts['data']}), and jobs load it on the "
                "machine where they are started: copy it there, to the head by ray rsync-up "
                "cluster.yaml photos/ '~/photos/'"
            )
            wrong.append((machine.name, text))
        if not machine.facts.get("token", True):
            text = (
                "its Ray asks for no token, so that whoever reaches it can run code: set "
                "RAY_AUTH_MODE=token before ray start, as cluster.yaml does"
            )
            wrong.append((machine.name, text))
        if reached := machine.facts.get("open"):
            text = (
                f"Ray listens on the internet ({', '.join(reached)}), and must only on the "
                "cluster's own network: start it with --node-ip-address of a private address, or "
                "close these ports in the firewall"
            )
            wrong.append((machine.name, text))
        if machine in gpus and machine.facts["cuda"] != gpus[0].facts["cuda"]:
            text = (
                f"CUDA is {machine.facts['cuda']}, but {gpus[0].facts['cuda']} on {gpus[0].name}: "
                f"{SAME['torch']}"
            )
            wrong.append((machine.name, text))
    return wrong


def fails(machine: Machine, what: str) -> bool:
    """Return whether the check of the storage or the data failed on a machine."""
    return machine.facts.get(what, "ok") not in ("ok", NOT_CHECKED)


def table(machines: list[Machine], wrong: list[tuple[str, str]]) -> Table:
    """Return a table with one row per machine, in red if it has a problem."""
    made = plain_table()
    for heading in ("machine", "python", "ray", "torch", "CUDA", "sources", "clock", "disk", "shm",
                    "storage", "data"):  # fmt: skip
        made.add_column(heading, no_wrap=True)
    red = {name for name, _ in wrong}
    for machine in machines:
        style = "red" if machine.name in red else None
        if machine.error:
            made.add_row(escape(machine.name), "does not answer", style=style)
            continue
        about = machine.facts
        answers = ["fails" if fails(machine, key) else about.get(key, "")
                   for key in ("storage", "data")]  # fmt: skip
        measured = ("", "", "")
        if "time" in about:
            measured = (f"{machine.skew_s:+.1f} s", f"{about['disk_gb']:.0f} GB",
                        f"{about['shm_gb']:.1f} GB")  # fmt: skip
        made.add_row(
            escape(machine.name), about["python"], about["ray"], about["torch"],
            about.get("cuda", ""), about["sources"], *measured, *answers, style=style,
        )  # fmt: skip
    return made
