"""The machines of a cluster that runs, compared with this one."""

from __future__ import annotations

import hashlib
import platform
import shutil
import socket
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trainables.errors import InputError
from trainables.sources import load_dataset
from tune_jobs.command_line.options import DataOptions
from tune_jobs.ray_runtime.session import ray_session
from tune_jobs.ray_runtime.storage_check import on_node
from tune_jobs.run_folder.folder import RunFolder

SAME = {
    "python": "install the same Python, to the patch, on every machine",
    "ray": "pip install -e '.[cluster]' -c constraints.txt on every machine",
    "torch": "pip install -e . -c constraints.txt on every machine",
    "sources": "ray up again, which brings this checkout to every machine",
}
"""What all machines must agree on, and the remedy where they do not."""
NO_GPU = "no GPU"
MOST_SKEW_S = 2.0
LEAST_DISK_GB, LEAST_SHM_GB = 2.0, 0.5


@dataclass(frozen=True)
class Machine:
    """What one machine says of itself."""

    name: str
    facts: dict[str, Any]
    """What `facts` returns; `versions` alone of the laptop; empty where it did not answer."""
    skew_s: float
    """Of its clock against this machine's."""
    error: str = ""


def doctor(
    address: str,
    storage: str | None = None,
    data: DataOptions | None = None,
    laptop: dict[str, str] | None = None,
) -> int:
    """Print a table of all machines and what to do.

    Args:
        address: of the cluster.
        storage: written and read back on every machine.
        data: read on this machine, as the driver of a job is the only one that reads it.
        laptop: `versions` of the machine that the cluster was started from.

    Returns:
        2 where something is wrong, else 0.
    """
    console = Console(width=None if sys.stdout.isatty() else 130)
    about = facts(storage) | {"data": read(data) if data else "not asked"}
    here = [Machine(f"this one ({socket.gethostname()})", about, 0.0)]
    yours = [Machine("yours", laptop, 0.0)] if laptop is not None else []
    with ray_session(address):
        nodes = [examine(node, storage) for node in ray.nodes() if node["Alive"]]
    machines = [*here, *yours, *nodes]
    wrong = findings(machines)
    console.print(table(machines, wrong))
    for name, text in wrong:
        console.print(f"[red]{escape(name)}[/]: {escape(text)}", highlight=False, soft_wrap=True)
    if not wrong:
        agree = f"{len(nodes)} of {len(nodes)} machines agree" + " with yours" * len(yours)
        console.print(agree, highlight=False)
    return 2 if wrong else 0


def facts(storage: str | None) -> dict[str, Any]:
    """What a machine is; runs on it."""
    shm = Path("/dev/shm")
    return {
        **versions(),
        "cuda": torch.version.cuda if torch.cuda.is_available() else NO_GPU,
        "disk_gb": shutil.disk_usage("/tmp").free / 1e9,
        "shm_gb": shutil.disk_usage(shm).free / 1e9 if shm.exists() else float("inf"),
        "storage": write_and_read(storage) if storage else "not asked",
        "time": time.time(),
    }


def versions() -> dict[str, str]:
    """What all machines must agree on, the laptop too."""
    return {
        "python": platform.python_version(),
        "ray": ray.__version__,
        "torch": torch.__version__.partition("+")[0],  # which CUDA it is for is the GPUs' matter
        "sources": sources(),
    }


def as_versions(words: Sequence[str]) -> dict[str, str]:
    """`versions` of another machine, from the words NAME=VALUE that it printed.

    Raises:
        InputError: one is of another form, or missing.
    """
    given = dict(word.partition("=")[::2] for word in words)
    if given.keys() != SAME.keys() or not all(given.values()):
        raise InputError(
            f"--expect {' '.join(words)!r} must give {', '.join(SAME)} as NAME=VALUE: write what "
            "python -m tune_jobs.cluster versions prints on your machine"
        )
    return given


def read(data: DataOptions) -> str:
    """Whether a job that is started here can read its images; the error where it cannot."""
    try:
        load_dataset(data.data, None, data.image_column, data.label_column)
    except InputError as error:
        return str(error)
    return "ok"


