"""The run folder, on a disk or in an object store: names of its files, and atomic writes."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from trainables.errors import InputError
from trainables.storage import PARQUET_DAMAGE, open_folder
from tune_jobs.run_folder.lock import READERS_S, is_locked, locked

RUN_FILE = "run.json"
TRIALS_FILE = "trials.parquet"
EPOCHS_FILE = "epochs.parquet"
TRACEBACK_FILE = "traceback.txt"
BEST_FOLDER = "best"
MODEL_FOLDER = "model"
WEIGHTS_FOLDER = "weights"
TEST_IMAGES_FILE = "test-images.npy"
CURVES_FILE = "curves.png"
SHORTLIST_FILE = "shortlist.parquet"
SHORTLIST_FIGURE = "shortlist.png"
FIGURES_FOLDER = "figures"
SPACE_FILE = "space.yaml"
STUDY_FILE = "optuna.db"
FORMAT = 1
"""Version of the format of run.json and the two tables; readers refuse newer formats."""
RECORD_TYPES: dict[str, type] = {
    "format": int, "job": str, "status": str, "started": str, "options": dict, "dataset": dict,
    "split": dict, "resumed": list,
}  # fmt: skip
"""Entries of run.json that every version has written, and their types."""


@dataclass(frozen=True)
class RunFolder:
    """Folder on a disk or in an object store, with methods to read and write its files."""

    fs: pyarrow.fs.FileSystem
    """File system that the folder is on."""
    path: str
    """Path in the file system, without a scheme."""
    uri: str
    """Local path, or URI such as s3://… or gs://…, as on the command line."""

    @classmethod
    def at(cls, uri: str | Path, *, patient: bool = False) -> RunFolder:
        """Return the folder at a local path or URI, which need not exist.

        Args:
            uri: local path or URI of the folder.
            patient: retry for minutes while Google Cloud Storage does not answer.

        Raises:
            InputError: the scheme is unknown, or the store does not answer.
        """
        if "://" in str(uri):
            address, query = _split(str(uri))
            text = address.rstrip("/") + query
        else:
            text = str(Path(uri).expanduser().absolute())
        try:
            fs, path = open_folder(text, patient=patient)
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{text} cannot be used as storage ({_reason(error)}): give a local path, "
                "s3://bucket/path or gs://bucket/path"
            ) from error
        return cls(fs, path, text)

    @property
    def is_local(self) -> bool:
        """Whether the folder is on a disk and not in an object store."""
        return isinstance(self.fs, pyarrow.fs.LocalFileSystem)

    @property
    def name(self) -> str:
        """Name of the folder, which is the name of the run."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def parent(self) -> RunFolder:
        """Parent folder; that of a run folder is the storage."""
        address, query = _split(self.uri)
        return RunFolder(self.fs, self.path.rsplit("/", 1)[0], address.rsplit("/", 1)[0] + query)

    def child(self, name: str) -> RunFolder:
        """Return a folder or file below this one, which need not exist."""
        address, query = _split(self.uri)
        return RunFolder(self.fs, f"{self.path}/{name}", f"{address}/{name}{query}")

    def has(self, name: str) -> bool:
        """Return whether a file or folder of this name exists.

        Raises:
            InputError: the store cannot be read.
        """
        with self._read_errors():
            info = self.fs.get_file_info(f"{self.path}/{name}")
        return bool(info.type != pyarrow.fs.FileType.NotFound)

    def names(self) -> list[str]:
        """Return the names of the files and folders in it; none if it does not exist.

        Raises:
            InputError: the store cannot be read.
        """
        selector = pyarrow.fs.FileSelector(self.path, allow_not_found=True)
        with self._read_errors():
            return [info.base_name for info in self.fs.get_file_info(selector)]

    @contextlib.contextmanager
    def on_disk(self) -> Iterator[Path]:
        """Give the folder as a local path; that of an object store is a temporary copy."""
        if self.is_local:
            yield Path(self.path)
            return
        with tempfile.TemporaryDirectory() as copy:
            pyarrow.fs.copy_files(self.path, copy, source_filesystem=self.fs)
            yield Path(copy)

    def clear(self, *names: str) -> None:
        """Delete files and folders below this one, if they exist."""
        for name in names:
            path = f"{self.path}/{name}"
            kind = self.fs.get_file_info(path).type
            if kind == pyarrow.fs.FileType.Directory:
                self.fs.delete_dir(path)
            elif kind == pyarrow.fs.FileType.File:
                self.fs.delete_file(path)

    def make(self) -> None:
        """Create the folder and check that it can be written.

        Raises:
            InputError: it cannot be written.
        """
        try:
            self.fs.create_dir(self.path)
            self.write(".writable", b"")
            self.fs.delete_file(f"{self.path}/.writable")
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{self.uri} cannot be written ({_reason(error)}): give another folder or URI, "
                "or get write permission"
            ) from error

    @contextlib.contextmanager
    def lock(self, wait_s: float = READERS_S) -> Iterator[None]:
        """Lock the folder against other drivers, on a disk only.

        Args:
            wait_s: seconds to wait for another driver.

        Raises:
            InputError: another driver has locked the folder.
        """
        with locked(self.path, self.uri, wait_s) if self.is_local else contextlib.nullcontext():
            yield

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            FileNotFoundError: the file does not exist.
            InputError: the store cannot be read.
        """
        with self._read_errors(), self.fs.open_input_file(f"{self.path}/{name}") as file:
            content: bytes = file.read()
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically: readers see the old or the new content, even after a kill."""
        target = f"{self.path}/{name}"
        # An object store shows only complete objects; a disk needs a rename.
        written = target + ".tmp" if self.is_local else target
        with self.fs.open_output_stream(written) as file:
            file.write(content)
        if self.is_local:
            self.fs.move(written, target)

    def read_json(self, name: str) -> dict[str, Any]:
        """Return the content of a JSON file.

        Raises:
            InputError: the file is damaged.
        """
        try:
            content: dict[str, Any] = json.loads(self.read(name))
        except InputError:  # it cannot be read
            raise
        except (ValueError, RecursionError) as error:
            raise self._damaged(name, error) from error
        return content

    def read_record(self) -> dict[str, Any]:
        """Return the content of run.json.

        A driver that was killed has left the status running. It is interrupted here, but not in an
        object store, which has no locks.

        Raises:
            InputError: it is damaged, no run.json, or a newer version wrote it.
        """
        record = self.read_json(RUN_FILE)
        found = record.get("format") if isinstance(record, dict) else None
        if isinstance(found, int) and found > FORMAT:
            raise InputError(
                f"{self.uri} has format {found}, but this version reads up to {FORMAT}: upgrade "
                "bakeoff"
            )
        for name, kind in RECORD_TYPES.items():
            if not isinstance(record, dict) or not isinstance(record.get(name), kind):
                raise self._damaged(RUN_FILE, f"{name} must be of type {kind.__name__}")
        for name in ("data", "run", "training"):
            if not isinstance(record["options"].get(name), dict):
                raise self._damaged(RUN_FILE, f"options.{name} must be of type dict")
        if record["status"] == "running" and self.is_local and not is_locked(self.path):
            record["status"] = "interrupted"
        return record

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file with indentation."""
        self.write(name, (json.dumps(content, indent=2) + "\n").encode())

    def read_frame(self, name: str) -> pd.DataFrame:
        """Return a parquet file as a data frame.

        Raises:
            InputError: the file is damaged.
        """
        return cast("pd.DataFrame", self._parsed(name, pd.read_parquet))

    def read_rows(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of a parquet file, with None for null.

        Raises:
            InputError: the file is damaged.
        """
        rows: list[dict[str, Any]] = self._parsed(name, lambda f: pq.read_table(f).to_pylist())
        return rows

    def _parsed(self, name: str, parse: Callable[[io.BytesIO], Any]) -> Any:
        with contextlib.suppress(*PARQUET_DAMAGE):
            return parse(io.BytesIO(self.read(name)))
        try:  # again, as a store may give parts of a file and of what replaces it
            return parse(io.BytesIO(self.read(name)))
        except PARQUET_DAMAGE as error:
            raise self._damaged(name, error) from error

    def write_rows(self, name: str, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> None:
        """Write rows to a parquet file; columns that a row lacks are null."""
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer)
        self.write(name, buffer.getvalue())

    @contextlib.contextmanager
    def _read_errors(self) -> Iterator[None]:
        """Raise InputError if the store refuses access or does not answer."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{self.uri} cannot be read ({_reason(error)}): check the address, your "
                "credentials and your read permission"
            ) from error

    def _damaged(self, name: str, error: Exception | str) -> InputError:
        return InputError(
            f"{self.child(name).uri} is damaged ({error}): restore it from a backup, or start "
            "a new run in another folder"
        )


def _split(uri: str) -> tuple[str, str]:
    """Return a URI without its query, and the query, which has options of the store."""
    if "://" not in uri:
        return uri, ""
    address, mark, query = uri.partition("?")
    return address, mark + query


def _reason(error: Exception) -> str:
    """Return the message of an error, which Google Cloud Storage repeats in error_info."""
    return str(error).split(" error_info=")[0]
