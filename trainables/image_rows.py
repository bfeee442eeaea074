"""Images of a split, read when they are asked for: from memory, from a file, or by decoding.

Shape letters: N images, B batch size, S height and width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from trainables.arrays import DIGEST_BYTES, Images, Ints

BLOCK_BYTES = 64 * 2**20
"""Approximate number of bytes that are in memory at once when all images of a split are read."""


class ImageStore(Protocol):
    """Square images of a dataset."""

    shape: tuple[int, ...]
    """Shape of all images together: N×S×S×3, uint8."""

    def read(self, rows: Ints) -> Images:
        """Return some of the images, B×S×S×3, uint8."""

    def whole(self) -> Images | None:
        """Return all images, N×S×S×3, uint8; None if they are decoded when they are read."""

    def fingerprint(self) -> str:
        """Hash what the pixels depend on."""


class ArrayStore:
    """Images in memory.

    Args:
        array: Images, N×S×S×3, uint8.
    """

    def __init__(self, array: Images):
        self.array, self.shape = array, array.shape

    def read(self, rows: Ints) -> Images:
        """Return some of the images, B×S×S×3, uint8."""
        return self.array[rows]

    def whole(self) -> Images:
        """Return all images, N×S×S×3, uint8."""
        return self.array

    def fingerprint(self) -> str:
        """Hash the pixels."""
        digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        digest.update(np.ascontiguousarray(self.array).data)
        return digest.hexdigest()


class ImageRows:
    """Some images of a store, in an order of their own.

    Args:
        store: Images of the dataset, or an array of them, N×S×S×3, uint8.
        rows: Rows of the images in the store, 1-D, int64; None for all.
    """

    def __init__(self, store: ImageStore | Images, rows: Ints | None = None):
        self.store: ImageStore = ArrayStore(store) if isinstance(store, np.ndarray) else store
        self.rows: Ints = np.arange(self.store.shape[0]) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the images, N×S×S×3."""
        return len(self), *self.store.shape[1:]

    @property
    def nbytes(self) -> int:
        """Size of the images in bytes."""
        return int(np.prod(self.shape, dtype=np.int64))

    def read(self, positions: Ints | slice = slice(None)) -> Images:
        """Return some of the images, B×S×S×3, uint8."""
        return self.store.read(self.rows[positions])

    def take(self, positions: Ints | slice) -> ImageRows:
        """Return some of the images without reading them."""
        return ImageRows(self.store, self.rows[positions])

    def blocks(self) -> Iterator[Images]:
        """Yield all images in order, a block at a time, each B×S×S×3, uint8."""
        step = max(1, BLOCK_BYTES // max(1, int(np.prod(self.shape[1:]))))
        for start in range(0, len(self), step):
            yield self.read(slice(start, start + step))

    def fingerprint(self) -> str:
        """Hash what the pixels and their order depend on."""
        digest = hashlib.blake2b(self.store.fingerprint().encode(), digest_size=DIGEST_BYTES)
        digest.update(self.rows.tobytes())
        return digest.hexdigest()
