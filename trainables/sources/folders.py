"""Image folders: finding image files, and loading datasets with one subfolder per class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainables.data import TEST, TRAIN, VALIDATION, ImageDataset
from trainables.errors import InputError
from trainables.sources.decoding import IMAGE_SUFFIXES, decode

# Split of each recognised folder name, in lower case.
SPLIT_FOLDERS = {
    "train": TRAIN, "training": TRAIN, "val": VALIDATION, "valid": VALIDATION,
    "validation": VALIDATION, "test": TEST, "testing": TEST,
}  # fmt: skip


def image_files(paths: Sequence[str | Path]) -> list[Path]:
    """List the given image files, and all image files below the given folders.

    Raises:
        InputError: A path does not exist, or a folder contains no images.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found = _images_below(path)
            if not found:
                raise InputError(
                    f"{path} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}): give another "
                    "folder, or image files"
                )
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise InputError(f"there is no file or folder {path}: check the path")
    return files


def load_folder(folder: Path, size: int) -> ImageDataset:
    """Load a folder with one subfolder of images per class, optionally below split folders.

    Args:
        folder: Folder of the classes, or of `train` and other split folders with the classes.
        size: Height and width in pixels that images are resized to.

    Raises:
        InputError: The folder contains no images, or its split folders are inconsistent.
    """
    splits: dict[int, Path] = {}
    for child in _subfolders(folder):
        code = SPLIT_FOLDERS.get(child.name.lower())
        if code is not None and _subfolders(child):  # otherwise it is a class of that name
            if code in splits:
                raise InputError(
                    f"{folder} holds {splits[code].name} and {child.name}, which are the same "
                    "split: put their images into one of them"
                )
            splits[code] = child
    if splits and TRAIN not in splits:
        raise InputError(
            f"{folder} holds {', '.join(s.name for s in splits.values())} but no train: add a "
            "folder train with one subfolder of images per class"
        )
    if not splits:
        splits = {TRAIN: folder}
    classes = tuple(child.name for child in _subfolders(splits[TRAIN]))
    items: list[tuple[str, bytes | Path]] = []
    labels: list[int] = []
    codes: list[int] = []
    for code, split_folder in sorted(splits.items()):
        for child in _subfolders(split_folder):
            if child.name not in classes:
                raise InputError(
                    f"{child} is not a class of {splits[TRAIN]}, which has {', '.join(classes)}: "
                    "give every split the same subfolders"
                )
            files = _images_below(child)
            items += [(str(file), file) for file in files]
            labels += [classes.index(child.name)] * len(files)
            codes += [code] * len(files)
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
    """List the image files in a folder and its subfolders, sorted."""
    return sorted(f for f in folder.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES)


def _subfolders(folder: Path) -> list[Path]:
    """List the direct subfolders that are not hidden, sorted."""
    return sorted(c for c in folder.iterdir() if c.is_dir() and not c.name.startswith("."))
