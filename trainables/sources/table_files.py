"""Tables of texts: CSV, TSV, JSON lines and parquet as columns."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass

import pyarrow as pa

from trainables.errors import InputError, first_line
from trainables.sources.names import suffix_of
from trainables.sources.parquet import class_names, open_parquet
from trainables.sources.stores import Reader
from trainables.storage import PARQUET_DAMAGE

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
"""Suffixes of tables besides .parquet."""
SEPARATORS = ",;\t|"


@dataclass(frozen=True)
class Table:
    """A table with a row an image."""

    path: str
    """Path of the file, for messages."""
    columns: dict[str, list[object]]
    """Values by column, each a text, number, boolean or None."""
    class_names: dict[str, tuple[str, ...]]
    """Class names by number, of the columns whose file says so."""


def read_table(reader: Reader, name: str) -> Table:
    """Read a table.

    Raises:
        InputError: It is damaged, or no table.
    """
    path = reader.path(name)
    suffix = suffix_of(name)
    if suffix == ".parquet":
        return _read_parquet(reader, name)
    try:
        text = reader.read(name).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read as text ({first_line(error)}): save it as UTF-8"
        ) from error
    columns = _read_json_lines(path, text) if "json" in suffix else _read_csv(path, text, suffix)
    if not columns:
        raise InputError(f"{path} is empty: give a table with a row for each image")
    return Table(path, columns, {})


def _read_csv(path: str, text: str, suffix: str) -> dict[str, list[object]]:
    """Read comma-separated values; semicolons, tabs or bars may stand for the commas."""
    header = text.partition("\n")[0]
    separator = "\t" if suffix == ".tsv" else max(SEPARATORS, key=header.count)
    try:
        rows = [
            row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row
        ]
    except csv.Error as error:
        raise InputError(f"{path} cannot be read as a table ({error}): save it again") from error
    if not rows:
        return {}
    names = [name.strip() for name in rows[0]]
    if len(set(names)) < len(names):
        raise InputError(f"{path} has two columns of one name in {', '.join(names)}: rename one")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(names):
            raise InputError(
                f"{path}, line {number} has {len(row)} values but the header has {len(names)} "
                "columns: correct the line, or quote values that hold the separator"
            )
    values = zip(*rows[1:], strict=True) if len(rows) > 1 else ([] for _ in names)
    return {
        name: [v.strip() or None for v in column]
        for name, column in zip(names, values, strict=True)
    }


def _read_json_lines(path: str, text: str) -> dict[str, list[object]]:
    """Read a JSON object a line; keys that a line lacks are None."""
    rows: list[dict[str, object]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(
                    f"{path}, line {number} is no JSON ({error}): give one object a line"
                ) from error
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {number} is no JSON object: give one object a line")
            rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _read_parquet(reader: Reader, name: str) -> Table:
    """Read the columns of a parquet file that hold texts or numbers."""
    file = open_parquet(reader, name)
    path = reader.path(name)
    schema = file.schema_arrow
    plain = [field.name for field in schema if not pa.types.is_nested(field.type)]
    try:
        table = file.read(columns=plain)
        table.validate(full=True)  # texts may be no UTF-8
    except PARQUET_DAMAGE as error:
        raise InputError(
            f"{path} cannot be read as parquet ({first_line(error)}): it may be truncated; "
            "copy it again"
        ) from error
    names = {column: each for column in plain if (each := class_names(schema, column))}
    return Table(path, {each: table[each].to_pylist() for each in plain}, names)
