"""Label columns: numbers or names, of one or several files, as labels from 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainables.data import TRAIN, Ints
from trainables.errors import InputError
from trainables.sources.names import NAMED_AT_MOST, PART_NAMES


@dataclass(frozen=True)
class LabelColumn:
    """Labels of the rows of one file."""

    origin: str
    """Path of the file, for messages."""
    parts: npt.NDArray[np.int8]
    """Split of each row, int8."""
    values: pa.ChunkedArray | pa.Array
    """Label of each row: integers, texts or booleans, or a dictionary of them."""
    names: tuple[str, ...] | None = None
    """Class name of each number, if the file says so."""
    rows: Sequence[str] | None = None
    """What messages call each row; None: the file and the number of the row."""


@dataclass(frozen=True)
class Labels:
    """Labels of the rows of all files."""

    codes: Ints
    """Label of each row that is kept, int64, in 0..len(classes) - 1."""
    classes: tuple[str, ...]
    """Class name of each label."""
    kept: npt.NDArray[np.bool_]
    """Whether each row is labelled."""
    ignored: Counter[str] = field(default_factory=Counter)
    """Number of rows that are left out, by the reason."""
    notes: tuple[str, ...] = ()
    """Sentences about how labels were read."""


def read_labels(columns: Sequence[LabelColumn], names: Sequence[str] | None = None) -> Labels:
    """Convert label columns.

    Splits other than the training split in which no row has a label are left out.

    Args:
        columns: Label column of each file.
        names: Class names by number, from a file beside the table; those of a column go first.

    Raises:
        InputError: Labels are missing, of a wrong type or out of range; rows are named.
    """
    classes = _names_of(columns)
    values = [_plain(column) for column in columns]
    parts = np.concatenate([column.parts for column in columns])
    flat = np.fromiter((v for each in values for v in each), dtype=object, count=len(parts))
    missing = np.array([value is None or value == "" for value in flat], dtype=bool)
    unlabelled = missing | np.array([value == -1 for value in flat], dtype=bool)
    kept = np.ones(len(parts), dtype=bool)
    ignored: Counter[str] = Counter()
    for code in np.unique(parts):
        rows = parts == code
        if code != TRAIN and unlabelled[rows].all():
            ignored[f"unlabelled {PART_NAMES[int(code)]}"] += int(rows.sum())
            kept &= ~rows
    where = _Rows(columns)
    where.refuse(kept & missing, " has no label: add it or remove the row")
    texts = np.array([isinstance(value, str) for value in flat], dtype=bool) & kept
    if texts.any():
        if not texts[kept].all():
            raise InputError(
                f"{columns[0].origin}: the label column must hold integers or strings, not both: "
                "convert it, or name the right column with --label-column"
            )
        codes, classes = _by_name(where, flat, kept, classes)
        return Labels(codes[kept], classes, kept, ignored)
    from_file = tuple(names) if names and classes is None else None
    return _by_number(where, flat, kept, classes or from_file, ignored, bool(from_file))


def _names_of(columns: Sequence[LabelColumn]) -> tuple[str, ...] | None:
    """Return the class names that the columns have, which must be the same."""
    classes: tuple[str, ...] | None = None
    for column in columns:
        if classes and column.names and column.names != classes:
            raise InputError(
                f"{column.origin} has the class names {', '.join(column.names)}, but the files "
                f"before it have {', '.join(classes)}: give every file the same names in the same "
                "order"
            )
        classes = classes or column.names
    return classes


def _plain(column: LabelColumn) -> list[object]:
    """Return labels as integers, texts and None."""
    kind = column.values.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) in (
        "string_view", "binary", "large_binary"
    )  # fmt: skip
    if is_text or pa.types.is_boolean(kind):
        known: dict[object, str | None] = {None: None}
        return [
            known.setdefault(v, v.decode() if isinstance(v, bytes) else str(v))
            for v in column.values.to_pylist()
        ]
    if pa.types.is_integer(kind) or pa.types.is_null(kind):
        values: list[object] = column.values.to_pylist()
        return values
    raise InputError(
        f"{column.origin}: the label column has type {column.values.type} but must hold integers "
        "or strings: convert it, or name the right column with --label-column"
    )


class _Rows:
    """Rows of several files, for messages.

    Args:
        columns: Label column of each file.
    """

    def __init__(self, columns: Sequence[LabelColumn]):
        self.columns = columns

    def name(self, row: int) -> str:
        """Return what to call a row over all files."""
        for column in self.columns:
            if row < len(column.values):
                return column.rows[row] if column.rows else f"{column.origin}, row {row}"
            row -= len(column.values)
        raise IndexError(row)

    def refuse(self, wrong: npt.NDArray[np.bool_], why: str) -> None:
        """Refuse rows, if there are any.

        Raises:
            InputError: There are; the first NAMED_AT_MOST are named.
        """
        rows = np.flatnonzero(wrong).tolist()
        if rows:
            named = [self.name(row) for row in rows[:NAMED_AT_MOST]]
            more = f" and {len(rows) - len(named):,} more" if len(rows) > len(named) else ""
            all_rows = f" ({len(rows):,} rows: {'; '.join(named)}{more})" if len(rows) > 1 else ""
            raise InputError(f"{named[0]}{why}{all_rows}")


def _by_name(
    where: _Rows,
    flat: npt.NDArray[np.object_],
    kept: npt.NDArray[np.bool_],
    classes: tuple[str, ...] | None,
) -> tuple[Ints, tuple[str, ...]]:
    """Return the codes of all rows, and the class names in alphabetical order or as given."""
    if classes is None:
        classes = tuple(sorted(set(flat[kept].tolist())))
    index = {name: code for code, name in enumerate(classes)}
    codes = np.array([index.get(value, -1) for value in flat.tolist()], dtype=np.int64)
    wrong = np.flatnonzero(kept & (codes < 0))
    if len(wrong):
        where.refuse(
            kept & (codes < 0),
            f" has label {flat[wrong[0]]!r}, which is not one of the classes "
            f"{', '.join(classes)}: correct it or add the class",
        )
    return codes, classes


def _by_number(
    where: _Rows,
    flat: npt.NDArray[np.object_],
    kept: npt.NDArray[np.bool_],
    classes: tuple[str, ...] | None,
    ignored: Counter[str],
    may_start_at_1: bool,
) -> Labels:
    """Number the labels from 0; those of a file with names may start at 1."""
    numbers = np.array([value if ok else 0 for value, ok in zip(flat, kept, strict=True)], np.int64)
    lowest, highest = (numbers[kept].min(), numbers[kept].max()) if kept.any() else (0, -1)
    notes: tuple[str, ...] = ()
    last = len(classes) - 1 if classes else max(int(highest), 0)
    if classes and may_start_at_1 and lowest == 1 and highest == len(classes):
        notes = (f"labels 1 to {highest} are the {len(classes):,} names in their order",)
        numbers = numbers - 1
    wrong = kept & ((numbers < 0) | (numbers > last))
    if wrong.any():
        where.refuse(
            wrong,
            f": label {numbers[wrong][0]} is out of range, it must be from 0 to "
            f"{last}: correct it or remove the row",
        )
    if classes is None:
        values = np.unique(numbers[kept])
        if len(values) and (values[0] != 0 or values[-1] != len(values) - 1):
            notes = (
                f"the {len(values):,} labels from {values[0]} to {values[-1]} have no names and "
                f"are numbered from 0 to {len(values) - 1}; their numbers are the class names",
            )
        classes = tuple(str(value) for value in values)
        numbers = np.searchsorted(values, numbers)
    return Labels(numbers[kept].astype(np.int64), classes, kept, ignored, notes)
