"""Layouts of image folders: the one reading of a folder, or a refusal with all of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from trainables.data import TEST, TRAIN
from trainables.errors import InputError
from trainables.sources.folders import Folder, list_folders
from trainables.sources.names import (
    PART_NAMES,
    first_of,
    means_nothing,
    means_unlabelled,
    part_of,
)

OUTSIDE = "image outside the class folders"


@dataclass
class Layout:
    """How an image folder is read."""

    parts: dict[int, Folder]
    """Folder whose folders are the classes, of each split: TRAIN alone if there are no splits."""
    ignored: Counter[str] = field(default_factory=Counter)
    """Number of images that are left out, by the reason."""
    notes: list[str] = field(default_factory=list)
    """Sentences about what was read differently than one may expect."""


def layout_of(place: str, root: Folder, tables: list[str]) -> Layout:
    """Find the splits and classes of an image folder.

    Args:
        place: Path or URI of the source, for messages.
        root: The folder.
        tables: Names of tables in it, which may hold the labels.

    Raises:
        InputError: There are no class folders, or there are two readings.
    """
    folder, ignored = root, Counter[str]()
    while True:
        named = [each for each in folder.filled if part_of(each.base) is not None]
        others = [each for each in folder.filled if part_of(each.base) is None]
        labelled = [each for each in named if has_classes(each)]
        if labelled:
            layout = _with_parts(place, folder, labelled, others)
            break
        if named and not others:
            raise InputError(_no_classes(place, named, tables))
        if len(named) > 1 or any(part_of(each.base) == TEST for each in named):
            raise InputError(
                f"{place} has two readings. Either all of {list_folders(place, folder.filled)} are "
                f"classes, or {first_of([each.base for each in named])} are splits without class "
                "folders: rename or move the ones that are no classes"
            )
        if len(folder.filled) == 1 and has_classes(folder.filled[0]):
            ignored[OUTSIDE] += len(folder.images)
            folder = folder.filled[0]
            continue
        layout = Layout({TRAIN: folder}, Counter({OUTSIDE: len(folder.images)}))
        layout.notes += [
            f"{each.base} is read as a class, because it holds images and no class folders"
            for each in named
        ]
        if not folder.filled:
            raise InputError(_no_classes(place, [], tables))
        break
    for part in layout.parts.values():
        layout.notes += _check_classes(place, part)
    layout.ignored = +(layout.ignored + ignored)
    return layout


def has_classes(folder: Folder) -> bool:
    """Whether a folder holds class folders, rather than images of unknown classes."""
    classes = class_folder(folder).filled
    if len(classes) == 1:  # e.g. test/images/*.jpg, seg_pred/seg_pred/*.jpg
        name = classes[0].base
        return not (means_nothing(name) or means_unlabelled(name) or name == folder.base)
    return bool(classes)


def class_folder(folder: Folder) -> Folder:
    """Descend to the folder that holds the classes, as long as there is one way."""
    while not folder.images and len(folder.filled) == 1 and folder.filled[0].filled:
        folder = folder.filled[0]
    return folder


def _no_classes(place: str, named: list[Folder], tables: list[str]) -> str:
    """Say that the images are in no class folders."""
    inside = f" in {list_folders(place, named)}" if named else ""
    table = "list the images in a table with the columns file and label, and give --data labels.csv"
    if tables:
        table = f"give the table that labels them, e.g. --data {place}/{tables[0]}"
    return (
        f"{place} holds no class folders{inside}: give a folder with a subfolder of images for "
        f"each class, e.g. {place}/cat/, alone or below train, validation and test; or {table}"
    )


def _with_parts(place: str, folder: Folder, labelled: list[Folder], others: list[Folder]) -> Layout:
    """Read the folders that are named like splits and hold class folders as splits."""
    parts: dict[int, Folder] = {}
    ignored = Counter({OUTSIDE: len(folder.images)})
    notes = []
    for each in sorted(folder.folders.values(), key=lambda each: each.name):
        code = part_of(each.base)
        if code is None:
            continue
        if not each.total:
            notes.append(f"{each.base} holds no images")
            continue
        if code in parts:
            raise InputError(
                f"{place} holds {parts[code].base} and {each.base}, which are the same split: "
                "put their images into one of them"
            )
        parts[code] = each
    for code, each in list(parts.items()):
        if each not in labelled and code != TRAIN:
            ignored[f"unlabelled {PART_NAMES[code]}"] += each.total
            del parts[code]
    if TRAIN not in parts or parts[TRAIN] not in labelled:
        lack = "no class folders in train" if TRAIN in parts else "no train"
        raise InputError(
            f"{place} holds {', '.join(each.base for each in labelled)} but {lack}: add a "
            "folder train with one subfolder of images per class"
        )
    unclear = [each for each in others if not means_unlabelled(each.base) or has_classes(each)]
    if unclear:
        raise InputError(
            f"{place} has two readings. Either {', '.join(each.base for each in labelled)} are "
            f"splits, and {list_folders(place, unclear)} are to be left out, or all of them are "
            "classes: move the folders that are to be left out, or rename those that are no splits"
        )
    for each in others:
        ignored[f"unlabelled {each.base}"] += each.total
    for code, each in parts.items():
        parts[code] = class_folder(each)
        ignored[OUTSIDE] += len(parts[code].images)
    return Layout(dict(sorted(parts.items())), ignored, notes)


def _check_classes(place: str, folder: Folder) -> list[str]:
    """Refuse class folders of which some are, or may be, folders of classes themselves.

    Returns:
        Notes on how deeper folders are read.

    Raises:
        InputError: There are two readings.
    """
    nested = [each for each in folder.filled if each.nested]
    flat = [each for each in folder.filled if not each.nested]
    if nested and flat:
        raise InputError(
            f"{place} has two readings. Either {list_folders(place, folder.filled)} are classes, "
            f"or the classes are the folders in {first_of([each.base for each in nested])}: give "
            f"the folder of the classes, e.g. --data {place}/{nested[0].name}, or move the images "
            "so that each class folder holds its images"
        )
    if not nested:
        return []
    inner = Counter(each.base for top in nested for each in top.inner.filled)
    shared = sorted(name for name, count in inner.items() if count > 1)
    if shared:
        raise InputError(
            f"{place} has two readings. Either the classes are the folders of the first level, "
            f"{list_folders(place, nested)}, or those of the second, {first_of(sorted(inner))} "
            f"({shared[0]} is in several): give one folder of the first level, or merge the "
            "folders so that one level is left"
        )
    return [
        f"the classes are the folders {first_of([each.base for each in nested])}; the "
        f"{len(inner):,} folders in them, e.g. {nested[0].name}/{nested[0].inner.filled[0].base}, "
        "are read as parts of their class"
    ]
