"""What the names of files and folders say: junk, suffixes and splits.

Names are relative to the source and joined by '/', on a disk, in an archive or in an object store.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from trainables.data import TEST, TRAIN, VALIDATION

PART_NAMES = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}
"""Name of each split in messages."""
NAMED_AT_MOST = 20
"""Number of files or rows that a message names; the rest are counted."""

_JUNK_FILES = {".ds_store": ".DS_Store", "thumbs.db": "Thumbs.db", "desktop.ini": "desktop.ini"}
_JUNK_FOLDERS = {".ipynb_checkpoints", "__MACOSX", "@eaDir", "$RECYCLE.BIN"}
_NEUTRAL = "sets?|data|datasets?|images?|imgs?|seg|splits?|photos?|pictures?|pics?|folder|files?"
_PART_WORDS = {
    TRAIN: "train|training|trn|train[ _.-]?val",
    VALIDATION: "val|valid|validate|validation|dev|eval|evaluation",
    TEST: "test|testing|tst",
}
_PARTS = {
    code: re.compile(rf"(?:(?:{_NEUTRAL})[ _.-]*)*(?:{words})(?:[ _.-]*(?:{_NEUTRAL}))*[ _.-]*\d*")
    for code, words in _PART_WORDS.items()
}
_UNLABELLED = re.compile(
    rf"(?:(?:{_NEUTRAL})[ _.-]*)*(?:pred|predict|predictions?|unlabell?ed|unsup\w*|inference|"
    rf"unknown)(?:[ _.-]*(?:{_NEUTRAL}))*"
)
_ONLY_NEUTRAL = re.compile(rf"(?:(?:{_NEUTRAL}|all)[ _.-]*)+")


def suffix_of(name: str) -> str:
    """Return the suffix of a file's name in lower case, with its dot; empty if it has none."""
    base = name.rpartition("/")[2]
    stem, dot, suffix = base.rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""


def junk_kind(name: str) -> str | None:
    """Return the kind of a file that is no part of a dataset, e.g. .DS_Store; None if it may be."""
    *folders, base = name.split("/")
    for folder in folders:
        if folder in _JUNK_FOLDERS:
            return f"{folder}/"
        if folder.startswith("."):
            return "hidden"
    if base.startswith("._"):
        return "._*"
    if base.lower() in _JUNK_FILES:
        return _JUNK_FILES[base.lower()]
    return "hidden" if base.startswith(".") else None


def part_of(name: str) -> int | None:
    """Return the split that a name means as a whole, e.g. TRAIN for training_set, or None."""
    return next((code for code, form in _PARTS.items() if form.fullmatch(name.lower())), None)


def means_unlabelled(name: str) -> bool:
    """Whether the name of a folder says that its images have no labels, e.g. seg_pred."""
    return bool(_UNLABELLED.fullmatch(name.lower()))


def means_nothing(name: str) -> bool:
    """Whether a folder's name names no class: images, data, or that of a split."""
    lower = name.lower()
    return bool(_ONLY_NEUTRAL.fullmatch(lower)) or part_of(name) is not None


def split_of_file(name: str) -> tuple[str, int | None]:
    """Return the split that the name of a shard says, as it is written and as a code.

    Args:
        name: E.g. data/train-00000-of-00005.parquet, or default/train/0000.parquet.
    """
    *folders, base = name.split("/")
    stem = base.rpartition(".")[0] or base
    stem = re.sub(r"[-_.]\d+[-_]of[-_]\d+.*$", "", stem)
    stem = re.sub(r"(^|[-_.]?)\d+$", "", stem)
    for text in (stem, *reversed(folders)):
        words = (text, *re.split(r"[^a-z0-9]+", text.lower()))
        codes = {code for word in words if word and (code := part_of(word)) is not None}
        whole = part_of(text)
        if whole is not None or len(codes) == 1:
            return text, whole if whole is not None else codes.pop()
    return stem, None


def in_order(names: Iterable[str]) -> list[str]:
    """Sort names folder by folder."""
    return sorted(names, key=lambda name: name.split("/"))


def first_of(names: Sequence[object]) -> str:
    """Name the first NAMED_AT_MOST of some things, and count the others."""
    text = ", ".join(map(str, names[:NAMED_AT_MOST]))
    more = len(names) - NAMED_AT_MOST
    return f"{text} and {more:,} more" if more > 0 else text
