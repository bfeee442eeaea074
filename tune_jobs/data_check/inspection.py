"""Read a source once, and split it as the training jobs would.

Shape letters: N images of the source, R images that a comparison would use, P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from rich.console import Console

from trainables.arrays import Ints
from trainables.cache_files import Facts
from trainables.data import TRAIN, split
from trainables.errors import InputError
from trainables.sources.listing import Listing
from trainables.sources.names import PART_NAMES
from tune_jobs.data_check.options import CheckOptions
from tune_jobs.tuning.copies import without_copies
from tune_jobs.tuning.data import dataset_of, scan
from tune_jobs.tuning.found_images import FoundImages, find_images


@dataclass(frozen=True)
class Inspection:
    """A source with what is known of each image."""

    options: CheckOptions
    """Options of the job."""
    found: FoundImages
    """Images of the source."""
    facts: Facts
    """What decoding found out."""
    rows: Ints
    """Rows of the images that a comparison would use, R, int64, ascending."""
    codes: npt.NDArray[np.int8]
    """Split of each image, N, int8: TRAIN, VALIDATION or TEST as the training jobs would split
    them; -1: in none."""
    dropped: int
    """Number of images that --duplicates drop left out."""
    refusal: str | None
    """Why the training jobs would not split the images; then `codes` has the source's own
    splits. None: they are split."""

    @property
    def listing(self) -> Listing:
        """Labelled images of the source."""
        return self.found.listing

    @cached_property
    def counts(self) -> Ints:
        """Number of images of each class in each split, C×3, int64."""
        counts = np.zeros((len(self.listing.classes), len(PART_NAMES)), dtype=np.int64)
        used = np.flatnonzero(self.codes >= 0)
        np.add.at(counts, (self.listing.labels[used], self.codes[used]), 1)
        return counts

    @property
    def training_rows(self) -> Ints:
        """Rows of the training split, 1-D, int64."""
        return np.flatnonzero(self.codes == TRAIN)

    @cached_property
    def pairs(self) -> Ints:
        """Indices into `facts.copies` of the pairs of images in the splits, P, int64."""
        return np.flatnonzero((self.codes[self.facts.copies.pairs] >= 0).all(axis=1))

    def origin(self, row: int) -> str:
        """Return where an image comes from, below the source."""
        origin = self.listing.images.origin(row)
        inside = origin.removeprefix(self.listing.name)
        return inside.lstrip("/") if inside.startswith("/") else origin

    def about(self, row: int) -> str:
        """Return split, class and origin of an image."""
        code = int(self.codes[row])
        part = PART_NAMES[code] if code >= 0 else "unused"
        name = self.listing.classes[self.listing.labels[row]]
        return f"{part}, {name}: {self.origin(row)}"


def inspect(options: CheckOptions, console: Console) -> Inspection:
    """Read every image of a source once, and split those that can be decoded.

    Raises:
        InputError: the source cannot be read, or the cache has no room.
    """
    found = find_images(options)
    facts = scan(found, [], console)
    listing = found.listing
    n = len(listing.labels)
    rows = np.setdiff1d(np.arange(n), np.array(sorted(facts.errors), dtype=np.int64))
    if not len(rows):
        row = min(facts.errors)
        raise InputError(
            f"all {n:,} images of {listing.name} are damaged, e.g. {listing.images.origin(row)} "
            f"({facts.errors[row]}): replace them"
        )
    usable = len(rows)
    if options.duplicates == "drop":
        rows = without_copies(listing, facts, rows)
    codes = np.full(n, -1, dtype=np.int8)
    refusal = None
    if len(rows):
        dataset = dataset_of(listing, facts, rows)
        try:
            codes[rows] = split(dataset, options.split, options.split_seed).codes(len(rows))
        except InputError as error:
            refusal = str(error)
            codes[rows] = listing.parts[rows]
    else:
        refusal = "every image is a copy of one under another label: correct the labels"
    return Inspection(options, found, facts, rows, codes, usable - len(rows), refusal)
