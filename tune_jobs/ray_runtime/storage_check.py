"""Check, before a trial starts, that every node of a cluster reads the storage and the images."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from trainables.arrays import DIGEST_BYTES
from trainables.errors import InputError, first_line
from trainables.sources.listing import Encoded
from tune_jobs.ray_runtime import capacity
from tune_jobs.run_folder.folder import RunFolder

NETWORK_FILE_SYSTEMS = ("afs", "beegfs", "ceph", "cifs", "fuse.", "glusterfs", "gpfs", "lustre",
                        "nfs", "smb", "virtiofs", "9p")  # fmt: skip
"""Prefixes of the types of file systems that several nodes may share."""
MOUNTS = Path("/proc/mounts")
"""Mounted file systems, on Linux."""
ANSWER_S = 60
"""Seconds to wait for the answer of a node."""
GONE = ray.exceptions.NodeDiedError, ray.exceptions.TaskUnschedulableError
"""Errors of a task on a node that has left the cluster, as idle nodes do at any moment."""


def check_storage(storage: RunFolder) -> None:
    """Raise InputError if a node of the cluster cannot read a file that the driver writes.

    A cluster of one node that cannot grow is not checked.
    """
    nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
    grows = bool(capacity.node_types()[0])
    if len(nodes) == 1 and not grows:
        return
    if storage.is_local and len(nodes) == 1 and not shared(Path(storage.path)):
        raise InputError(
            f"storage {storage.uri} is a local folder, which nodes that the autoscaler starts "
            "cannot read: give s3://bucket/path, gs://bucket/path, or a folder that all nodes share"
        )
    storage.make()
    name, content = f".seen-{uuid.uuid4().hex}", uuid.uuid4().hex
    storage.write(name, content.encode())
    try:
        unable = sorted(
            host
            for node, host in nodes.items()
            if reads(node, storage.uri, name) not in (content, None)
        )
    finally:
        storage.fs.delete_file(f"{storage.path}/{name}")
    if unable:
        raise InputError(
            f"storage {storage.uri} cannot be read by node {', '.join(unable)}: give "
            "s3://bucket/path, gs://bucket/path, or a folder that all nodes share, and grant every "
            "node permission to read and write there"
        )


def check_source(name: str, images: Encoded) -> None:
    """Raise InputError if a node of the cluster cannot read an image of the source.

    Each node reads the images for itself. A cluster of one node that cannot grow is not checked.

    Args:
        name: value of --data.
        images: images of the source.
    """
    nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
    grows = bool(capacity.node_types()[0])
    if len(nodes) == 1 and not grows:
        return
    remedy = "give s3://bucket/path, gs://bucket/path, or a folder that all nodes share"
    if len(nodes) == 1 and Path(name).exists() and not shared(Path(name).absolute()):
        raise InputError(
            f"{name} is on a local disk, which nodes that the autoscaler starts cannot read: "
            f"{remedy}"
        )
    expected = _hash_of_first(images)
    answers = [(host, _answer(node, _hash_of_first, images)) for node, host in nodes.items()]
    unable = sorted(f"{host} ({said})" for host, said in answers if said not in (expected, None))
    if unable:
        raise InputError(
            f"{name}: {images.origin(0)} cannot be read, or is another image, on node "
            f"{', '.join(unable)}: {remedy}"
        )


def _answer(node: str, function: Callable[..., str], *arguments: Any) -> str | None:
    """Return what a function returns on a node, or its error; None if the node has left."""
    try:
        return str(on_node(node, function, *arguments))
    except GONE:
        return None
    except (ray.exceptions.RayError, TimeoutError) as error:
        return first_line(error)


def _hash_of_first(images: Encoded) -> str:
    try:
        content = images.read(0)
    except (OSError, InputError) as error:
        return first_line(error)
    raw = content if isinstance(content, bytes) else content.tobytes()
    return hashlib.blake2b(raw, digest_size=DIGEST_BYTES).hexdigest()


def reads(node: str, uri: str, name: str) -> str | None:
    """Return the content of a file in the storage as a node reads it, or the error message.

    None if the node has left the cluster.
    """
    return _answer(node, _read, uri, name)


def on_node(node: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a function on the node with this id and return its result.

    If the worker dies, it is run once more: where it died with its node, Ray then says so.

    Raises:
        RayError: the function raised an exception, or the node was lost.
        TimeoutError: the node did not answer in time.
    """
    here = NodeAffinitySchedulingStrategy(node, soft=False)
    task = ray.remote(function).options(num_cpus=0, scheduling_strategy=here, max_retries=1)
    return ray.get(task.remote(*arguments), timeout=ANSWER_S)


def _read(uri: str, name: str) -> str:
    try:
        return RunFolder.at(uri).read(name).decode()
    except (OSError, InputError) as error:
        return str(error)


def shared(path: Path) -> bool:
    """Return whether a folder is on a network file system."""
    best, kind = Path(), ""
    for line in MOUNTS.read_text().splitlines() if MOUNTS.exists() else ():
        _, mount, type_, *_ = line.split()
        point = Path(mount.replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= len(best.parts):
            best, kind = point, type_
    return kind.startswith(NETWORK_FILE_SYSTEMS)
