"""A folder with a subfolder a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainables.data import TEST, TRAIN, VALIDATION, ImageDataset
from trainables.errors import InputError
from trainables.sources.decoding import IMAGE_SUFFIXES, decode

# How folders are called that hold each part.
PART_FOLDERS = {
    "train": TRAIN, "training": TRAIN, "val": VALIDATION, "valid": VALIDATION,
    "validation": VALIDATION, "test": TEST, "testing": TEST,
}  # fmt: skip


def image_files(paths: Sequence[str | Path]) -> list[Path]:
    """The image files that are given, and those below the folders that are given.

    Raises:
        InputError: one is not there, or a folder holds none.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found = _images_below(path)
            if not found:
                raise InputError(
                    f"{path} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}): give another "
                    "folder, or the files"
                )
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise InputError(f"there is no file or folder {path}: check the path")
    return files


def load_folder(folder: Path, size: int) -> ImageDataset:
    """Read a folder with a subfolder of images per class."""
    parts: dict[int, Path] = {}
    for child in _subfolders(folder):
        part = PART_FOLDERS.get(child.name.lower())
        if part is not None and _subfolders(child):  # else a class of that name
            if part in parts:
                raise InputError(
                    f"{folder} holds {parts[part].name} and {child.name}, which are one part: put "
                    "their images into one of them"
                )
            parts[part] = child
    if parts and TRAIN not in parts:
        raise InputError(
            f"{folder} holds {', '.join(p.name for p in parts.values())} but no train: add a "
            "folder train with a subfolder of images a class"
        )
    if not parts:
        parts = {TRAIN: folder}
    classes = tuple(child.name for child in _subfolders(parts[TRAIN]))
    items: list[tuple[str, bytes | Path]] = []
    labels: list[int] = []
    codes: list[int] = []
    for part, place in sorted(parts.items()):
        for child in _subfolders(place):
            if child.name not in classes:
                raise InputError(
                    f"{child} is no class of {parts[TRAIN]}, which has {', '.join(classes)}: "
                    "the parts must have the same subfolders"
                )
            files = _images_below(child)
            items += [(str(file), file) for file in files]
            labels += [classes.index(child.name)] * len(files)
            codes += [part] * len(files)
    if not items:
        raise InputError(
            f"{folder} holds no images and no train*.parquet: give a folder with a subfolder of "
            f"images ({', '.join(sorted(IMAGE_SUFFIXES))}) for each class"
        )
    images, digests = decode(items, size)
    return ImageDataset(
        name=str(folder),
        images=images,
        labels=np.array(labels, dtype=np.int64),
        classes=classes,
        parts=np.array(codes, dtype=np.int8),
        digests=digests,
    )


def _images_below(folder: Path) -> list[Path]:
    return sorted(f for f in folder.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(c for c in folder.iterdir() if c.is_dir() and not c.name.startswith("."))