def sources() -> str:
    """Hash of our own modules, as they are on this machine."""
    digest = hashlib.blake2b(digest_size=4)
    root = Path(__file__).parents[2]
    for package in ("trainables", "tune_jobs"):
        for file in sorted((root / package).rglob("*.py")):
            digest.update(str(file.relative_to(root)).encode() + file.read_bytes())
    return digest.hexdigest()


def write_and_read(storage: str) -> str:
    """Whether a storage gives back what is written to it; the error where it does not."""
    name, content = f".doctor-{uuid.uuid4().hex}", uuid.uuid4().bytes
    try:
        folder = RunFolder.at(storage)
        folder.make()
        folder.write(name, content)
        same = folder.read(name) == content
        folder.fs.delete_file(f"{folder.path}/{name}")
    except (InputError, OSError) as error:
        return str(error)
    return "ok" if same else "gives back something else"


def examine(node: dict[str, Any], storage: str | None) -> Machine:
    """Ask a node."""
    name, start = node["NodeManagerHostname"], time.time()
    try:
        found = on_node(node["NodeID"], facts, storage)
    except (ray.exceptions.RayError, TimeoutError) as error:
        return Machine(name, {}, 0.0, str(error).strip().splitlines()[-1])
    end = time.time()
    # Its clock is behind or ahead if its time lies outside the time that asking took.
    skew = min(found["time"] - start, 0.0) or max(found["time"] - end, 0.0)
    return Machine(name, found, skew)


def findings(machines: list[Machine]) -> list[tuple[str, str]]:
    """What is wrong, by machine, each with its remedy. The first machine is this one."""
    here, wrong = machines[0], []
    gpus = [each for each in machines if each.facts.get("cuda", NO_GPU) != NO_GPU]
    for machine in machines:
        if machine.error:
            wrong.append((machine.name, f"does not answer ({machine.error}): look at its logs"))
            continue
        for name, remedy in SAME.items():
            ours, theirs = here.facts[name], machine.facts[name]
            if ours != theirs:
                wrong.append((machine.name, f"{name} is {theirs}, and {ours} here: {remedy}"))
        if abs(machine.skew_s) > MOST_SKEW_S:
            text = f"its clock is off by {machine.skew_s:+.0f} s: start a time service there"
            wrong.append((machine.name, text))
        for name, least, place in (
            ("disk_gb", LEAST_DISK_GB, "/tmp"),
            ("shm_gb", LEAST_SHM_GB, "/dev/shm"),
        ):
            if machine.facts.get(name, least) < least:
                text = f"{machine.facts[name]:.1f} GB are free in {place}: {least:g} or more"
                wrong.append((machine.name, text))
        if fails(machine, "storage"):
            text = f"the storage fails there ({machine.facts['storage']}): give it the right to it"
            wrong.append((machine.name, text))
        if fails(machine, "data"):
            text = (
                f"the data fails there ({machine.facts['data']}), and jobs read it where they are "
                "started: ray rsync-up cluster.yaml photos/ '~/photos/' brings a folder to the head"
            )
            wrong.append((machine.name, text))
        if machine in gpus and machine.facts["cuda"] != gpus[0].facts["cuda"]:
            text = (
                f"CUDA is {machine.facts['cuda']}, and {gpus[0].facts['cuda']} on {gpus[0].name}: "
                f"{SAME['torch']}"
            )
            wrong.append((machine.name, text))
    return wrong


def fails(machine: Machine, what: str) -> bool:
    """Whether a machine was asked for its storage or data, and could not."""
    return machine.facts.get(what, "ok") not in ("ok", "not asked")


def table(machines: list[Machine], wrong: list[tuple[str, str]]) -> Table:
    """A row a machine, those with something wrong in red."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("machine", "python", "ray", "torch", "CUDA", "sources", "clock", "disk", "shm",
                    "storage", "data"):  # fmt: skip
        made.add_column(heading, overflow="fold")
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
