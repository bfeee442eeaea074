"""Listings of image folders, on a disk, in an archive or in an object store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainables.data import TRAIN
from trainables.errors import InputError
from trainables.image_formats import IMAGE_SUFFIXES
from trainables.source_options import SourceOptions
from trainables.sources.assembly import Rows, assemble
from trainables.sources.folders import Folder, folder_of, notes_on_lost, refuse_lost_classes
from trainables.sources.labels import Labels
from trainables.sources.layouts import layout_of
from trainables.sources.listing import Listing
from trainables.sources.names import PART_NAMES, first_of, in_order, suffix_of
from trainables.sources.stores import Disk
from trainables.sources.table_files import TABLE_SUFFIXES
from trainables.sources.trees import Tree, tree_of_store


def list_image_folder(tree: Tree, options: SourceOptions) -> Listing:
    """List a folder with one subfolder of images per class, optionally below split folders.

    Raises:
        InputError: There are no class folders, two readings, or classes without images.
    """
    root = folder_of(tree)
    if not root.total:
        raise InputError(
            f"{tree.place} holds no images and no train*.parquet: give a folder with a subfolder "
            f"of images ({', '.join(sorted(IMAGE_SUFFIXES))}) for each class"
        )
    tables = in_order(name for name in tree.with_suffix(*TABLE_SUFFIXES) if "/" not in name)
    layout = layout_of(tree.place, root, tables)
    classes = _classes(tree.place, layout.parts, options.min_per_class)
    names: list[str] = []
    labels: list[int] = []
    parts: list[int] = []
    for code, part in layout.parts.items():
        for each in part.filled:
            refuse_lost_classes(tree.place, each)
            images = each.all_images()
            names += images
            labels += [classes.index(each.base)] * len(images)
            parts += [code] * len(images)
        absent = [name for name in classes if name not in {each.base for each in part.filled}]
        if absent and code != TRAIN:
            layout.notes.append(f"{PART_NAMES[code]} has no images of {first_of(absent)}")
    for part in layout.parts.values():
        layout.notes += notes_on_lost(part)
    return assemble(
        Rows(
            place=tree.place,
            images=tree.images(names),
            labels=Labels(np.array(labels, np.int64), classes, np.ones(len(names), dtype=bool)),
            parts=np.array(parts, dtype=np.int8),
            paths=names,
            ignored=tree.not_images() + layout.ignored,
            notes=layout.notes,
        ),
        options,
    )


def _classes(place: str, parts: dict[int, Folder], least: int | None) -> tuple[str, ...]:
    """Return the names of the class folders, those of the training split first.

    With a minimum of images per class, they include those without training images.
    """
    train = parts[TRAIN]
    own = sorted(train.folders)
    empty = [f"{place}/{train.folders[name].name}" for name in own if not train.folders[name].total]
    if empty and least is None:
        raise InputError(
            f"{first_of(empty)} hold{'s' * (len(empty) == 1)} no images: add images, remove "
            f"{'it' if len(empty) == 1 else 'them'}, or leave out classes without images with "
            "--min-per-class 1"
        )
    for code, part in parts.items():
        for each in part.filled:
            if each.base not in own:
                if least is None:
                    raise InputError(
                        f"{place}/{each.name} is not a class of {place}/{train.name}, which has "
                        f"{first_of(own)}: give every split the same subfolders"
                    )
                assert code != TRAIN
                own.append(each.base)
    return tuple(own)


def image_files(paths: Sequence[str | Path]) -> list[Path]:
    """List the given image files, and all image files below the given folders.

    Raises:
        InputError: A path does not exist, or a folder contains no images.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            names = [
                n for n in tree_of_store(Disk(str(path))).files if suffix_of(n) in IMAGE_SUFFIXES
            ]
            if not names:
                raise InputError(
                    f"{path} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}): give another "
                    "folder, or image files"
                )
            files += [path / name for name in in_order(names)]
        elif path.is_file():
            files.append(path)
        else:
            raise InputError(f"there is no file or folder {path}: check the path")
    return files
