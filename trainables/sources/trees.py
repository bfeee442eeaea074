"""Files of a source by name, whatever stores them, and images among them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from trainables.data import DIGEST_BYTES, Images, Ints
from trainables.errors import InputError
from trainables.image_formats import IMAGE_SUFFIXES
from trainables.sources.listing import Encoded
from trainables.sources.names import junk_kind, suffix_of
from trainables.sources.stores import Member, Reader, Store

LARGEST_IMAGE = 2**31
"""Bytes of a file, above those of the largest images that are read. A file may have holes, and
take no space on its disk."""


@dataclass(frozen=True)
class Tree:
    """Files of a source, without those that are no part of a dataset."""

    place: str
    """Path or URI of the source, for messages."""
    reader: Reader
    """Reads files by name."""
    files: dict[str, Member]
    """Files by name, in no order."""
    folders: frozenset[str]
    """Names of the folders, also of empty ones."""
    junk: Counter[str]
    """Number of files that were left out, by kind, e.g. .DS_Store."""

    def with_suffix(self, *suffixes: str) -> list[str]:
        """Return the names of the files with one of some suffixes, in no order."""
        return [name for name in self.files if suffix_of(name) in suffixes]

    def images(self, names: Sequence[str]) -> TreeImages:
        """Return files as encoded images.

        Raises:
            InputError: A file is larger than any image, so that it would fill the memory.
        """
        check_sizes(self.reader, (self.files[name] for name in names if name in self.files))
        return TreeImages(self.reader, names, version_of(self.place, map(self.files.get, names)))

    def not_images(self) -> Counter[str]:
        """Count the files that are no images by suffix, or name one without, besides the junk."""
        kinds = {name: suffix_of(name) for name in self.files}
        bare = [name for name, kind in kinds.items() if not kind]
        without = f"without suffix ({bare[0]})" if len(bare) == 1 else "without suffix"
        others = Counter(k or without for k in kinds.values() if k not in IMAGE_SUFFIXES)
        return self.junk + others


def tree_of(place: str, reader: Reader, files: Iterable[Member], folders: Iterable[str]) -> Tree:
    """Make a tree of files and folders, and count the junk among them."""
    kept: dict[str, Member] = {}
    junk: Counter[str] = Counter()
    for member in files:
        kind = junk_kind(member.name)
        if kind:
            junk[kind] += 1
        else:
            kept[member.name] = member
    shown = frozenset(name for name in folders if not junk_kind(f"{name}/x"))
    return Tree(place, reader, kept, shown, junk)


def tree_of_store(store: Store) -> Tree:
    """List all files of a folder."""
    return tree_of(store.path(""), store, *store.walk())


def check_sizes(reader: Reader, members: Iterable[Member]) -> None:
    """Raise InputError if a file is larger than any image, so that it would fill the memory."""
    for member in members:
        if member.size > LARGEST_IMAGE:
            raise InputError(
                f"{reader.path(member.name)} has {member.size:,} bytes, and an image must have at "
                f"most {LARGEST_IMAGE:,}: remove it"
            )


def version_of(place: str, members: Iterable[Member | None]) -> str:
    """Hash the place of a source, and the name, size and time of change of its files."""
    digest = hashlib.blake2b(place.encode("utf-8", "surrogateescape"), digest_size=DIGEST_BYTES)
    for member in members:
        digest.update(repr(member and tuple(member)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


class TreeImages:
    """Encoded images that are files of a source.

    Args:
        reader: Reads files by name.
        names: Name of each image's file.
        version: Hash of the files as they were listed.
    """

    def __init__(self, reader: Reader, names: Sequence[str], version: str):
        self.reader = reader
        self.names = list(names)
        self._version = version

    def __len__(self) -> int:
        return len(self.names)

    def origin(self, row: int) -> str:
        """Return the path of an image."""
        return self.reader.path(self.names[row])

    def read(self, row: int) -> bytes:
        """Return the content of an image's file."""
        return self.reader.read(self.names[row])

    def version(self) -> str:
        """Return the hash of the names, sizes and times of change that were listed."""
        return self._version


class SelectedImages:
    """Some of the images of a source.

    Args:
        images: All images.
        rows: Row of each selected image, 1-D, int64.
    """

    def __init__(self, images: Encoded, rows: Ints):
        self.images = images
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def origin(self, row: int) -> str:
        """Return where an image comes from."""
        return self.images.origin(int(self.rows[row]))

    def read(self, row: int) -> bytes | Images:
        """Return an image as its source stores it."""
        return self.images.read(int(self.rows[row]))

    def version(self) -> str:
        """Return a hash of the source's version and of the selection."""
        rows = np.ascontiguousarray(self.rows).tobytes()
        return hashlib.blake2b(self.images.version().encode() + rows, digest_size=16).hexdigest()
