"""Cache of decoded images: one pass over a source decodes every image once per machine.

An entry of the cache is a folder for a source in one state of its files. It holds a `.npy` file of
square images for each view, and `facts.npz` with what the pass found out about each image.

Shape letters: N images, B batch size, S height and width.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image

from trainables.arrays import DIGEST_BYTES, Images, Ints
from trainables.cache_files import (
    HEADER_BYTES,
    Facts,
    images_folder,
    load_facts,
    make_room,
    partial_files,
    save_facts,
    touch,
)
from trainables.decoding import DecodingError, header_facts, open_rgb, render_views
from trainables.duplicates import THUMBNAIL, find_copies, thumbnail
from trainables.errors import InputError
from trainables.image_rows import ImageStore
from trainables.sources.listing import Encoded
from trainables.views import Decoding, View

DECODER = 1
"""Version of the decoding; entries of other versions are not used."""
BLOCK = 64
"""Images that a thread decodes before it takes the next ones."""
FACTS_FILE = "facts.npz"

Progress = Callable[[int], None]
"""Callback that receives the number of images that were read since the last call."""


@dataclass(frozen=True)
class SquareImages:
    """Images of a source as square arrays: from the cache, or decoded when they are read."""

    encoded: Encoded
    """Images as the source stores them, N."""
    how: Decoding
    """How pixels become red, green and blue."""
    key: str
    """Name of the entry in the cache: a hash of the source's files and of `how`."""
    limit: int
    """Size in bytes that the cache may have; 0: no cache."""

    @classmethod
    def of(cls, encoded: Encoded, how: Decoding, limit: int) -> SquareImages:
        """Look at the source's files to find the entry in the cache."""
        digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        digest.update(repr((DECODER, encoded.version(), len(encoded), how)).encode())
        return cls(encoded, how, digest.hexdigest(), limit)

    def store(self, view: View) -> ImageStore:
        """Return the images in a view. Nothing is read or decoded before pixels are asked for."""
        return CachedStore(self, view) if self.limit else DecodingStore(self, view)

    def file(self, view: View) -> Path:
        """Return the file of a view, which is added to the cache if it is not there.

        Raises:
            InputError: The cache has no room, or the source cannot be read on this machine.
        """
        if self.missing([view]):
            self.scan([view])
        touch(self._entry)
        return self._entry / f"{view.name}.npy"

    def missing(self, views: Sequence[View]) -> list[View]:
        """Return the views that the cache does not have."""
        return [v for v in dict.fromkeys(views) if not (self._entry / f"{v.name}.npy").exists()]

    def scan(self, views: Sequence[View], progress: Progress = lambda _: None) -> Facts:
        """Decode the source once: add the missing views to the cache, and return the facts.

        Nothing is decoded if the cache has everything. One process fills an entry while the others
        wait.

        Args:
            views: Views that will be read.
            progress: Callback.

        Raises:
            InputError: The cache has no room, or the source cannot be read on this machine.
        """
        if not self.limit:
            return self._decode_all({}, progress, None)
        entry = self._entry
        entry.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(entry.with_suffix(".lock")):
            entry.mkdir(exist_ok=True)
            facts = load_facts(entry / FACTS_FILE)
            missing = self.missing(views)
            if facts is None or missing:
                for stale in entry.glob("*.partial"):  # left by a process that was killed
                    stale.unlink()
                spared = [f"{view.name}.npy" for view in views]
                make_room(self.limit, sum(map(self.nbytes, missing)), entry, spared)
                with partial_files(entry, missing, len(self.encoded)) as files:
                    # Found out once: comparing copies takes time.
                    facts = self._decode_all(files, progress, facts)
                    save_facts(entry / FACTS_FILE, facts)
        touch(entry)
        return facts

    def nbytes(self, view: View) -> int:
        """Return the size of a view in bytes."""
        return len(self.encoded) * view.size**2 * 3

    @property
    def _entry(self) -> Path:
        return images_folder() / self.key

    def _read(self, row: int) -> bytes | Images:
        try:
            return self.encoded.read(row)
        except OSError as error:
            raise InputError(
                f"{self.encoded.origin(row)} cannot be read ({error}): check that it exists and "
                "that this machine may read it"
            ) from error

    def decode(self, row: int, views: Sequence[View]) -> tuple[Image.Image, list[Images]]:
        """Decode an image, and return it with its array in each view, S×S×3, uint8.

        Raises:
            DecodingError: The image is damaged.
            InputError: The source cannot be read.
        """
        content = self._read(row)
        if not views:
            return open_rgb(content, self.how), []
        return render_views(content, header_facts(content), views, self.how)

    def _decode_all(self, files: dict[View, int], progress: Progress, known: Facts | None) -> Facts:
        """Decode every image, write its views into files, and return the facts.

        Args:
            files: File descriptor by view.
            progress: Callback.
            known: Facts of an earlier pass, which are not found out again; None if there was none.
        """
        n = len(self.encoded)
        facts = Facts.unknown(n)
        thumbnails = np.zeros((n, THUMBNAIL, THUMBNAIL), dtype=np.uint8)

        def decode_block(start: int) -> int:
            for row in range(start, min(start + BLOCK, n)):
                content = self._read(row)
                if known is None:
                    raw = content if isinstance(content, bytes) else content.tobytes()
                    digest = hashlib.blake2b(raw, digest_size=DIGEST_BYTES).digest()
                    facts.digests[row] = np.frombuffer(digest, np.uint8)
                try:
                    about = header_facts(content)
                    image, squares = render_views(content, about, files, self.how)
                except DecodingError as error:
                    facts.errors[row] = str(error)
                    continue
                for file, array in zip(files.values(), squares, strict=True):
                    os.pwrite(file, array.data, HEADER_BYTES + row * array.nbytes)
                if known is None:
                    facts.sizes[row] = about.height, about.width
                    facts.formats[row], facts.modes[row] = about.format, about.mode
                    facts.turned[row] = about.orientation != 1
                    facts.transparent[row] = about.transparent
                    thumbnails[row] = thumbnail(image)
                    facts.contrasts[row] = np.ptp(thumbnails[row])
            return min(BLOCK, n - start)

        # Threads suffice, because Pillow releases the GIL while it decodes and resizes.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for done in pool.map(decode_block, range(0, n, BLOCK)):
                progress(done)
        if known is not None:
            return known
        usable = facts.sizes[:, 0] > 0
        copies = find_copies(facts.digests, thumbnails, usable, lambda row: self.decode(row, [])[0])
        return dataclasses.replace(facts, copies=copies)


