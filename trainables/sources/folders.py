"""Image folders: which folders are splits and which are classes, by their names alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from trainables.errors import InputError
from trainables.image_formats import IMAGE_SUFFIXES, KNOWN_SUFFIXES, remedy_for
from trainables.sources.names import first_of, in_order, suffix_of
from trainables.sources.trees import Tree


@dataclass
class Folder:
    """A folder with what is below it."""

    name: str
    """Its path below the source, joined by '/'; empty for the source."""
    folders: dict[str, Folder] = field(default_factory=dict)
    """Its folders by their own name."""
    images: list[str] = field(default_factory=list)
    """Paths of the images directly in it."""
    unreadable: list[str] = field(default_factory=list)
    """Paths of images directly in it whose format cannot be read here."""
    total: int = 0
    """Number of images in it and below, readable or not."""

    @property
    def base(self) -> str:
        """Own name, without the folders above."""
        return self.name.rpartition("/")[2]

    @property
    def filled(self) -> list[Folder]:
        """Folders that hold images, at any depth, sorted by name."""
        return [each for _, each in sorted(self.folders.items()) if each.total]

    @property
    def inner(self) -> Folder:
        """The folder itself, or the only one below that holds images or several folders."""
        folder = self
        while not folder.images and not folder.unreadable and len(folder.filled) == 1:
            folder = folder.filled[0]
        return folder

    @property
    def nested(self) -> bool:
        """Whether all images are in several folders below."""
        inner = self.inner
        return not inner.images and not inner.unreadable and len(inner.filled) > 1

    def below(self) -> Iterator[Folder]:
        """Yield the folder and all below."""
        yield self
        for each in self.folders.values():
            yield from each.below()

    def all_images(self) -> list[str]:
        """Return the paths of the images in it and below, sorted folder by folder."""
        return in_order(name for folder in self.below() for name in folder.images)

    def lost(self) -> list[str]:
        """Return the paths of the images in it and below that cannot be read here."""
        return in_order(name for folder in self.below() for name in folder.unreadable)


def folder_of(tree: Tree) -> Folder:
    """Arrange the images of a tree by folder."""
    root = Folder("")
    known: dict[str, Folder] = {"": root}

    def reach(name: str) -> Folder:
        if name not in known:
            above, _, base = name.rpartition("/")
            known[name] = reach(above).folders.setdefault(base, Folder(name))
        return known[name]

    for name in tree.folders:
        reach(name)
    for name in tree.files:
        suffix = suffix_of(name)
        if suffix in KNOWN_SUFFIXES:
            folder = reach(name.rpartition("/")[0])
            (folder.images if suffix in IMAGE_SUFFIXES else folder.unreadable).append(name)
            folder.total += 1
    for name in sorted(known, key=lambda name: -name.count("/") - bool(name)):
        if name:
            known[name.rpartition("/")[0]].total += known[name].total
    return root


def refuse_lost_classes(place: str, folder: Folder) -> None:
    """Refuse a class of which no image can be read here.

    Raises:
        InputError: None of its images can be read.
    """
    lost = folder.lost()
    if lost and not folder.all_images():
        kinds = Counter(suffix_of(name) for name in lost)
        raise InputError(
            f"none of the {len(lost):,} images of {place}/{folder.name} can be read "
            f"({', '.join(sorted(kinds))}), so that its class would be lost: "
            + "; ".join(sorted({remedy_for(kind) for kind in kinds}))
        )


def notes_on_lost(folder: Folder) -> list[str]:
    """Say which images cannot be read here, and what makes them readable."""
    kinds: dict[str, list[str]] = {}
    for name in folder.lost():
        kinds.setdefault(suffix_of(name), []).append(name)
    return [
        f"{len(names):,} {kind} images in {len({n.rpartition('/')[0] for n in names}):,} folders "
        f"are left out, because {kind} cannot be read here: {remedy_for(kind)}"
        for kind, names in sorted(kinds.items())
    ]


def list_folders(place: str, folders: list[Folder]) -> str:
    """Name folders with what is in each, for a message."""
    return first_of([f"{folder.name}/ ({describe_folder(folder)})" for folder in folders])


def describe_folder(folder: Folder) -> str:
    """Describe what is in a folder, e.g. '12 images in 3 folders'."""
    if not folder.filled:
        return f"{folder.total:,} images"
    inner = folder.inner.filled or [folder.inner]
    names = ", ".join(each.base for each in inner[:3]) + (", …" if len(inner) > 3 else "")
    return f"{folder.total:,} images in {len(inner):,} folders: {names}"
