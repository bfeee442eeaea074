"""Image datasets in parquet files, in the layout of Hugging Face."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trainables.data import TEST, TRAIN, VALIDATION, ImageDataset, Ints
from trainables.errors import InputError
from trainables.sources.decoding import decode

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label", "labels")
# Split of the files whose names begin with each prefix.
SPLIT_PREFIXES = {"train": TRAIN, "val": VALIDATION, "test": TEST}


def parquet_splits(folder: Path) -> dict[int, list[Path]]:
    """List the parquet files of a folder, or of its subfolder `data`, by split.

    Returns:
        Files by TRAIN, VALIDATION or TEST; empty if there are none.

    Raises:
        InputError: There are parquet files but none of the training split.
    """
    for candidate in (folder, folder / "data"):
        files = sorted(candidate.glob("*.parquet"))
        if files:
            splits: dict[int, list[Path]] = {}
            for prefix, code in SPLIT_PREFIXES.items():
                named = [file for file in files if file.name.startswith(prefix)]
                if named:
                    splits[code] = named
            if TRAIN not in splits:
                raise InputError(
                    f"{candidate} holds {files[0].name} but no train*.parquet: name the files "
                    "train*.parquet and test*.parquet, or give one parquet file"
                )
            return splits
    return {}


def load_parquet(
    path: Path,
    splits: dict[int, list[Path]],
    size: int,
    image_column: str | None,
    label_column: str | None,
) -> ImageDataset:
    """Load a dataset from parquet files.

    Args:
        path: File or folder that the user gave, the name of the dataset.
        splits: Files by TRAIN, VALIDATION or TEST.
        size: Height and width in pixels that images are resized to.
        image_column: Name of the image column; None tries IMAGE_COLUMNS.
        label_column: Name of the label column; None tries LABEL_COLUMNS.

    Raises:
        InputError: A file is damaged, or lacks images or labels.
    """
    decoded, raw_labels, counts = [], [], []
    classes: tuple[str, ...] | None = None
    for files in splits.values():
        counts.append(0)
        for file in files:
            try:
                schema = pq.read_schema(file)
                image_name = _column(file, schema, image_column, IMAGE_COLUMNS, "image")
                label_name = _column(file, schema, label_column, LABEL_COLUMNS, "label")
                table = pq.read_table(file, columns=[image_name, label_name])
            except (pa.ArrowException, OSError) as error:
                raise InputError(
                    f"{file} cannot be read as parquet ({error}): it may be truncated; "
                    "copy it again"
                ) from error
            names = _class_names(schema, label_name)
            if classes and names and names != classes:
                raise InputError(
                    f"{file} has the class names {', '.join(names)}, but the files before it have "
                    f"{', '.join(classes)}: give every file the same names in the same order"
                )
            classes = classes or names
            decoded.append(decode(list(_image_bytes(file, table[image_name])), size))
            raw_labels.append((file, table[label_name]))
            counts[-1] += len(table)
    labels, classes = _labels(raw_labels, classes)
    images, digests = map(np.concatenate, zip(*decoded, strict=True))
    return ImageDataset(
        name=str(path),
        images=images,
        labels=labels,
        classes=classes,
        parts=np.repeat(np.array(list(splits), dtype=np.int8), counts),
        digests=digests,
    )


def _column(
    file: Path, schema: pa.Schema, requested: str | None, usual: Sequence[str], kind: str
) -> str:
    """Return the requested column name if the file has it, otherwise the first usual one."""
    for name in (requested,) if requested else usual:
        if name in schema.names:
            return name
    raise InputError(
        f"{file} has no column {requested or ' or '.join(usual)}, only "
        f"{', '.join(schema.names)}: name its {kind} column with --{kind}-column"
    )


def _class_names(schema: pa.Schema, label_column: str) -> tuple[str, ...] | None:
    """Return the class names from the `huggingface` metadata of a schema, or None."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        return tuple(features[label_column]["names"])
    except (KeyError, TypeError, ValueError):  # no metadata, or of another structure
        return None


def _image_bytes(file: Path, column: pa.ChunkedArray) -> Iterator[tuple[str, bytes | Path]]:
    """Yield the origin and the content of each image, as `decode` takes them."""
    if pa.types.is_struct(column.type):
        if column.type.get_field_index("bytes") < 0:
            raise InputError(
                f"{file}: the image column has type {column.type} but must hold bytes, or a struct "
                "with a field bytes: embed the images in the file"
            )
        column = pc.struct_field(column, "bytes")
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        raise InputError(
            f"{file}: the image column has type {column.type} but must hold bytes, or a struct "
            "with a field bytes: name the right column with --image-column"
        )
    for row, value in enumerate(column):
        content = value.as_py()
        if content is None:
            raise InputError(f"{file}, row {row} has no image: add it or remove the row")
        yield f"{file}, row {row}", content


def _labels(
    columns: list[tuple[Path, pa.ChunkedArray]], classes: tuple[str, ...] | None
) -> tuple[Ints, tuple[str, ...]]:
    """Convert the label columns of all files.

    Args:
        columns: Label column of each file.
        classes: Class names, if known from the metadata.

    Returns:
        Labels, N, int64, over the rows of all files, and the class names.
    """
    for file, column in columns:
        if column.null_count:
            row = next(i for i, value in enumerate(column) if not value.is_valid)
            raise InputError(f"{file}, row {row} has no label: add it or remove the row")
    texts = [pa.types.is_string(c.type) or pa.types.is_large_string(c.type) for _, c in columns]
    if all(texts):
        if classes is None:
            classes = tuple(sorted({str(name) for _, c in columns for name in c.unique()}))
        index = {name: i for i, name in enumerate(classes)}
        for file, column in columns:
            for name in column.unique().to_pylist():
                if name not in index:
                    raise InputError(
                        f"{file} has label {name!r}, which is not one of the classes "
                        f"{', '.join(classes)}: correct it or add the class"
                    )
        return np.array([index[str(v)] for _, c in columns for v in c], dtype=np.int64), classes
    for file, column in columns:
        if not pa.types.is_integer(column.type):
            raise InputError(
                f"{file}: the label column has type {column.type} but must hold integers or "
                "strings: convert it, or name the right column with --label-column"
            )
    arrays = [column.to_numpy().astype(np.int64) for _, column in columns]
    labels = np.concatenate(arrays)
    if classes is None:
        # Without names, the largest label determines the number of classes. A label that exceeds
        # both 1,000 and the number of images is taken for an error.
        count = min(int(labels.max(initial=0)) + 1, max(len(labels), 1000))
        classes = tuple(str(label) for label in range(count))
    for (file, _), array in zip(columns, arrays, strict=True):
        wrong = np.flatnonzero((array < 0) | (array >= len(classes)))
        if len(wrong):
            raise InputError(
                f"{file}, row {wrong[0]}: label {array[wrong[0]]} is out of range, it must be from "
                f"0 to {len(classes) - 1}: correct it or remove the row"
            )
    return labels, classes
