"""A local Ray or a cluster: its start and end."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

# Read when ray is imported. Ours are the tables, the loggers and what the terminal shows.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")  # a diverged trial has no score
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # keeps the GPU setting, quietly
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "200")  # a search knows how many
# Nothing is restored from Ray's own state, which takes longer to write the more trials there are.
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "3600")
# glibc keeps what each thread once held, and every trial is a new thread of its worker: without
# this a worker grew from 590 MB to 1,170 MB of its own memory over two trials.
os.environ.setdefault("MALLOC_ARENA_MAX", "1")
# A batch's activations go back to the system after every step otherwise, and come back as zeroed
# pages: 4% of the training time.
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**30))
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**30))

import ray

from trainables.errors import InputError
from tune_jobs.capacity import autoscaled
from tune_jobs.command_line.options import RunOptions
from tune_jobs.reminder import remind

HEAD_PORT = "6379"
"""Of `ray start --head`."""


@contextlib.contextmanager
def ray_session(options: RunOptions) -> Iterator[None]:
    """A local Ray of our own, or a connection to a cluster, given back in the end.

    Where the process is connected already, that connection is used, and kept.

    Raises:
        InputError: no cluster answers at the address.
    """
    # Failed and interrupted trials are in our tables and on our terminal.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    if ray.is_initialized():
        yield
        return
    address = None if options.address is None else answering(options.address)
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    try:
        if address is None:
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


def answering(address: str) -> str:
    """The address as Ray takes it, of HOST alone with the port of its head.

    Raises:
        InputError: nothing listens there, where Ray would end the process; or it is Ray Client's.
    """
    if address.startswith("ray://"):
        raise InputError(
            f"--address {address} is Ray Client's, through which the job could not write its "
            "tables: run the job on the cluster with --address auto, by ray submit or ray job "
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
