"""Errors that are not a person's input: what the machine causes, and faults of bakeoff."""

from __future__ import annotations

import errno
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

from trainables.errors import first_line

WRITABLE = "get the permission, or use another folder (for caches, set XDG_CACHE_HOME)"
REMEDIES = {
    errno.ENOSPC: "make space, or use another disk",
    errno.EDQUOT: "make space, or use another disk",
    errno.EROFS: WRITABLE,
    errno.EACCES: WRITABLE,
    errno.EPERM: WRITABLE,
    errno.EMFILE: "raise the limit of open files, e.g. ulimit -n 65536",
    errno.ENFILE: "raise the limit of open files, e.g. ulimit -n 65536",
    errno.ENOENT: "it was deleted or moved meanwhile",
}
"""What to do about an error of the operating system, by its number."""
DATABASES = ("sqlalchemy", "sqlite3", "optuna.exceptions", "psycopg")
"""Modules whose errors come from a database."""


def caused_by_machine(error: BaseException) -> str | None:
    """Return a message for an error that disk, network, memory or Ray has caused, else None."""
    causes = list(chain(error))
    for each in causes:
        if isinstance(each, OSError):
            remedy = REMEDIES.get(each.errno or 0, "mend it, and start the job again")
            return f"{described_os_error(each)}: {remedy}"
        if isinstance(each, MemoryError):
            return "the memory of this machine is used up: use smaller images or fewer at once"
    for each in reversed(causes):  # the first cause says most
        module = type(each).__module__
        if module.split(".")[0] in DATABASES or module in DATABASES:
            return f"the database failed ({first_line(each)}): mend it, and start the job again"
        if module == "ray.exceptions" and "RayTaskError" not in type(each).__name__:
            return f"Ray stopped ({first_line(each)}): start the job again"
    return None


def described_os_error(error: OSError) -> str:
    """Return the message of an error of the operating system, with the file."""
    if error.strerror is None:
        return first_line(error)
    return f"{error.strerror} ({error.filename})" if error.filename else error.strerror


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was raised from."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        yield current
        current = current.__cause__ or current.__context__


def report_fault(error: Exception) -> str:
    """Write the traceback of a fault of bakeoff to a file, and return what to do with it."""
    text = "".join([" ".join(sys.argv), "\n", *traceback.format_exception(error)])
    what = f"{type(error).__name__}: {first_line(error)}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="bakeoff-fault-", suffix=".txt", delete=False, errors="backslashreplace"
        ) as file:
            file.write(text)
    except OSError:
        return f"this is a fault of bakeoff, please report it as CONTRIBUTING.md says:\n{text}"
    return (
        f"this is a fault of bakeoff ({what}): please report it as CONTRIBUTING.md says, with the "
        f"file {Path(file.name)}"
    )
