"""Files that name the classes of numbered labels, a line each."""

from __future__ import annotations

import re

from trainables.errors import InputError
from trainables.sources.trees import Tree

NAMES_FILES = (
    "classes.txt", "class_names.txt", "classnames.txt", "labels.txt", "label_names.txt",
    "names.txt", "classes.names", "obj.names",
)  # fmt: skip


def names_beside(tree: Tree, folder: str) -> tuple[str, ...] | None:
    """Read the names file in a folder of a source, if there is one.

    Returns:
        Class names in the order of their numbers, or None.

    Raises:
        InputError: There are several that differ.
    """
    found: dict[str, tuple[str, ...]] = {}
    for base in NAMES_FILES:
        name = f"{folder}/{base}" if folder else base
        if name in tree.files:
            names = _names_in(tree.reader.read(name).decode("utf-8-sig", "replace"))
            if names and len(set(names)) == len(names):
                found[base] = names
    if len(set(found.values())) > 1:
        raise InputError(
            f"{tree.place} holds {' and '.join(found)}, which give the classes different names: "
            "remove all but one"
        )
    return next(iter(found.values()), None)


def _names_in(text: str) -> tuple[str, ...]:
    """Return the names in a text, sorted by number where every line begins with one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    numbered = [re.fullmatch(r"([0-9]{1,9})[\s,:;]+(.+)", line) for line in lines]
    matches = [match for match in numbered if match]
    numbers = sorted(int(match[1]) for match in matches)
    if len(matches) == len(lines) and numbers in (
        list(range(len(lines))),
        list(range(1, len(lines) + 1)),
    ):
        return tuple(match[2] for match in sorted(matches, key=lambda match: int(match[1])))
    return tuple(lines)
