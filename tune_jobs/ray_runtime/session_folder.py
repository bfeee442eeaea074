"""The folder of a local Ray: its sockets, logs and token, which other users cannot read."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from trainables.errors import InputError

PARENTS = ("/tmp", "/var/tmp")
"""Folders for temporary files that are tried after those of the environment."""
TOKEN_FILE = "token"  # noqa: S105  a name
LOCK_FILE = ".lock"
"""File that a job locks as long as it runs; the system releases it even if the job is killed."""
PREFIX = "bakeoff-"
RAY_FOLDER = "ray"
"""Folder in it that Ray makes writable for everyone, which the folder around it prevents."""
LONGEST = 35
"""Longest path of the folder in bytes: paths of sockets end after 103 to 107, of which Ray's own
names below it take 68."""
LEAST_FREE = 100_000_000
"""Least free space in bytes that a local Ray is started with; it writes logs."""


@contextlib.contextmanager
def session_folder() -> Iterator[Path]:
    """Make the folder of a local Ray, with a token in it, and delete it in the end.

    Raises:
        InputError: no folder for temporary files can be used.
    """
    folder = _make_folder()
    clear_abandoned(folder.parent)
    try:
        with FileLock(folder / LOCK_FILE):
            token = folder / TOKEN_FILE
            token.touch(mode=0o600)
            token.write_text(secrets.token_hex(32))
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_abandoned(parent: Path) -> None:
    """Delete the folders of jobs that were killed: those with a token, which nobody has locked."""
    for folder in parent.glob(f"{PREFIX}*"):
        if (folder / TOKEN_FILE).exists():
            with contextlib.suppress(OSError, Timeout), FileLock(folder / LOCK_FILE, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)


def keep_logs(folder: Path) -> Path:
    """Keep the logs of a Ray that did not start, and return the folder that they are in."""
    logs = next(folder.glob(f"{RAY_FOLDER}/session_2*/logs"), folder)
    kept = folder.with_name(f"failed-{folder.name}")
    return kept / logs.relative_to(folder) if logs.is_dir() and folder.rename(kept) else kept


def _make_folder() -> Path:
    """Make an empty folder that this user alone can read."""
    asked = os.environ.get("RAY_TMPDIR"), os.environ.get("TMPDIR"), *PARENTS
    refused = []
    for parent in dict.fromkeys(filter(None, asked)):
        try:
            made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        except OSError as error:
            refused.append(f"{parent} cannot be written ({error.strerror})")
            continue
        free = shutil.disk_usage(made).free
        if len(os.fsencode(made)) > LONGEST:
            refused.append(f"{parent} has a path that is too long for the names of Ray's sockets")
        elif free < LEAST_FREE:
            refused.append(f"{parent} has {free / 1e6:.0f} MB left")
        else:
            return made
        made.rmdir()
    raise InputError(
        "a local Ray needs a folder for temporary files with a short path and "
        f"{LEAST_FREE / 1e6:.0f} MB of space, but {'; '.join(refused)}: set RAY_TMPDIR to another"
    )
