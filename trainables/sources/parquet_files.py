"""Parquet files of a source: which splits they are, and the images and labels they list."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.data import TRAIN
from trainables.errors import InputError
from trainables.source_options import SourceOptions
from trainables.sources.assembly import Rows, assemble
from trainables.sources.labels import LabelColumn, read_labels
from trainables.sources.listing import Listing
from trainables.sources.names import PART_NAMES, first_of, in_order, part_of, split_of_file
from trainables.sources.names_files import names_beside
from trainables.sources.parquet import (
    ParquetImages,
    check_image_column,
    class_names,
    image_paths,
    open_parquet,
    rows_without_bytes,
)
from trainables.sources.trees import Tree, version_of
from trainables.storage import PARQUET_DAMAGE

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label", "labels")


def files_by_split(
    place: str, names: Sequence[str], kind: str = ".parquet"
) -> tuple[dict[int, list[str]], list[str]]:
    """Sort the files of a dataset by split.

    Args:
        place: Path or URI of the source, for messages.
        names: Names of all files of a kind.
        kind: Their suffix, for messages.

    Returns:
        Files by TRAIN, VALIDATION or TEST, sorted; and the files of splits of other names.

    Raises:
        InputError: There are several configurations, two names of one split, or no training split.
    """
    folders: dict[str, list[str]] = {}
    for name in names:
        parts = [p for p in name.split("/")[:-1] if part_of(p.removeprefix("partial-")) is None]
        folders.setdefault("/".join(parts), []).append(name)
    if len(folders) > 1:
        readings = [
            f"{place}/{posixpath.commonpath([posixpath.dirname(n) for n in each])}".rstrip("/")
            for _, each in sorted(folders.items())
        ]
        raise InputError(
            f"{place} holds {kind} files of {len(folders):,} datasets or configurations: give one "
            f"of them, --data {' or --data '.join(readings)}"
        )
    splits: dict[int, list[str]] = {}
    written: dict[int, set[str]] = {}
    others = []
    for name in in_order(names):
        text, code = split_of_file(name)
        if code is None:
            others.append(name)
        else:
            splits.setdefault(code, []).append(name)
            written.setdefault(code, set()).add(text)
    for code, texts in written.items():
        if len(texts) > 1:
            raise InputError(
                f"{place} holds {' and '.join(sorted(texts))}, which are the same split: rename "
                f"the files {PART_NAMES[code]}-*{kind}, or leave some out"
            )
    if not splits:
        return {TRAIN: others}, []
    if TRAIN not in splits:
        first = next(iter(splits.values()))[0]
        raise InputError(
            f"{place} holds {first} but no train*{kind}: name the files train*{kind} and "
            f"test*{kind}, or give one {kind.removeprefix('.')} file"
        )
    return dict(sorted(splits.items())), others


def list_parquet(tree: Tree, names: Sequence[str], options: SourceOptions) -> Listing:
    """List the images in parquet files.

    Args:
        tree: Files of the source.
        names: Names of the parquet files; one file alone is a dataset without splits.
        options: Names of the columns.

    Raises:
        InputError: A file is damaged, or lacks images or labels.
    """
    if len(names) == 1 and tree.place == tree.reader.path(names[0]):
        splits, others = {TRAIN: list(names)}, list[str]()
    else:
        splits, others = files_by_split(tree.place, names)
    ignored: Counter[str] = Counter()
    for name in others:
        rows = open_parquet(tree.reader, name).metadata.num_rows
        ignored[f"image of split {split_of_file(name)[0]}"] += rows
    files = [(code, name) for code, each in splits.items() for name in each]
    columns: list[LabelColumn] = []
    ends: list[list[int]] = []
    paths: list[str | None] = []
    groups: list[object] = []
    elsewhere: dict[int, str] = {}
    image_names = set()
    for code, name in files:
        path = tree.reader.path(name)
        file = open_parquet(tree.reader, name)
        schema = file.schema_arrow
        try:
            image = _column(path, schema, options.image_column, IMAGE_COLUMNS, "image")
            check_image_column(path, schema.field(image).type)
            label = _column(path, schema, options.label_column, LABEL_COLUMNS, "label")
            parts = np.full(file.metadata.num_rows, code, dtype=np.int8)
            values = file.read(columns=[label])[label]
            values.validate(full=True)  # texts may be no UTF-8
            columns.append(LabelColumn(path, parts, values, class_names(schema, label)))
            if options.group_column is not None:
                group = _column(path, schema, options.group_column, (), "group")
                groups += file.read(columns=[group])[group].to_pylist()
            own_paths = image_paths(file, image)
            elsewhere |= _files_beside(tree, file, name, image, own_paths, len(paths))
        except PARQUET_DAMAGE as error:
            raise InputError(
                f"{path} cannot be read as parquet ({error}): it may be truncated; copy it again"
            ) from error
        paths += own_paths
        sizes = [file.metadata.row_group(g).num_rows for g in range(file.metadata.num_row_groups)]
        ends.append(np.cumsum(sizes).tolist())
        image_names.add(image)
    if len(image_names) > 1:
        raise InputError(
            f"{tree.place}: the files have the image columns {' and '.join(sorted(image_names))}: "
            "give every file the same columns"
        )
    named = [name for _, name in files]
    members = [tree.files[name] for name in [*named, *elsewhere.values()]]
    version = version_of(f"{tree.place} {image_names}", members)
    rows_ = Rows(
        place=tree.place,
        images=ParquetImages(tree.reader, named, image_names.pop(), ends, elsewhere, version),
        labels=read_labels(columns, names_beside(tree, posixpath.dirname(named[0]))),
        parts=np.concatenate([column.parts for column in columns]),
        paths=paths,
        groups=groups if options.group_column is not None else None,
        ignored=ignored,
    )
    if not splits.keys() - {TRAIN} and len(files) > 1 and split_of_file(named[0])[1] is None:
        rows_.notes.append(f"no file names a split: {first_of(named)} are read as one")
    return assemble(rows_, options)


def _column(
    file: str, schema: pa.Schema, requested: str | None, usual: Sequence[str], kind: str
) -> str:
    """Return the requested column name if the file has it, otherwise the first usual one."""
    for name in (requested,) if requested else usual:
        if name in schema.names:
            return name
    raise InputError(
        f"{file} has no column {requested or ' or '.join(usual)}, only "
        f"{', '.join(schema.names)}: name its {kind} column with --{kind}-column"
    )


def _files_beside(
    tree: Tree, file: pq.ParquetFile, name: str, column: str, paths: list[str | None], start: int
) -> dict[int, str]:
    """Find the files of the images that a parquet file holds by path alone.

    Returns:
        Name of the file in the tree, by row over all files, of which this one begins at `start`.

    Raises:
        InputError: An image has neither bytes nor a file.
    """
    found: dict[int, str] = {}
    lacking: list[str] = []
    for row in rows_without_bytes(file, column):
        path = paths[row]
        near = posixpath.normpath(posixpath.join(posixpath.dirname(name), path or ""))
        place = next((p for p in (near, path) if path and p in tree.files), None)
        if place is None:
            lacking.append(f"row {row} ({path})" if path else f"row {row}")
        else:
            found[start + row] = place
    if lacking:
        first = lacking[0].partition(" (")[0]
        raise InputError(
            f"{tree.reader.path(name)}, {first} has no image, neither bytes nor a file of its path "
            f"({len(lacking):,} rows: {first_of(lacking)}): add it or remove the row, or embed the "
            "images in the file"
        )
    return found
