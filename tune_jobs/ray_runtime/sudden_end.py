"""What a job says when it, or its Ray, is ended from outside."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator

from ray.exceptions import RayError
from ray.experimental.internal_kv import internal_kv_get_gcs_client

EVERY_S = 3.0
"""Seconds between questions, and longest time in seconds that an answer is waited for."""
LOCAL_S, CLUSTER_S = 10.0, 50.0
"""Seconds without an answer after which Ray's head process counts as dead. That of a cluster may be
started again, which Ray itself waits for during a minute."""
INTERRUPTED = 130
"""Exit code of a job that was interrupted."""
WATCH = 'trap "" HUP INT TERM; read -r ended || printf "%s\\n" "$1" >&2'
"""Shell script that prints its argument unless a line arrives before its input ends."""


@contextlib.contextmanager
def last_words(text: str) -> Iterator[None]:
    """Have a text printed if this process ends within the context.

    A shell waits for the end of the process, as nothing within it can: Ray ends a driver by _Exit()
    when its raylet has died, and the system by SIGKILL.
    """
    shell = shutil.which("sh")
    if shell is None:  # as on Windows
        yield
        return
    # In a session of its own, so that what is sent to the processes of the job does not reach it.
    watcher = subprocess.Popen(
        [shell, "-c", WATCH, "bakeoff", text], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        yield
    finally:
        watcher.communicate(b"ended\n")


@contextlib.contextmanager
def end_without_head(*, is_local: bool) -> Iterator[None]:
    """End this process when Ray's head process (GCS) has died.

    What ends a group of processes, such as a batch system, ends a local Ray too, and Ray then ends
    this process a minute later. No exception can reach the main thread meanwhile, as it waits
    inside Ray.

    Args:
        is_local: whether the job has started this Ray.
    """
    ended, limit = threading.Event(), LOCAL_S if is_local else CLUSTER_S

    def watch() -> None:
        answered = time.monotonic()
        while not ended.wait(EVERY_S):
            if head_answers():
                answered = time.monotonic()
            elif time.monotonic() - answered > limit:
                os._exit(INTERRUPTED)

    watcher = threading.Thread(target=watch, name="end-without-head", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def head_answers() -> bool:
    """Return whether Ray's head process answers."""
    try:
        internal_kv_get_gcs_client().internal_kv_exists(b"bakeoff", b"bakeoff", EVERY_S)
    except RayError:
        return False
    return True
