"""WebDataset shards: tar archives with the files of an image under one key."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from trainables.data import TRAIN
from trainables.errors import InputError
from trainables.image_formats import IMAGE_SUFFIXES, KNOWN_SUFFIXES
from trainables.source_options import SourceOptions
from trainables.sources.archives import TarMembers, tar_tree
from trainables.sources.assembly import Rows, assemble
from trainables.sources.labels import LabelColumn, read_labels
from trainables.sources.listing import Listing
from trainables.sources.names import first_of, split_of_file
from trainables.sources.names_files import names_beside
from trainables.sources.parquet_files import LABEL_COLUMNS, files_by_split
from trainables.sources.table_columns import WHOLE_NUMBER
from trainables.sources.trees import Tree


def keys_of(tree: Tree) -> dict[str, dict[str, str]]:
    """Sort files by key, the path up to the first dot of the file's name.

    Returns:
        Names of the files by suffix, by key.
    """
    keys: dict[str, dict[str, str]] = {}
    for name in tree.files:
        folder, slash, base = name.rpartition("/")
        stem, _, suffix = base.partition(".")
        keys.setdefault(folder + slash + stem, {})[suffix.lower()] = name
    return keys


def is_webdataset(tree: Tree) -> bool:
    """Whether labels lie beside images under the same key."""
    return any(
        ("cls" in files or "json" in files) and any(f".{s}" in KNOWN_SUFFIXES for s in files)
        for files in keys_of(tree).values()
    )


def list_shards(
    base: Tree, archives: Sequence[str], options: SourceOptions, tree: Tree | None = None
) -> Listing:
    """List the images in shards.

    Args:
        base: Files of the folder of the shards.
        archives: Names of the shards.
        options: Name of the fields in .json files for labels and groups.
        tree: Members of the shards, if they are listed already.

    Raises:
        InputError: A shard is damaged, or an image lacks a label.
    """
    if options.image_column is not None:
        raise InputError(
            f"--image-column {options.image_column}: {base.place} is a WebDataset, whose images "
            "are files: leave --image-column out"
        )
    splits, others = ({TRAIN: list(archives)}, list[str]())
    if len(archives) > 1 or base.place != base.reader.path(archives[0]):
        splits, others = files_by_split(base.place, archives, ".tar")
    named = [name for each in splits.values() for name in each]
    codes = {name: code for code, each in splits.items() for name in each}
    tree = tree or tar_tree(base.reader, named, base.place)
    assert isinstance(tree.reader, TarMembers)
    names: list[str] = []
    parts: list[int] = []
    labels: list[object] = []
    groups: list[object] = []
    for key, files in keys_of(tree).items():
        images = [name for suffix, name in files.items() if f".{suffix}" in IMAGE_SUFFIXES]
        if not images:
            continue
        if len(images) > 1:
            raise InputError(
                f"{tree.reader.path(key)} has several images, {first_of(images)}: keep one a key"
            )
        names.append(images[0])
        parts.append(codes[tree.reader.places[images[0]][0]])
        about = _json(tree, files["json"]) if "json" in files else {}
        labels.append(_label(tree, files, about, options.label_column))
        groups.append(about.get(options.group_column) if options.group_column else None)
    if names and all(label is None for label in labels):
        raise InputError(
            f"{base.place}: no image has a .cls file or a field {' or '.join(LABEL_COLUMNS)} in "
            "its .json file: name the field with --label-column"
        )
    ignored = tree.not_images()
    for suffix in (".cls", ".json"):
        ignored.pop(suffix, None)
    for name in others:
        ignored[f"shard of split {split_of_file(name)[0]}"] += 1
    part_array = np.array(parts, dtype=np.int8)
    return assemble(
        Rows(
            place=base.place,
            images=tree.images(names),
            labels=read_labels(
                [
                    LabelColumn(
                        base.place,
                        part_array,
                        _as_array(labels),
                        rows=[tree.reader.path(name) for name in names],
                    )
                ],
                names_beside(base, ""),
            ),
            parts=part_array,
            paths=names,
            groups=groups if options.group_column is not None else None,
            ignored=ignored,
        ),
        options,
    )


def _json(tree: Tree, name: str) -> dict[str, object]:
    try:
        value = json.loads(tree.reader.read(name))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{tree.reader.path(name)} is no JSON ({error}): correct it or remove its image"
        ) from error
    return value if isinstance(value, dict) else {"label": value}


def _label(
    tree: Tree, files: dict[str, str], about: dict[str, object], column: str | None
) -> object:
    """Return the label of a key, or None if it has none."""
    if column is None and "cls" in files:
        return tree.reader.read(files["cls"]).decode("utf-8", "replace").strip()
    usual = LABEL_COLUMNS if column is None else (column,)
    return next((about[name] for name in usual if about.get(name) is not None), None)


def _as_array(labels: list[object]) -> pa.Array:
    """Return labels as integers if all are written as such, otherwise as texts."""
    texts = [None if label is None else str(label) for label in labels]
    if all(text is None or WHOLE_NUMBER.fullmatch(text) for text in texts):
        return pa.array([None if text is None else int(text) for text in texts], pa.int64())
    return pa.array(texts, pa.string())
