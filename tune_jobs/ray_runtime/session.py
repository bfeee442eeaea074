"""Start a local Ray or connect to a cluster, and shut down in the end."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

import ray

from trainables.errors import InputError
from tune_jobs.ray_runtime.capacity import autoscaled
from tune_jobs.ray_runtime.ray_up import remind

PRELOAD_VARIABLE = "RAY_preload_python_modules"
"""Ray's setting of modules that its workers import before they take work."""
MOST_PRELOADED = 8
"""Cores up to which the workers of a local Ray import the modules of trials at their start."""
HEAD_PORT = "6379"
"""Default port of `ray start --head`."""


@contextlib.contextmanager
def ray_session(address: str | None) -> Iterator[None]:
    """Start a local Ray or connect to a cluster, and shut down at the end of the context.

    If the process is connected to Ray already, that connection is used and kept.

    Args:
        address: address of a cluster: auto, HOST or HOST:PORT. None starts a local Ray.

    Raises:
        InputError: no cluster answers at the address.
    """
    # Our tables and terminal output already report failed and interrupted trials.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    if ray.is_initialized():
        yield
        return
    address = None if address is None else answering(address)
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    try:
        if address is None:
            with preloaded_workers():
                ray.init("local", include_dashboard=False, **quiet)
        else:
            ray.init(address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        if address is None:
            raise
        raise InputError(
            f"no Ray cluster answers at {address} ({error}): check --address, or leave it "
            "out to start a local Ray"
        ) from error
    remind(autoscaled())
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def preloaded_workers() -> Iterator[None]:
    """Have the worker processes of a Ray that is started import what trials need at once.

    Ray starts a worker for each core with itself, which are idle until the first trial. Each takes
    a few hundred MB then, so on a machine of many cores only those that are used import it.
    """
    if (os.cpu_count() or 1) > MOST_PRELOADED:
        yield
        return
    os.environ[PRELOAD_VARIABLE] = "trainables.trainable,torch._dynamo"  # by the first optimiser
    try:
        yield
    finally:
        del os.environ[PRELOAD_VARIABLE]


def answering(address: str) -> str:
    """Return the address as Ray takes it: HOST alone gets the default port of a head node.

    Raises:
        InputError: nothing listens at the address (Ray itself would exit the process), or it is an
            address of Ray Client.
    """
    if address.startswith("ray://"):
        raise InputError(
            f"--address {address} is an address of Ray Client, through which a job cannot write "
            "its tables: run the job on the cluster with --address auto, by ray submit or ray job "
            "submit"
        )
    if address in ("auto", "local"):
        return address
    host, _, port = address.rpartition(":") if ":" in address else (address, ":", HEAD_PORT)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError, ValueError) as error:
        raise InputError(
            f"nothing answers at {address} ({error}): check --address, which is auto, HOST or "
            "HOST:PORT, or leave it out to start a local Ray"
        ) from error
    return f"{host}:{port}"
