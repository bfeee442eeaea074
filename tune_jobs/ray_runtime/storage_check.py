"""Whether every machine of a cluster sees the storage, asked before a trial starts."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from trainables.errors import InputError
from tune_jobs.ray_runtime import capacity
from tune_jobs.run_folder.folder import RunFolder

NETWORK_FILE_SYSTEMS = ("afs", "beegfs", "ceph", "cifs", "fuse.", "glusterfs", "gpfs", "lustre",
                        "nfs", "smb", "virtiofs", "9p")  # fmt: skip
"""How the types of those begin that machines share."""
MOUNTS = Path("/proc/mounts")
ANSWER_S = 60


def check_storage(storage: RunFolder) -> None:
    """Raise InputError if a machine of the cluster cannot read what the driver writes.

    A cluster of one machine that cannot grow has nothing to check.
    """
    nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
    grows = bool(capacity.node_types()[0])
    if len(nodes) == 1 and not grows:
        return
    if storage.is_local and len(nodes) == 1 and not shared(Path(storage.path)):
        raise InputError(
            f"storage {storage.uri} is a folder of this machine, which those that the autoscaler "
            "starts do not see: give s3://bucket/path, gs://bucket/path, or a "
            "folder that all machines share"
        )
    storage.make()
    name, content = f".seen-{uuid.uuid4().hex}", uuid.uuid4().hex
    storage.write(name, content.encode())
    try:
        blind = sorted(
            host for node, host in nodes.items() if reads(node, storage.uri, name) != content
        )
    finally:
        storage.fs.delete_file(f"{storage.path}/{name}")
    if blind:
        raise InputError(
            f"storage {storage.uri} is not seen by {', '.join(blind)}: give "
            "s3://bucket/path, gs://bucket/path, or a folder that all machines share, and the "
            "right to read and write there to each"
        )


def reads(node: str, uri: str, name: str) -> str:
    """What a node reads in a file of the storage, or why it cannot."""
    try:
        return str(on_node(node, _read, uri, name))
    except (ray.exceptions.RayError, TimeoutError) as error:
        return str(error)


def on_node(node: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns on one node, by its id.

    Raises:
        RayError: it raised there, or the node does not answer.
    """
    here = NodeAffinitySchedulingStrategy(node, soft=False)
    task = ray.remote(function).options(num_cpus=0, scheduling_strategy=here, max_retries=0)
    return ray.get(task.remote(*arguments), timeout=ANSWER_S)


def _read(uri: str, name: str) -> str:
    try:
        return RunFolder.at(uri).read(name).decode()
    except (OSError, InputError) as error:
        return str(error)


def shared(path: Path) -> bool:
    """Whether a folder lies on a file system of the network."""
    best, kind = Path(), ""
    for line in MOUNTS.read_text().splitlines() if MOUNTS.exists() else ():
        _, mount, type_, *_ = line.split()
        place = Path(mount.replace("\\040", " "))
        if path.is_relative_to(place) and len(place.parts) >= len(best.parts):
            best, kind = place, type_
    return kind.startswith(NETWORK_FILE_SYSTEMS)
