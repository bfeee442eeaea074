"""Addresses of databases, checked before a search starts anything."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from trainables.errors import InputError, first_line

CONNECT_S = 10
"""Seconds to wait for the answer of a database server."""
TIMEOUTS = {"psycopg": "connect_timeout", "psycopg2": "connect_timeout",
            "pymysql": "connect_timeout", "mysqldb": "connect_timeout"}  # fmt: skip
"""Argument of each driver that limits the time of a connection."""
SQLITE_HEADER = b"SQLite format 3\0"


def check_address(url: str) -> None:
    """Check that a database can be reached, without creating one.

    Args:
        url: value of --optuna-storage.

    Raises:
        InputError: the address is malformed or has a password, or no such database answers.
    """
    check_password(url)
    with database_errors(url):
        address = parse_address(url)
        if address.get_backend_name() == "sqlite":
            check_file(address)
            return
        timeout = TIMEOUTS.get(address.get_driver_name())
        engine = create_engine(address, connect_args={timeout: CONNECT_S} if timeout else {})
        try:
            engine.connect().close()
        finally:
            engine.dispose()


def parse_address(url: str) -> URL:
    """Return the address of a database, of PostgreSQL with the driver that we install."""
    address = make_url(url)
    if address.drivername == "postgresql":  # default driver: by SQLAlchemy version
        address = address.set(drivername="postgresql+psycopg")
    return address


def check_file(address: URL) -> None:
    """Raise ValueError unless SQLite can keep a database at a path."""
    name = address.database or ":memory:"
    if name == ":memory:" or "memory" in str(address.query.get("mode", "")) or "file:" in name:
        raise ValueError("it would be in memory and lost at the end: give sqlite:////PATH/x.db")
    path = Path(name)
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError(
            "its path depends on the folder that a job is started in: give it in full, "
            f"sqlite:///{Path(os.path.normpath(path.absolute()))}"
        )
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent}")
    if path.exists():
        with path.open("rb") as file:
            start = file.read(len(SQLITE_HEADER))
        if start not in (b"", SQLITE_HEADER):
            raise ValueError("the file is not a database of SQLite")


def check_password(url: str) -> None:
    """Raise InputError if a URL has a password, which run.json and the report would show."""
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):  # reported when the database is opened
        return
    if address.password is not None or any("passw" in key for key in address.query):
        raise InputError(
            f"--optuna-storage {address.set(query={})} has a password, which run.json and "
            "the report would show: leave it out, and set it in PGPASSWORD or ~/.pgpass"
        )


@contextlib.contextmanager
def database_errors(url: str) -> Iterator[None]:
    """Raise InputError in place of the errors of a database that cannot be used."""
    try:
        yield
    except InputError:
        raise
    # A missing driver, an unreachable server, a file that is no database, or tables of another
    # version of Optuna.
    except (ImportError, OSError, SQLAlchemyError, RuntimeError, ValueError) as error:
        reason = first_line(error)
        shown = re.sub("(//[^/:@]*):[^/@]*@", r"\1:***@", url)  # also where it is no URL
        raise InputError(
            f"Optuna cannot store a study in {shown} ({reason}): check that the database exists, "
            "is intact and is not used by another program, or give another --optuna-storage"
        ) from error
