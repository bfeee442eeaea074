"""Tables with a column of file paths, and metadata.csv beside images."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from trainables.data import TRAIN
from trainables.errors import InputError
from trainables.image_formats import IMAGE_SUFFIXES, KNOWN_SUFFIXES
from trainables.source_options import SourceOptions
from trainables.sources.assembly import Rows, assemble
from trainables.sources.labels import LabelColumn, read_labels
from trainables.sources.listing import Listing
from trainables.sources.names import first_of, part_of, suffix_of
from trainables.sources.names_files import names_beside
from trainables.sources.stores import Member, Store
from trainables.sources.table_columns import label_column, label_values, need, parts_of, path_column
from trainables.sources.table_files import Table, read_table
from trainables.sources.trees import Tree, TreeImages, check_sizes, tree_of, version_of

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


@dataclass
class TableRows:
    """Rows of one table, or of several that are read as one."""

    paths: list[str] = field(default_factory=list)
    """Path of each image below the source, or absolute."""
    columns: list[LabelColumn] = field(default_factory=list)
    """Labels of each table."""
    groups: list[object] = field(default_factory=list)
    """Value of the group column of each image; empty without one."""
    notes: list[str] = field(default_factory=list)
    """Sentences about what was read differently than it is written."""


def list_table(store: Store, name: str, options: SourceOptions) -> Listing:
    """List the images that a table names.

    Args:
        store: Folder of the table, which paths are relative to.
        name: Name of the table.
        options: Names of the columns.

    Raises:
        InputError: The table lacks paths or labels, or images are missing.
    """
    rows = TableRows()
    add_table(rows, read_table(store, name), options, "", None)
    wanted = {posixpath.dirname(path) for path in rows.paths}
    found = {m.name: m for folder in sorted(wanted) for m in store.files_in(folder)}
    beside = tree_of(store.path(name), store, store.files_in(""), ())
    about = beside.files.get(name, Member(name, 0, 0))
    return list_rows(rows, beside, found, [about], options, "")


def list_metadata(tree: Tree, tables: Sequence[str], options: SourceOptions) -> Listing:
    """List the images that metadata.csv or metadata.jsonl beside them name.

    Args:
        tree: Files of the source.
        tables: Names of the tables: one for all images, or one in the folder of each split.
        options: Names of the columns.

    Raises:
        InputError: A table lacks paths or labels, or images are missing.
    """
    rows = TableRows()
    splits: dict[int, str] = {}
    for name in sorted(tables):
        folder = posixpath.dirname(name)
        codes = [code for part in folder.split("/") if (code := part_of(part)) is not None]
        code = codes[-1] if codes else None
        if len(tables) > 1:
            if code is None or code in splits:
                raise InputError(
                    f"{tree.place} has two readings, with {first_of(sorted(tables))}: keep one of "
                    "them for all images, or one in each of the folders train, validation and test"
                )
            splits[code] = name
        add_table(rows, read_table(tree.reader, name), options, folder, code)
    if splits and TRAIN not in splits:
        raise InputError(
            f"{tree.place} holds {first_of(sorted(tables))} but none in a folder train: add it"
        )
    rows = in_split_order(rows)
    about = [tree.files[name] for name in tables]
    listing = list_rows(rows, tree, tree.files, about, options, posixpath.dirname(min(tables)))
    named = set(rows.paths)
    extra = [n for n in tree.files if suffix_of(n) in KNOWN_SUFFIXES and n not in named]
    if extra:
        listing.ignored[f"image not in {posixpath.basename(tables[0])}"] = len(extra)
    for kind, count in tree.not_images().items():
        if kind not in KNOWN_SUFFIXES:
            listing.ignored[kind] = count - sum(suffix_of(name) == kind for name in tables)
    for kind in [kind for kind, count in listing.ignored.items() if not count]:
        del listing.ignored[kind]
    return listing


def add_table(
    rows: TableRows, table: Table, options: SourceOptions, folder: str, split: int | None
) -> None:
    """Add the rows of a table.

    Args:
        rows: Rows to add to.
        table: The table.
        options: Names of the columns.
        folder: Folder of the table below the source, which its paths are relative to.
        split: Split of the table; None reads it from a column or the paths.
    """
    path_name = path_column(table, options.image_column)
    label_name = label_column(table, options.label_column)
    values = table.columns[path_name]
    empty = [row for row, value in enumerate(values) if value in ("", None)]
    if empty:
        raise InputError(
            f"{table.path}: {len(empty):,} rows have no {path_name}: row {first_of(empty)}: fill "
            "it in or remove the row"
        )
    paths = [posixpath.normpath(posixpath.join(folder, str(value))) for value in values]
    if options.group_column is not None:
        need(table, options.group_column, "group")
        rows.groups += table.columns[options.group_column]
    parts = (
        parts_of(table, [str(value) for value in values], rows.notes)
        if split is None
        else np.full(len(paths), split, dtype=np.int8)
    )
    labels = label_values(table.columns[label_name])
    rows.columns.append(LabelColumn(table.path, parts, labels, table.class_names.get(label_name)))
    rows.paths += paths


def in_split_order(rows: TableRows) -> TableRows:
    """Sort tables by split: train, validation, test."""
    starts = np.cumsum([0] + [len(column.values) for column in rows.columns])
    order = sorted(
        range(len(rows.columns)),
        key=lambda i: int(rows.columns[i].parts[0]) if len(rows.columns[i].parts) else 0,
    )

    def sort(values: list[object]) -> list[object]:
        return [v for i in order for v in values[starts[i] : starts[i + 1]]] if values else []

    return TableRows(
        paths=[str(path) for path in sort(list(rows.paths))],
        columns=[rows.columns[i] for i in order],
        groups=sort(rows.groups),
        notes=rows.notes,
    )


def list_rows(
    rows: TableRows,
    tree: Tree,
    found: dict[str, Member],
    tables: Sequence[Member],
    options: SourceOptions,
    folder: str,
) -> Listing:
    """Make a listing of the rows of tables, whose images must be there.

    Args:
        rows: The rows.
        tree: Files beside the table, for its names file.
        found: Files there are, by name.
        tables: Files of the tables.
        options: Options of groups and classes.
        folder: Folder of the names file.
    """
    missing = [path for path in rows.paths if path not in found]
    if missing:
        where = posixpath.dirname(tree.reader.path("x"))
        raise InputError(
            f"{tree.place} names {len(missing):,} of {len(rows.paths):,} files that are not there: "
            f"{first_of(missing)}: give paths relative to {where} or absolute ones"
        )
    check_sizes(tree.reader, (found[path] for path in rows.paths))
    unreadable = Counter(suffix_of(path) for path in rows.paths) - Counter(
        suffix_of(path) for path in rows.paths if suffix_of(path) in IMAGE_SUFFIXES
    )
    notes = [
        f"{count:,} files {kind or 'without suffix'} are read as images"
        for kind, count in sorted(unreadable.items())
    ]
    version = version_of(tree.place, [*tables, *(found[path] for path in rows.paths)])
    return assemble(
        Rows(
            place=tree.place,
            images=TreeImages(tree.reader, rows.paths, version),
            labels=read_labels(rows.columns, names_beside(tree, folder)),
            parts=np.concatenate([column.parts for column in rows.columns]),
            paths=rows.paths,
            groups=rows.groups if options.group_column is not None else None,
            notes=rows.notes + notes,
        ),
        options,
    )
