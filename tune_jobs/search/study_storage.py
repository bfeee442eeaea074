"""Where Optuna keeps a study: SQLite in the run folder, or a database that is shared."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import URL, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from trainables.errors import InputError
from trainables.status import TrialStatus
from tune_jobs.run_folder.folder import STUDY_FILE, RunFolder

SQLITE_TIMEOUT_S = 60
STATES = {
    TrialStatus.FINISHED: TrialState.COMPLETE,
    TrialStatus.STOPPED: TrialState.PRUNED,
}
"""Of Optuna, for statuses of trials that have ended; the others are FAIL."""
SOURCE = "source"
"""User attribute of a trial that this run has not trained: where it is from."""


class StudyStorage:
    """Optuna's storage of one run.

    SQLite needs a disk. For a run folder in an object store the file is worked on beside, and
    copied there by `sync`.

    Args:
        folder: of the run.
        url: of a database; None for SQLite in the run folder.

    Raises:
        InputError: the database does not answer, or holds what is not Optuna's.
    """

    def __init__(self, folder: RunFolder, url: str | None):
        self.folder = folder
        self.file: Path | None = None
        self.remote = not folder.is_local
        if url is None:
            self.file = Path(folder.path, STUDY_FILE)
            if self.remote:
                self._scratch = tempfile.TemporaryDirectory()
                self.file = Path(self._scratch.name, STUDY_FILE)
                if folder.has(STUDY_FILE):
                    self.file.write_bytes(folder.read(STUDY_FILE))
            url = URL.create("sqlite", database=str(self.file)).render_as_string()
        _check_password(url)
        self.url = url
        self.rdb = _opened(url, _sqlite if self.file else RDBStorage)

    def sync(self) -> None:
        """Copy the file to the object store that the run folder is in."""
        if not (self.file and self.remote):
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, STUDY_FILE)
            # SQLite's own copy is complete at any moment, which the file alone is not.
            source, target = sqlite3.connect(self.file), sqlite3.connect(copy)
            with source, target:
                source.backup(target)
            source.close()
            target.close()
            self.folder.write(STUDY_FILE, copy.read_bytes())

    def close(self) -> None:
        """Copy for the last time, and give the connections back."""
        self.sync()
        self.rdb.remove_session()
        self.rdb.engine.dispose()


def study_trials(folder: RunFolder, url: str | None) -> set[int] | None:
    """Numbers of the trials in the study of a run; None where there is no such study.

    Args and errors are those of StudyStorage.
    """
    storage = StudyStorage(folder, url)
    with _explained(storage.url):
        studies = {study.study_name: study._study_id for study in storage.rdb.get_all_studies()}
        numbers = None
        if folder.name in studies:
            trials = storage.rdb.get_all_trials(studies[folder.name], deepcopy=False)
            numbers = {trial.number for trial in trials}
    storage.rdb.remove_session()
    storage.rdb.engine.dispose()
    return numbers


def _opened(url: str, open_: Callable[[str], RDBStorage]) -> RDBStorage:
    with _explained(url):
        address = make_url(url)
        if address.drivername == "postgresql":  # whose driver depends on SQLAlchemy's version
            address = address.set(drivername="postgresql+psycopg")
        return open_(address.render_as_string())


def _check_password(url: str) -> None:
    """Raise InputError where a URL has one; it would be read in run.json and in the report."""
    with contextlib.suppress(ArgumentError):  # is explained when it is opened
        address = make_url(url)
        if address.password is not None or any("passw" in key for key in address.query):
            raise InputError(
                f"--optuna-storage {address.set(query={})} has a password, which would stand in "
                "run.json and in the report: leave it out, and give it by PGPASSWORD or in "
                "~/.pgpass"
            )


@contextlib.contextmanager
def _explained(url: str) -> Iterator[None]:
    """Raise InputError where a database cannot be used."""
    try:
        yield
    # A driver that is missing, an address without an answer, a file that is no database, tables
    # of another version of Optuna.
    except (ImportError, SQLAlchemyError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"Optuna cannot keep a study in {url} ({reason}): check that the database is "
            "there, is whole and is Optuna's, or take another --optuna-storage"
        ) from error


def _sqlite(url: str) -> RDBStorage:
    """SQLite with a write-ahead log: the dashboard reads while we write, and commits are cheap."""
    storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": SQLITE_TIMEOUT_S}})

    @event.listens_for(storage.engine, "connect")
    def pragmas(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        # A log that is not flushed at every commit survives a kill of the process all the same.
        connection.execute("PRAGMA synchronous=NORMAL")

    with storage.engine.connect() as connection:
        found = connection.execute(text("PRAGMA quick_check(1)")).scalar()
    if found != "ok":
        raise ValueError(f"it is damaged: {found}")
    storage.remove_session()
    storage.engine.dispose()  # connections made from now on are so
    return storage
