"""Storage of an Optuna study: SQLite in the run folder, or a shared database."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import URL, event, text
from sqlalchemy.exc import DBAPIError

from trainables.status import TrialStatus
from tune_jobs.run_folder.folder import STUDY_FILE, RunFolder
from tune_jobs.search.database import check_password, database_errors, parse_address

SQLITE_TIMEOUT_S = 60
"""Time to wait for a lock of the SQLite file, in seconds."""
BUSY = ("already exists", "database is locked", "UNIQUE constraint failed", "duplicate key")
"""Texts in the errors of a database that another search is creating."""
STATES = {
    TrialStatus.FINISHED: TrialState.COMPLETE,
    TrialStatus.STOPPED: TrialState.PRUNED,
}
"""Optuna state of each status of an ended trial; the other statuses are FAIL."""
SOURCE = "source"
"""User attribute of a trial added by --from: the run and trial that it comes from."""


class StudyStorage:
    """Optuna storage of one run.

    SQLite needs a local file. For a run folder in an object store, the file is kept in a temporary
    folder, and `sync` uploads a copy.

    Args:
        folder: the run folder.
        url: URL of the database; None for SQLite in the run folder.

    Raises:
        InputError: the URL has a password, or the database cannot be used.
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
        check_password(url)
        self.url = url
        self.rdb = _open_storage(url, _sqlite if self.file else RDBStorage)

    def sync(self) -> None:
        """Upload the SQLite file to the run folder, if that is in an object store."""
        if not (self.file and self.remote):
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, STUDY_FILE)
            # A backup by SQLite is consistent at any time; a copy of the bare file is not.
            source, target = sqlite3.connect(self.file), sqlite3.connect(copy)
            with source, target:
                source.backup(target)
            source.close()
            target.close()
            self.folder.write(STUDY_FILE, copy.read_bytes())

    def close(self) -> None:
        """Upload a last time, and close the connections."""
        self.sync()
        self.rdb.remove_session()
        self.rdb.engine.dispose()


def study_trials(folder: RunFolder, url: str | None) -> set[int] | None:
    """Return the numbers of the trials in the study of a run; None if there is no such study.

    The arguments and errors are those of StudyStorage.
    """
    storage = StudyStorage(folder, url)
    with database_errors(storage.url):
        studies = {study.study_name: study._study_id for study in storage.rdb.get_all_studies()}
        numbers = None
        if folder.name in studies:
            trials = storage.rdb.get_all_trials(studies[folder.name], deepcopy=False)
            numbers = {trial.number for trial in trials}
    storage.rdb.remove_session()
    storage.rdb.engine.dispose()
    return numbers


def _open_storage(url: str, open_: Callable[[str], RDBStorage]) -> RDBStorage:
    with database_errors(url):
        address = parse_address(url).render_as_string()
        end = time.monotonic() + SQLITE_TIMEOUT_S
        while True:
            try:
                return open_(address)
            except DBAPIError as error:  # noqa: PERF203  a retry
                # Another search creates the same tables; once it has, they are found.
                busy = any(text in str(error) for text in BUSY)
                if not busy or time.monotonic() > end:
                    raise
                time.sleep(0.2)


def _sqlite(url: str) -> RDBStorage:
    """Open SQLite with a write-ahead log: readers do not block us, and commits are cheap."""
    storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": SQLITE_TIMEOUT_S}})

    @event.listens_for(storage.engine, "connect")
    def pragmas(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        # Without a flush at every commit the log still survives a kill of the process.
        connection.execute("PRAGMA synchronous=NORMAL")

    with storage.engine.connect() as connection:
        found = connection.execute(text("PRAGMA quick_check(1)")).scalar()
    if found != "ok":
        raise ValueError(f"the file is damaged: {found}")
    storage.remove_session()
    storage.engine.dispose()  # so that all later connections have these settings
    return storage
