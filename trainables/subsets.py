"""Nested, stratified subsets of the training images, for learning curves.

A subset is the beginning of one random order of the training images, so that the smaller subsets of
a seed are parts of its larger ones (as in LCDB, Mohr et al. 2022).
"""

from __future__ import annotations

import numpy as np

from trainables.arrays import Ints
from trainables.errors import InputError

SIZES = 6
"""Number of sizes of a learning curve, the last of which is all training images."""
SMALLEST = 1 / 32
"""Smallest fraction of the training images."""
LEAST_IMAGES = 2
"""Images of the rarest class in the smallest subset; groups of images, if there are groups."""
LARGEST_START = 1 / 4
"""Fraction that the smallest subset may be at most: a shorter curve cannot be extrapolated."""


def subset_sizes(labels: Ints, groups: Ints | None, classes: tuple[str, ...]) -> list[int]:
    """Return the sizes of the subsets of a learning curve, in equal ratios, all images last.

    Args:
        labels: Labels of the training images, N, int64.
        groups: Group of each training image, N, int64; None if there are no groups.
        classes: Class name of each label.

    Raises:
        InputError: A class has too few images, or groups of images.
    """
    unit = "images" if groups is None else "groups of images"
    counts = [
        int((labels == label).sum()) if groups is None else len(np.unique(groups[labels == label]))
        for label in range(len(classes))
    ]
    rarest, least = int(np.argmin(counts)), round(LEAST_IMAGES / LARGEST_START)
    if counts[rarest] < least:
        raise InputError(
            f"class {classes[rarest]!r} has {counts[rarest]} {unit} to train on, but a learning "
            f"curve needs {least} or more of each class: add images, or leave --learning-curve out"
        )
    start = max(SMALLEST, LEAST_IMAGES / counts[rarest])
    fractions = start ** np.linspace(1, 0, SIZES)
    sizes: list[int] = np.unique(np.rint(fractions * len(labels)).astype(int)).tolist()
    return sizes


def nested_subset(labels: Ints, groups: Ints | None, size: int, seed: int) -> Ints:
    """Return the positions of a stratified subset of the training images, in ascending order.

    The images of a class are put in a random order and spread evenly over the order of all images,
    whose beginning is the subset. A group counts as of its most frequent class and stays together,
    so that with groups the subset has about as many images as wanted.

    Args:
        labels: Labels of the training images, N, int64.
        groups: Group of each training image, N, int64; None if there are no groups.
        size: Number of images of the subset, 1 or more.
        seed: Seed of the order; the same seed gives nested subsets.
    """
    generator = np.random.default_rng(seed)
    unit = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    images = np.bincount(unit)
    counts = np.zeros((len(images), int(labels.max()) + 1), dtype=np.int64)
    np.add.at(counts, (unit, labels), 1)
    stratum = counts.argmax(axis=1)
    place = np.empty(len(images))
    for label in np.unique(stratum):
        own = generator.permutation(np.flatnonzero(stratum == label))
        ends = images[own].cumsum()
        # A common offset makes the expected share of a class the same in every beginning.
        place[own] = (ends - images[own] * generator.random()) / ends[-1]
    order = np.argsort(place, kind="stable")
    ends = images[order].cumsum()
    last = int(np.abs(ends - size).argmin())
    positions: Ints = np.flatnonzero(np.isin(unit, order[: last + 1]))
    return positions
