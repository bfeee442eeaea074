"""Copies of images within a dataset: --duplicates keep, drop or fail, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.arrays import Ints
from trainables.cache_files import Facts
from trainables.errors import InputError
from trainables.sources.listing import Listing

EXAMPLES = 3
"""Number of pairs that a message names."""


@dataclass(frozen=True)
class CopyCounts:
    """Number of images that have a copy, and of which kind."""

    images: int
    """Number of images that have a copy anywhere in the dataset."""
    across: int
    """Number of validation and test images with a copy in a split that models learn from or are
    selected on."""
    conflicts: int
    """Number of images with a copy under another label."""
    examples: tuple[tuple[str, str], ...]
    """Origins of some pairs: conflicts first, then pairs across splits."""


def without_copies(listing: Listing, facts: Facts, rows: Ints) -> Ints:
    """Return the rows without superfluous copies: one image of each picture stays.

    It is one of the test split, else of the validation split, else of the training split. No image
    of a picture under two labels stays, as nobody knows the right one.

    Args:
        listing: labelled images of the source.
        facts: what decoding found out.
        rows: rows of the images that may stay, ascending.
    """
    pictures = facts.copies.components(len(listing.labels))[rows]
    labels, parts = listing.labels[rows], listing.parts[rows]
    order = np.lexsort((rows, -parts, pictures))
    first = np.ones(len(rows), dtype=bool)
    first[1:] = pictures[order][1:] != pictures[order][:-1]
    kept = np.zeros(len(rows), dtype=bool)
    kept[order[first]] = True
    low, high = (extreme_of_picture(labels, pictures, each) for each in (np.minimum, np.maximum))
    result: Ints = rows[kept & (low == high)]
    return result


def count_copies(
    listing: Listing, facts: Facts, rows: Ints, codes: npt.NDArray[np.int8]
) -> CopyCounts:
    """Count the images that have a copy.

    Args:
        listing: labelled images of the source.
        facts: what decoding found out.
        rows: rows of the images that were not left out.
        codes: split of each of them, as `Split.codes` returns it.
    """
    code = np.full(len(listing.labels), -1)
    code[rows] = codes
    pairs = facts.copies.pairs
    pairs = pairs[(code[pairs] >= 0).all(axis=1)]
    pictures = facts.copies.components(len(code))
    members = np.bincount(pictures[rows], minlength=len(code))
    copied = np.flatnonzero((code >= 0) & (members[pictures] > 1))
    pictures = pictures[copied]
    earliest, low, high = (
        extreme_of_picture(values[copied], pictures, extreme)
        for values, extreme in (
            (code, np.minimum), (listing.labels, np.minimum), (listing.labels, np.maximum),
        )
    )  # fmt: skip
    conflict = listing.labels[pairs[:, 0]] != listing.labels[pairs[:, 1]]
    across = code[pairs[:, 0]] != code[pairs[:, 1]]
    order = np.lexsort((~across, ~conflict))[:EXAMPLES]
    origin = listing.images.origin
    return CopyCounts(
        images=len(copied),
        across=int((code[copied] > earliest).sum()),
        conflicts=int((low < high).sum()),
        examples=tuple((origin(int(a)), origin(int(b))) for a, b in pairs[order]),
    )


def extreme_of_picture(values: Ints, pictures: Ints, extreme: np.ufunc) -> Ints:
    """Return for each image the smallest or largest value among the copies of its picture.

    Args:
        values: value of each image, N.
        pictures: number of each image's picture, N.
        extreme: np.minimum or np.maximum.
    """
    _, first, picture = np.unique(pictures, return_index=True, return_inverse=True)
    result: Ints = values[first].copy()
    extreme.at(result, picture.ravel(), values)
    return result[picture.ravel()]


def describe_copies(counts: CopyCounts, dropped: int) -> list[str]:
    """Return sentences on the copies of a dataset; none if there are no copies.

    Args:
        counts: copies in the splits.
        dropped: number of images that --duplicates drop left out.
    """
    lines = [f"{dropped:,} images left out as copies of others (--duplicates drop)"] * bool(dropped)
    if counts.images:
        pairs = "; ".join(f"{a} and {b}" for a, b in counts.examples)
        kinds = [
            text
            for number, text in (
                (counts.conflicts, f"{counts.conflicts:,} of them under different labels"),
                (
                    counts.across,
                    f"{counts.across:,} of them test or validation images that an "
                    "earlier split has too",
                ),
            )
            if number
        ]
        which = f", {', '.join(kinds)}" if kinds else ""
        lines.append(
            f"{counts.images:,} images are copies of one another{which}: {pairs}. "
            "--duplicates drop leaves copies out"
        )
    return lines


def refuse_copies(counts: CopyCounts, name: str) -> None:
    """Raise InputError if there are copies across splits or under two labels."""
    if counts.across or counts.conflicts:
        raise InputError(
            f"{name}: {describe_copies(counts, 0)[0]}; --duplicates keep trains on them as they are"
        )
