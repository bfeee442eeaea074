"""The lock by which the driver of a run keeps others out of its folder, and shows that it lives."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from trainables.errors import InputError

LOCK_FILE = ".lock"
READERS_S = 0.2
"""Seconds for which a driver waits at least: a reader holds the lock for an instant."""


@contextlib.contextmanager
def locked(path: str, uri: str, wait_s: float) -> Iterator[None]:
    """Lock a folder on a disk within the context.

    The operating system releases the lock when the process ends, even if it is killed.

    Args:
        path: path of the folder.
        uri: the same for the message.
        wait_s: seconds to wait for another process.

    Raises:
        InputError: another process has locked the folder.
    """
    try:
        with FileLock(f"{path}/{LOCK_FILE}", timeout=wait_s):
            yield
    except Timeout as error:
        raise InputError(
            f"{uri} is being written by another process: wait for it, or stop it first"
        ) from error


def is_locked(path: str) -> bool:
    """Return whether a process has locked a folder on a disk.

    True where that cannot be found out: without permission to write, or on a file system without
    locks.
    """
    file = Path(path, LOCK_FILE)
    if not file.exists():
        return False
    try:
        with FileLock(file, timeout=0):
            return False
    except (Timeout, OSError, NotImplementedError):
        return True
