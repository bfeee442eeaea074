"""The run folder, on a disk or in an object store: names of its files, atomic writes."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from trainables.errors import InputError

RUN_FILE = "run.json"
TRIALS_FILE = "trials.parquet"
EPOCHS_FILE = "epochs.parquet"
TRACEBACK_FILE = "traceback.txt"
BEST_FOLDER = "best"
WEIGHTS_FOLDER = "weights"
CURVES_FILE = "curves.png"
FIGURES_FOLDER = "figures"
SPACE_FILE = "space.yaml"
STUDY_FILE = "optuna.db"
GOOGLE_ANSWERS_S = 10


@dataclass(frozen=True)
class RunFolder:
    """A run's folder, and how to read and write in it."""

    fs: pyarrow.fs.FileSystem
    path: str
    """Without the scheme, as `fs` takes it."""
    uri: str
    """As a person gives it: a local path, or s3://… or gs://…."""

    @classmethod
    def at(cls, uri: str | Path, *, patient: bool = False) -> RunFolder:
        """The folder at a local path or URI, whether it exists or not.

        Args:
            uri: of the folder.
            patient: wait out what keeps Google's store from answering, for minutes.

        Raises:
            InputError: the scheme is unknown, or the store does not answer.
        """
        if "://" in str(uri):
            place, query = _split(str(uri))
            text = place.rstrip("/") + query
        else:
            text = str(Path(uri).expanduser().absolute())
        try:
            fs, path = pyarrow.fs.FileSystem.from_uri(text if patient else _not_for_long(text))
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{text} cannot be used as storage ({_reason(error)}): give a local path, "
                "s3://bucket/path or gs://bucket/path"
            ) from error
        return cls(fs, path, text)

    @property
    def is_local(self) -> bool:
        """Whether the folder is on a disk, and not in an object store."""
        return isinstance(self.fs, pyarrow.fs.LocalFileSystem)

    @property
    def name(self) -> str:
        """Of the run."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def parent(self) -> RunFolder:
        """The folder that this one is in: the storage, of a run."""
        place, query = _split(self.uri)
        return RunFolder(self.fs, self.path.rsplit("/", 1)[0], place.rsplit("/", 1)[0] + query)

    def child(self, name: str) -> RunFolder:
        """A folder or file below this one."""
        place, query = _split(self.uri)
        return RunFolder(self.fs, f"{self.path}/{name}", f"{place}/{name}{query}")

    def has(self, name: str) -> bool:
        """Whether a file or folder of that name is there.

        Raises:
            InputError: the store does not say.
        """
        with self._asked():
            info = self.fs.get_file_info(f"{self.path}/{name}")
        return bool(info.type != pyarrow.fs.FileType.NotFound)

    def names(self) -> list[str]:
        """Of the files and folders in it; none where it does not exist.

        Raises:
            InputError: the store does not say.
        """
        selector = pyarrow.fs.FileSelector(self.path, allow_not_found=True)
        with self._asked():
            return [info.base_name for info in self.fs.get_file_info(selector)]

    @contextlib.contextmanager
    def on_disk(self) -> Iterator[Path]:
        """The folder as a local path: itself, or a temporary copy of one in an object store."""
        if self.is_local:
            yield Path(self.path)
            return
        with tempfile.TemporaryDirectory() as copy:
            pyarrow.fs.copy_files(self.path, copy, source_filesystem=self.fs)
            yield Path(copy)

    def clear(self, *names: str) -> None:
        """Delete folders below this one, where they are there."""
        for name in names:
            if self.has(name):
                self.fs.delete_dir(f"{self.path}/{name}")

    def make(self) -> None:
        """Create the folder, and check that it can be written.

        Raises:
            InputError: it cannot.
        """
        try:
            self.fs.create_dir(self.path)
            self.write(".writable", b"")
            self.fs.delete_file(f"{self.path}/.writable")
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{self.uri} cannot be written ({_reason(error)}): give another folder or URI, "
                "or the right to write there"
            ) from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other drivers out, on a disk; the lock goes with the process, however it ends.

        Raises:
            InputError: another driver has it.
        """
        if not self.is_local:
            yield
            return
        try:
            with FileLock(f"{self.path}/.lock", timeout=0):
                yield
        except Timeout as error:
            raise InputError(
                f"{self.uri} is being written by another process: wait for it, or stop it first"
            ) from error

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            FileNotFoundError: it is not there.
            InputError: the store does not give it.
        """
        with self._asked(), self.fs.open_input_file(f"{self.path}/{name}") as file:
            content: bytes = file.read()
        return content

    def write(self, name: str, content: bytes) -> None:
        """Replace a file at once: a reader, or a kill, meets the old or the new one."""
        target = f"{self.path}/{name}"
        # An object store shows an object when it is complete; a disk needs a rename.
        written = target + ".tmp" if self.is_local else target
        with self.fs.open_output_stream(written) as file:
            file.write(content)
        if self.is_local:
            self.fs.move(written, target)

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file.

        Raises:
            InputError: it is damaged.
        """
        try:
            content: dict[str, Any] = json.loads(self.read(name))
        except ValueError as error:
            raise self._damaged(name, error) from error
        return content

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file, readable for people."""
        self.write(name, (json.dumps(content, indent=2) + "\n").encode())

    def read_frame(self, name: str) -> pd.DataFrame:
        """A parquet file."""
        return pd.read_parquet(io.BytesIO(self.read(name)))

    def read_rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of a parquet file, None where a value is missing.

        Raises:
            InputError: it is damaged.
        """
        try:
            rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(self.read(name))).to_pylist()
        except pa.ArrowException as error:
            raise self._damaged(name, error) from error
        return rows

    def write_rows(self, name: str, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> None:
        """Write rows as parquet; columns a row lacks are null."""
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer)
        self.write(name, buffer.getvalue())

    @contextlib.contextmanager
    def _asked(self) -> Iterator[None]:
        """Raise InputError where the store refuses, or does not answer."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{self.uri} cannot be read ({_reason(error)}): check the address, your "
                "credentials and the right to read there"
            ) from error

    def _damaged(self, name: str, error: Exception) -> InputError:
        return InputError(
            f"{self.child(name).uri} is damaged ({error}): take it from a backup, or leave the "
            "folder out and start again"
        )


def _split(uri: str) -> tuple[str, str]:
    """The place that a URI names, and its query, which tells of the store."""
    if "://" not in uri:
        return uri, ""
    place, mark, query = uri.partition("?")
    return place, mark + query


def _not_for_long(uri: str) -> str:
    """Google's store is asked for 15 minutes where nobody has credentials for it, or answers."""
    if not uri.startswith(("gs://", "gcs://")) or "retry_limit_seconds" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}retry_limit_seconds={GOOGLE_ANSWERS_S}"


def _reason(error: Exception) -> str:
    """Without Google's second telling of it."""
    return str(error).split(" error_info=")[0]
