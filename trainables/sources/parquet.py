"""Images in parquet files, in the layouts of the Hugging Face hub."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trainables.errors import InputError, first_line
from trainables.sources.stores import Disk, Reader
from trainables.storage import PARQUET_DAMAGE

BATCH_BYTES = 2**22
"""Approximate size in bytes of the batches that images are read in."""
CACHED_BATCHES = 8
"""Number of batches that are kept, for threads at different rows."""
OPEN_ROW_GROUPS = 4
"""Number of places that reading goes on from; each holds some pages of a row group."""
READ_BUFFER = 2**18


def open_parquet(reader: Reader, name: str) -> pq.ParquetFile:
    """Open a parquet file so that reading a part of a row group needs memory for that part alone.

    Raises:
        InputError: The file is damaged.
    """
    try:
        # A file of Arrow's own on a disk, because Python's would be read through objects of Python.
        file = pa.OSFile(reader.path(name)) if isinstance(reader, Disk) else reader.open(name)
        opened = pq.ParquetFile(file, buffer_size=READ_BUFFER, pre_buffer=False)
        _ = opened.schema_arrow.names  # which may be no UTF-8
        return opened
    except PARQUET_DAMAGE as error:
        raise InputError(
            f"{reader.path(name)} cannot be read as parquet ({first_line(error)}): it may be "
            "truncated; copy it again"
        ) from error


def class_names(schema: pa.Schema, label_column: str) -> tuple[str, ...] | None:
    """Return the class names from the `huggingface` metadata of a schema, or None."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        return tuple(features[label_column]["names"])
    except (KeyError, TypeError, ValueError, RecursionError):  # none, or of another structure
        return None


def holds_images(kind: pa.DataType) -> bool:
    """Whether a column of a type may hold the bytes of images."""
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and holds_images(kind.field(index).type)
    return str(kind) in ("binary", "large_binary", "binary_view")


def check_image_column(path: str, kind: pa.DataType) -> None:
    """Refuse a column that holds no bytes of images.

    Raises:
        InputError: It is of another type.
    """
    if not holds_images(kind):
        remedy = (
            "embed the images in the file"
            if pa.types.is_struct(kind)
            else "name the right column with --image-column"
        )
        raise InputError(
            f"{path}: the image column has type {kind} but must hold bytes, or a struct with a "
            f"field bytes: {remedy}"
        )


def image_paths(file: pq.ParquetFile, column: str) -> list[str | None]:
    """Return the name that each image had as a file, without reading the images."""
    kind = file.schema_arrow.field(column).type
    if not pa.types.is_struct(kind) or kind.get_field_index("path") < 0:
        return [None] * file.metadata.num_rows
    table = file.read(columns=[f"{column}.path"])
    paths: list[str | None] = pc.struct_field(table[column], "path").to_pylist()
    return paths


def rows_without_bytes(file: pq.ParquetFile, column: str) -> list[int]:
    """Return the rows whose image is null, reading no row group whose statistics count no null."""
    kind = file.schema_arrow.field(column).type
    leaf = f"{column}.bytes" if pa.types.is_struct(kind) else column
    metadata = file.metadata
    rows: list[int] = []
    start = 0
    for group in range(metadata.num_row_groups):
        about = metadata.row_group(group)
        chunk = next(
            about.column(i)
            for i in range(about.num_columns)
            if about.column(i).path_in_schema == leaf
        )
        nulls = chunk.statistics.null_count if chunk.is_stats_set else None
        if nulls == about.num_rows:
            rows += range(start, start + about.num_rows)
        elif nulls != 0:
            at = start
            for batch in batches_of(file, group, column, [leaf]):
                column_bytes = bytes_of(batch.column(0))
                rows += (np.flatnonzero(pc.is_null(column_bytes).to_numpy(False)) + at).tolist()
                at += batch.num_rows
        start += about.num_rows
    return rows


def bytes_of(column: pa.Array) -> pa.Array:
    """Return the bytes of a column of images, binary or null."""
    return pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column


def _value(column: pa.Array, row: int) -> bytes | None:
    content: bytes | None = column[row].as_py()
    return content


