"""Listings: which labelled images a source holds, without their pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from trainables.data import Images, Ints
from trainables.errors import InputError


class Encoded(Protocol):
    """Images of a source in a fixed order, read one at a time. Small when pickled."""

    def __len__(self) -> int:
        """Return the number of images."""

    def origin(self, row: int) -> str:
        """Return where an image comes from, for messages: a path, or a file and a row."""

    def read(self, row: int) -> bytes | Images:
        """Return an image as its file's content, or as an array, H×W or H×W×3, uint8.

        Called by several threads at once, mostly in ascending order.

        Raises:
            OSError: The image cannot be read.
        """

    def version(self) -> str:
        """Return a hash that changes when a file of the source changes, without reading it all."""


@dataclass(frozen=True)
class Listing:
    """Labelled images that a source holds, without their pixels."""

    name: str
    """Name of the dataset for reports and messages: that of the source, or its path."""
    images: Encoded
    """Encoded images, N, in the order of the fields below."""
    labels: Ints
    """Labels, N, int64, in 0..len(classes) - 1."""
    classes: tuple[str, ...]
    """Class name of each label."""
    parts: npt.NDArray[np.int8]
    """Split of each image in the source, N, int8: TRAIN, VALIDATION or TEST; TRAIN if the source
    defines no splits."""
    groups: tuple[str, ...] | None = None
    """Group of each image, N, e.g. its patient; None if the source defines no groups."""
    ignored: dict[str, int] = field(default_factory=dict)
    """Number of files that were left out, by the reason, e.g. `.DS_Store` or `unlabelled test`."""
    notes: tuple[str, ...] = ()
    """Sentences about what was read differently than it is written, e.g. compacted labels."""

    def __post_init__(self) -> None:
        n = len(self.images)
        assert self.labels.shape == self.parts.shape == (n,)
        assert self.groups is None or len(self.groups) == n
        if n == 0:
            raise InputError(f"{self.name} holds no image: give a source with images of each class")
