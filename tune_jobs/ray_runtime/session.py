"""Start a local Ray or connect to a cluster, and shut down in the end."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray

from trainables.errors import InputError, first_line
from tune_jobs.ray_runtime.capacity import autoscaler_config
from tune_jobs.ray_runtime.environment import environment
from tune_jobs.ray_runtime.ray_internals import (
    asks_for_token,
    lean_node,
    loopback_as_given,
    token_authentication,
)
from tune_jobs.ray_runtime.ray_up import remind
from tune_jobs.ray_runtime.session_folder import (
    RAY_FOLDER,
    TOKEN_FILE,
    keep_logs,
    session_folder,
)

MOST_PRELOADED = 8
"""Largest number of cores for which the workers of a local Ray preload the modules of trials."""
READY_S = 20
"""Longest time in seconds that workers are waited for; trials start without them too."""
READY_VARIABLE = "BAKEOFF_READY_WORKERS"
"""Environment variable with the folder in which each worker leaves a file when it is ready."""
QUIET: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
"""Options of ray.init()."""
ANSWER_S = 30
"""Longest time in seconds that ray.init() may take to connect to a cluster."""
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
"""Frame of HTTP/2 that begins every connection, without settings: length, type, flags, stream."""
TASK_EVENTS = "RAY_task_events_report_interval_ms"
"""Environment variable that turns off, by 0, what a dashboard shows of each task, which takes 20 KB
a trial in the memory of Ray's head process."""
HEAD_PORT = "6379"
"""Default port of `ray start --head`."""


@contextlib.contextmanager
def ray_session(address: str | None, *, preload: bool = False) -> Iterator[None]:
    """Start a local Ray or connect to a cluster, and shut down at the end of the context.

    If the process is connected to Ray already, that connection is used and kept.

    Args:
        address: address of a cluster: auto, HOST or HOST:PORT. None starts a local Ray.
        preload: whether the workers of a local Ray import what trials need, as all will be used.

    Raises:
        InputError: no cluster answers at the address.
    """
    # Our tables and terminal output already report failed and interrupted trials.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    logging.getLogger("ray.widgets").setLevel(logging.WARNING)  # of what a notebook could show
    if ray.is_initialized():
        yield
        return
    with local_ray(preload) if address is None else connection(answering(address)):
        remind(autoscaler_config())
        yield


@contextlib.contextmanager
def local_ray(preload: bool) -> Iterator[None]:
    """Start a Ray that only this user and this machine can reach, and stop it in the end.

    Args:
        preload: as in `ray_session`.

    Raises:
        InputError: it does not start.
    """
    with (
        session_folder() as folder,
        token_authentication(folder / TOKEN_FILE),
        contextlib.ExitStack() as stack,
    ):
        stack.callback(ray.shutdown)
        try:
            with lean_node(folder / RAY_FOLDER), environment({TASK_EVENTS: "0"}):
                start = start_with_workers if preload else init
                start("local", include_dashboard=False)
        except Exception as error:  # whatever this machine's limits, disk or libraries cause
            raise InputError(
                f"Ray does not start on this machine ({first_line(error)}): its logs are in "
                f"{keep_logs(folder)}"
            ) from error
        yield


@contextlib.contextmanager
def connection(address: str) -> Iterator[None]:
    """Connect to a cluster, and disconnect in the end.

    Raises:
        InputError: no cluster answers at the address.
    """
    late = threading.Timer(ANSWER_S, end_process, [address])
    late.daemon = True
    late.start()
    try:
        with loopback_as_given():
            init(address)
    except (ConnectionError, ValueError, RuntimeError) as error:
        token = "" if asks_for_token() else "set RAY_AUTH_MODE=token if it asks for a token, "
        raise InputError(
            f"no Ray cluster answers at {address} ({error}): check --address, {token}or leave it "
            "out to start a local Ray"
        ) from error
    finally:
        late.cancel()
    try:
        yield
    finally:
        ray.shutdown()


def end_process(address: str) -> None:
    """End this process with a message, as ray.init() cannot be interrupted."""
    print(  # noqa: T201
        f"error: no Ray cluster answers at {address} within {ANSWER_S} s, although something "
        "listens there: check --address, or leave it out to start a local Ray",
        file=sys.stderr,
        flush=True,
    )
    os._exit(2)


def init(address: str, **options: Any) -> None:
    """Call ray.init(), and keep the handler of SIGTERM: Ray's own ends the process in silence."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, **QUIET, **options)
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def start_with_workers(address: str, **options: Any) -> None:
    """Call ray.init(), and wait until the workers of the local Ray are ready for trials.

    Ray starts a worker per core with itself. They import what trials need; without waiting for
    them, Ray would start other workers for the first trials. Each takes a few hundred MB, so on
    machines of many cores, where most may stay idle, nothing is imported; nor on machines with
    GPUs, as no import may look at them before Ray has told a worker which are its own.
    """
    if (os.cpu_count() or 1) > MOST_PRELOADED or has_gpu_devices():
        init(address, **options)
        return
    with tempfile.TemporaryDirectory() as folder:
        variables = {
            "RAY_preload_python_modules": "trainables.preload",
            # Ray ends idle workers when placement groups reserve their cores, before trials have
            # them.
            "RAY_idle_worker_killing_time_threshold_ms": str(1000 * READY_S),
            READY_VARIABLE: folder,
        }
        os.environ.update(variables)
        try:
            init(address, **options)
        finally:
            for name in variables:
                del os.environ[name]
        workers, end = int(ray.cluster_resources().get("CPU", 0)), time.monotonic() + READY_S
        while len(list(Path(folder).iterdir())) < workers and time.monotonic() < end:
            time.sleep(0.05)


def has_gpu_devices() -> bool:
    """Return whether the system has devices of NVIDIA's or AMD's GPU drivers."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists()


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
        if not port.isascii():
            raise ValueError(f"{port} is no number in the digits 0 to 9")
        with socket.create_connection((host.strip("[]"), int(port)), timeout=10) as connected:
            speaks = "RAY_USE_TLS" in os.environ or speaks_grpc(connected)
    except (OSError, OverflowError, ValueError) as error:
        raise InputError(
            f"nothing answers at {address} ({error}): check --address, which is auto, HOST or "
            "HOST:PORT, or leave it out to start a local Ray"
        ) from error
    if not speaks:
        raise InputError(
            f"what listens at {address} is no Ray cluster: check --address, which is auto, HOST or "
            f"HOST:PORT (Ray's own port is {HEAD_PORT}), or leave it out to start a local Ray"
        )
    return f"{host}:{port}"


def speaks_grpc(connected: socket.socket) -> bool:
    """Return whether a server speaks the protocol of Ray's, HTTP/2, to which others never answer.

    Raises:
        OSError: it does not answer in time, or closes the connection.
    """
    connected.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS)
    answer = b""
    while len(answer) < len(SETTINGS) and (more := connected.recv(len(SETTINGS))):
        answer += more
    return answer[3:5] == SETTINGS[3:5]