class ViewStore:
    """Images of a source in a view, N×S×S×3, uint8.

    Args:
        images: Images of the source.
        view: View that they are read in.
    """

    def __init__(self, images: SquareImages, view: View):
        self.images, self.view = images, view
        self.shape: tuple[int, ...] = (len(images.encoded), view.size, view.size, 3)

    def fingerprint(self) -> str:
        """Hash what the pixels depend on."""
        return f"{self.images.key} {self.view.name}"


class CachedStore(ViewStore):
    """Images of a view in the cache.

    Reading does not map the file, so that the memory of a process does not grow with its size.
    """

    @cached_property
    def _file(self) -> int:
        try:
            return os.open(self.images.file(self.view), os.O_RDONLY)
        except FileNotFoundError:  # another process made room in this moment
            return os.open(self.images.file(self.view), os.O_RDONLY)

    def __reduce__(self) -> tuple[type[CachedStore], tuple[SquareImages, View]]:
        return CachedStore, (self.images, self.view)  # an open file is of one process alone

    def __del__(self) -> None:
        if "_file" in self.__dict__:
            os.close(self._file)

    def read(self, rows: Ints) -> Images:
        """Return some of the images, B×S×S×3, uint8.

        Raises:
            InputError: The view cannot be added to the cache.
        """
        images = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        for image, row in zip(images, rows.tolist(), strict=True):
            start = HEADER_BYTES + row * image.nbytes
            if os.preadv(self._file, [image.data], start) != image.nbytes:
                raise OSError(f"{self.images.file(self.view)} is shorter than its header says")
        return images

    def whole(self) -> Images:
        """Return all images, N×S×S×3, uint8, mapped.

        Raises:
            InputError: The view cannot be added to the cache.
        """
        array: Images = np.load(self.images.file(self.view), mmap_mode="r")
        return array


class DecodingStore(ViewStore):
    """Images of a view that are decoded whenever they are read."""

    def read(self, rows: Ints) -> Images:
        """Return some of the images, B×S×S×3, uint8.

        Raises:
            InputError: An image cannot be read any more.
        """
        result = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)

        def decode(i: int) -> None:
            row = int(rows[i])
            try:
                result[i] = self.images.decode(row, [self.view])[1][0]
            except DecodingError as error:
                origin = self.images.encoded.origin(row)
                raise InputError(
                    f"{origin} cannot be decoded any more ({error}): restore it, or start another "
                    "run without it"
                ) from error

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(decode, range(len(rows))))
        return result

    def whole(self) -> None:
        """Return None, as the images are decoded when they are read."""
