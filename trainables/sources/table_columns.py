"""Columns of tables: which hold the paths, labels and splits."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainables.data import TRAIN
from trainables.errors import InputError
from trainables.image_formats import IMAGE_SUFFIXES, KNOWN_SUFFIXES
from trainables.sources.names import first_of, part_of, suffix_of
from trainables.sources.table_files import Table

PATH_COLUMNS = (
    "file_name", "filename", "file", "file_path", "filepath", "path", "image_path", "image_file",
    "image_name", "image", "img", "img_path", "image_id",
)  # fmt: skip
LABEL_COLUMNS = (
    "label", "labels", "class", "class_name", "class_label", "classname", "target", "category",
    "fine_label", "label_name", "label_id", "class_id",
)  # fmt: skip
SPLIT_COLUMNS = (
    "split",
    "part",
    "subset",
    "set",
    "partition",
    "fold",
    "phase",
    "usage",
    "data_set",
)
WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
"""Whole numbers that 64 bits hold; other scripts have digits that Python takes for ours."""


def need(table: Table, column: str, kind: str) -> None:
    """Refuse a column that a table lacks.

    Raises:
        InputError: The table has no column of this name.
    """
    if column not in table.columns:
        raise InputError(
            f"{table.path} has no column {column}, only {', '.join(table.columns)}: name its "
            f"{kind} column with --{kind}-column"
        )


def path_column(table: Table, requested: str | None) -> str:
    """Find the column of paths: that of a usual name, or the only one that names image files."""
    if requested is not None:
        need(table, requested, "image")
        return requested
    if any(suffix_of(name) in IMAGE_SUFFIXES for name in table.columns):
        raise InputError(
            f"{table.path} has the columns {', '.join(table.columns)}, one of which names an image "
            "(is the header line missing?): add a first line with the names of the columns"
        )
    named = [
        name
        for name, values in table.columns.items()
        if values and all(suffix_of(str(value)) in KNOWN_SUFFIXES for value in values[:100])
    ]
    usual = {name.lower(): name for name in reversed(table.columns)}
    for name in PATH_COLUMNS:
        column = usual.get(name)
        if column and (column in named or not named):
            return column
    if len(named) == 1:
        return named[0]
    if named:
        raise InputError(
            f"{table.path} has two readings, because {' and '.join(named)} name image files: name "
            "one with --image-column"
        )
    raise InputError(
        f"{table.path} has no column of image files, only {', '.join(table.columns)}: name the "
        "column of paths with --image-column, or give the folder of the images"
    )


def label_column(table: Table, requested: str | None) -> str:
    """Find the label column; of two of usual names, they must say the same."""
    if requested is not None:
        need(table, requested, "label")
        return requested
    lower = {name.lower(): name for name in reversed(table.columns)}
    usual = [lower[name] for name in LABEL_COLUMNS if name in lower]
    if not usual:
        raise InputError(
            f"{table.path} has no column {' or '.join(LABEL_COLUMNS[:3])}, only "
            f"{', '.join(table.columns)}: name its label column, e.g. --label-column "
            f"{shlex.quote(_likely_label(table))}"
        )
    first, *rest = usual
    for other in rest:
        a, b = (list(map(str, table.columns[name])) for name in (first, other))
        if not len(set(a)) == len(set(b)) == len(set(zip(a, b, strict=True))):
            raise InputError(
                f"{table.path} has two readings, because {first} and {other} are not the same "
                "classes: name one with --label-column"
            )
    names = [n for n in usual if pa.types.is_string(label_values(table.columns[n]).type)]
    return names[0] if names else first


def _likely_label(table: Table) -> str:
    """Return the column whose values repeat most, but are not all the same."""
    distinct = {
        name: len(set(map(str, values)))
        for name, values in table.columns.items()
        if name.lower() not in SPLIT_COLUMNS
    }
    repeated = [name for name in distinct if distinct[name] > 1]
    return min(repeated, key=distinct.__getitem__, default="NAME")


def label_values(values: Sequence[object]) -> pa.Array:
    """Return labels as integers if they are all written as such, otherwise as texts."""
    given = [value for value in values if value is not None]
    whole = all(WHOLE_NUMBER.fullmatch(str(v)) for v in given)
    if whole and (
        all(isinstance(v, int) for v in given)
        or all(isinstance(v, str) and str(int(v)) == v for v in given)
    ):
        return pa.array([None if v is None else int(str(v)) for v in values], pa.int64())
    if all(isinstance(v, float) and v.is_integer() for v in given):
        return pa.array([None if v is None else int(float(str(v))) for v in values], pa.int64())
    return pa.array([None if v is None else str(v) for v in values], pa.string())


def parts_of(table: Table, paths: list[str], notes: list[str]) -> npt.NDArray[np.int8]:
    """Read the splits of a column of a usual name, or of the folders in the paths.

    Args:
        table: The table.
        paths: Path of each row.
        notes: Notes to add to.

    Raises:
        InputError: Some rows have no split, or none is for training.
    """
    none = np.full(len(paths), TRAIN, dtype=np.int8)
    lower = {name.lower(): name for name in reversed(table.columns)}
    for column in (lower[name] for name in SPLIT_COLUMNS if name in lower):
        values = [str(value) for value in table.columns[column]]
        distinct = list(dict.fromkeys(values))
        if any(part_of(value) is not None for value in distinct):
            return _codes(table, f"column {column}", values)
        notes.append(f"column {column} is not read as splits: {first_of(distinct)}")
    folders = [next((f for f in p.split("/")[:-1] if part_of(f) is not None), "") for p in paths]
    distinct = sorted(set(folders))
    if len(distinct) < 2:
        return none
    if "" in distinct:
        notes.append(
            f"the folders {first_of(distinct[1:])} of some paths are not read as splits, because "
            "other paths are in none"
        )
        return none
    notes.append(f"the folders {first_of(distinct)} of the paths are the splits")
    return _codes(table, "the folders of the paths", folders)


def _codes(table: Table, what: str, values: list[str]) -> npt.NDArray[np.int8]:
    """Return the split of each row, if all are known and one is the training split."""
    codes = {value: part_of(value) for value in dict.fromkeys(values)}
    known = {value: code for value, code in codes.items() if code is not None}
    if len(known) < len(codes):
        strange = first_of([repr(value) for value in codes if value not in known])
        raise InputError(
            f"{table.path}: {what} say {first_of(list(known))}, which are splits, and {strange}, "
            "which are none: write train, validation or test in every row, or rename the column"
        )
    if TRAIN not in known.values():
        raise InputError(
            f"{table.path}: {what} say {first_of(list(known))} but no train: add training images"
        )
    for code in set(known.values()):
        same = {value.lower() for value in known if known[value] == code}
        if len(same) > 1:
            raise InputError(
                f"{table.path}: {what} say {' and '.join(sorted(same))}, which are the same "
                "split: write one"
            )
    return np.array([known[value] for value in values], dtype=np.int8)