def batches_of(
    file: pq.ParquetFile, group: int, column: str, leaves: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Yield a row group's images in batches of about BATCH_BYTES."""
    about = file.metadata.row_group(group)
    size = sum(
        chunk.total_uncompressed_size
        for chunk in map(about.column, range(about.num_columns))
        if chunk.path_in_schema.split(".")[0] == column
    )
    rows = max(1, BATCH_BYTES * about.num_rows // max(size, 1))
    yield from file.iter_batches(
        batch_size=rows, row_groups=[group], columns=list(leaves), use_threads=False
    )


class ParquetImages:
    """Encoded images in a column of parquet files, read in batches.

    Args:
        reader: Reads the files.
        files: Name of each file.
        column: Name of the image column.
        ends: Number of rows up to the end of each row group, of each file.
        elsewhere: Name of the file that holds the image, of rows over all files without bytes.
        version: Hash of the files as they were listed.
    """

    def __init__(
        self,
        reader: Reader,
        files: Sequence[str],
        column: str,
        ends: Sequence[Sequence[int]],
        elsewhere: dict[int, str],
        version: str,
    ):
        self.reader = reader
        self.files = list(files)
        self.column = column
        self.elsewhere = elsewhere
        self._version = version
        self.ends = [list(each) for each in ends]
        self.starts = np.cumsum([0] + [each[-1] if each else 0 for each in ends])
        self._forget()

    def _forget(self) -> None:
        """Start without open files."""
        self._lock = threading.Lock()
        # Batches by file, row group and first row; and the iterators that go on behind them, by
        # file and row group, each with the row that comes next.
        self._batches: OrderedDict[tuple[int, int, int], pa.Array] = OrderedDict()
        self._cursors: list[tuple[int, int, int, Iterator[pa.RecordBatch]]] = []

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k not in ("_lock", "_batches", "_cursors")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def __len__(self) -> int:
        return int(self.starts[-1])

    def _place(self, row: int) -> tuple[int, int]:
        """Return the file of a row, and the row in it."""
        if not 0 <= row < len(self):
            raise IndexError(row)
        file = int(np.searchsorted(self.starts, row, side="right")) - 1
        return file, row - int(self.starts[file])

    def origin(self, row: int) -> str:
        """Return the file and row of an image."""
        file, inside = self._place(row)
        return f"{self.reader.path(self.files[file])}, row {inside}"

    def version(self) -> str:
        """Return the hash of the names, sizes and times of change that were listed."""
        return self._version

    def read(self, row: int) -> bytes:
        """Return the bytes of an image."""
        if row in self.elsewhere:
            return self.reader.read(self.elsewhere[row])
        file, inside = self._place(row)
        group = int(np.searchsorted(self.ends[file], inside, side="right"))
        first = self.ends[file][group - 1] if group else 0
        try:
            with self._lock:
                content: bytes | None = self._find(file, group, inside - first)
        except (*PARQUET_DAMAGE, InputError) as error:
            raise OSError(f"{self.origin(row)}: {first_line(error)}") from error
        if content is None:
            raise OSError(f"{self.origin(row)} has no image: add it or remove the row")
        return content

    def _find(self, file: int, group: int, row: int) -> bytes | None:
        """Return the image in a row of a row group, from a batch that is kept or the next ones."""
        for key, batch in self._batches.items():
            if key[:2] == (file, group) and 0 <= row - key[2] < len(batch):
                self._batches.move_to_end(key)
                return _value(batch, row - key[2])
        behind = [c for c in self._cursors if c[:2] == (file, group) and c[2] <= row]
        if behind:
            cursor = max(behind, key=lambda c: c[2])
            self._cursors.remove(cursor)
            at, batches = cursor[2], cursor[3]
        else:
            opened = open_parquet(self.reader, self.files[file])
            at, batches = 0, batches_of(opened, group, self.column, [self.column])
        for record in batches:
            batch = bytes_of(record.column(0))
            if row < at + len(batch):
                self._batches[file, group, at] = batch
                if len(self._batches) > CACHED_BATCHES:
                    self._batches.popitem(last=False)
                self._cursors = self._cursors[1 - OPEN_ROW_GROUPS :]
                self._cursors.append((file, group, at + len(batch), batches))
                return _value(batch, row - at)
            at += len(batch)
        raise OSError(f"{self.reader.path(self.files[file])} ends before row {row}")
