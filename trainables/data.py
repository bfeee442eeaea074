"""Image datasets, and stratified training, validation and test splits.

Shape letters: N images, H height, W width. The three colour channels come last.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from trainables.arrays import DIGEST_BYTES, Digests, Images, Ints
from trainables.errors import InputError
from trainables.image_rows import ImageRows

__all__ = [
    "DIGEST_BYTES",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Digests",
    "ImageDataset",
    "ImageRows",
    "Images",
    "Ints",
    "Split",
    "TrainingData",
    "image_digests",
    "pixel_statistics",
    "split",
]

TRAIN, VALIDATION, TEST = range(3)
"""Codes of the splits in ImageDataset.parts."""
Statistic: TypeAlias = tuple[float, float, float]
"""Value of each channel: red, green, blue."""
GROUP_FOLDS = 20
"""Number of folds of which several are held out where equal folds do not give a fraction."""
GROUP_TOLERANCE = 0.02
"""Largest difference between a fraction and the size of a fold."""
DEFAULT_SPLIT = (0.6, 0.2, 0.2)
"""Fractions of the training, validation and test splits of a source that defines none."""


@dataclass(frozen=True)
class ImageDataset:
    """Labelled images without their pixels, with the splits that their source defines."""

    name: str
    """Name of the dataset for reports and messages: that of the source, or its path."""
    labels: Ints
    """Labels, N, int64, in 0..len(classes) - 1."""
    classes: tuple[str, ...]
    """Class name of each label."""
    parts: npt.NDArray[np.int8]
    """Split of each image in the source, N, int8: TRAIN, VALIDATION or TEST; TRAIN if the source
    defines no splits."""
    digests: Digests
    """Hash of each image as the source stores it, N×16, uint8."""
    groups: tuple[str, ...] | None = None
    """Group of each image, N, whose images belong into one split; None if there are no groups."""

    def __post_init__(self) -> None:
        n = len(self.labels)
        assert self.labels.shape == self.parts.shape == (n,)
        assert self.digests.shape == (n, DIGEST_BYTES), self.digests.shape
        assert self.groups is None or len(self.groups) == n
        if n == 0:
            raise InputError(f"{self.name} holds no image: give a source with images of each class")

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the content: images as stored, labels, class names and splits of the source."""
        digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        digest.update(repr((self.digests.shape, self.classes)).encode())
        for array in (self.digests, self.labels, self.parts):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Split:
    """Training, validation and test splits, as disjoint ascending indices into a dataset."""

    train: Ints
    """Indices of the training split, 1-D, int64."""
    validation: Ints
    """Indices of the validation split, 1-D, int64."""
    test: Ints
    """Indices of the test split, 1-D, int64."""

    @property
    def sizes(self) -> dict[str, int]:
        """Number of images in each split, by its name."""
        return {
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
        }

    def codes(self, n: int) -> npt.NDArray[np.int8]:
        """Return TRAIN, VALIDATION or TEST for each of `n` images, and -1 for those in no split."""
        codes = np.full(n, -1, dtype=np.int8)
        for code, indices in enumerate((self.train, self.validation, self.test)):
            codes[indices] = code
        return codes

    def test_digests(self, dataset: ImageDataset) -> Digests:
        """Return the hashes of the test images, N×16, uint8; they tell nothing of the pixels."""
        return dataset.digests[self.test]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the indices that models are selected and scored on: validation and test."""
        digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        for indices in (self.validation, self.test):
            digest.update(indices.tobytes() + b".")
        return digest.hexdigest()


def split(
    dataset: ImageDataset, fractions: tuple[float, float, float] | None = None, seed: int = 0
) -> Split:
    """Split a dataset into training, validation and test splits, stratified by class.

    Args:
        dataset: Dataset to split.
        fractions: Fractions of the training, validation and test splits, all three taken from the
            training split of the source. None keeps the validation and test splits of the source;
            each one that it lacks is 0.2 of its training split.
        seed: Seed of the split; the same seed gives the same indices.

    Raises:
        InputError: There is only one class, or a class has too few images for every split to get
            one.
    """
    if len(dataset.classes) < 2:
        raise InputError(
            f"{dataset.name} has one class, {dataset.classes[0]!r}, but a classifier needs two or "
            "more: give the folder whose subfolders are the classes, or a file with more labels"
        )
    pool = np.flatnonzero(dataset.parts == TRAIN)
    if fractions is None:
        own = {code: np.flatnonzero(dataset.parts == code) for code in (VALIDATION, TEST)}
        _, val_fraction, test_fraction = (
            0.0 if len(own.get(code, ())) else fraction
            for code, fraction in enumerate(DEFAULT_SPLIT)
        )
    else:
        own = {VALIDATION: pool[:0], TEST: pool[:0]}
        _, val_fraction, test_fraction = fractions
    all_fractions = val_fraction, test_fraction, 1 - val_fraction - test_fraction
    smallest = min(fraction for fraction in all_fractions if fraction > 0)
    least = ceil(1 / smallest - 1e-6)  # 1 - 0.4 - 0.4 is slightly below 0.2
    counts = np.bincount(dataset.labels[pool], minlength=len(dataset.classes))
    for name, count in zip(dataset.classes, counts, strict=True):
        if count < least:
            raise InputError(
                f"class {name!r} of {dataset.name} has {count} training images but needs {least} "
                "or more for every split to get one: add images, or leave the class out with "
                f"--min-per-class {least}"
            )
    hold_out = _hold_out if dataset.groups is None else _hold_out_groups
    pool, test = hold_out(pool, dataset, test_fraction, seed)
    train, validation = hold_out(pool, dataset, val_fraction / (1 - test_fraction), seed)
    return Split(train, np.union1d(own[VALIDATION], validation), np.union1d(own[TEST], test))


def _hold_out(pool: Ints, dataset: ImageDataset, fraction: float, seed: int) -> tuple[Ints, Ints]:
    """Hold out a fraction of `pool`, stratified; return (rest, held out), ascending indices."""
    from sklearn.model_selection import train_test_split

    size = round(fraction * len(pool))
    if size == 0:
        return pool, pool[:0]
    rest, held_out = train_test_split(
        pool, test_size=size, stratify=dataset.labels[pool], random_state=seed
    )
    return np.sort(rest), np.sort(held_out)


def _hold_out_groups(
    pool: Ints, dataset: ImageDataset, fraction: float, seed: int
) -> tuple[Ints, Ints]:
    """Hold out about a fraction of the indices in `pool`, without dividing a group.

    The pool is divided into folds by StratifiedGroupKFold, and as many are held out as come nearest
    to the fraction.

    Raises:
        InputError: There are fewer groups than folds, or a class is in too few groups.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if fraction == 0:
        return pool, pool[:0]
    assert dataset.groups is not None
    groups = np.array(dataset.groups)[pool]
    labels, folds = dataset.labels[pool], round(1 / fraction)
    count = 1
    if abs(1 / folds - fraction) > GROUP_TOLERANCE:
        folds, count = GROUP_FOLDS, round(fraction * GROUP_FOLDS)
    for label, name in enumerate(dataset.classes):
        own = len(np.unique(groups[labels == label]))
        if own < folds:
            raise InputError(
                f"class {name!r} of {dataset.name} has images of {own} groups, but needs {folds} "
                "or more for every split to get one: add images, or leave the class out"
            )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    folds_held = itertools.islice(splitter.split(pool, labels, groups), count)
    held = np.concatenate([test for _, test in folds_held])
    held_out = np.zeros(len(pool), dtype=bool)
    held_out[held] = True
    return pool[~held_out], pool[held_out]


@dataclass(frozen=True)
class TrainingData:
    """Data of a trial: training and validation splits. The sealed test set is not included."""

    train_images: ImageRows
    """Images of the training split, N×H×W×3, uint8; larger where the augmentation crops them."""
    train_labels: Ints
    """Labels of the training split, N, int64."""
    val_images: ImageRows
    """Images of the validation split, N×H×W×3, uint8."""
    val_labels: Ints
    """Labels of the validation split, N, int64."""
    classes: tuple[str, ...]
    """Class name of each label."""
    groups: Ints | None = None
    """Group of each training image, followed by those of the validation images, int64; None if
    there are no groups."""
    whole: TrainingData | None = None
    """Data with all training images, if these are a subset whose features are taken from theirs."""
    chosen: Ints | None = None
    """Positions of these training images in `whole`, N, int64; None if `whole` is."""

    @property
    def image_size(self) -> int:
        """Height and width in pixels of the images that the network classifies."""
        return int(self.val_images.shape[1])

    @cached_property
    def statistics(self) -> tuple[Statistic, Statistic]:
        """Mean and standard deviation of the training pixels per channel, in 0..1."""
        return pixel_statistics((self.whole or self).train_images)


def image_digests(images: npt.NDArray[np.uint8]) -> Digests:
    """Hash each image.

    Args:
        images: Images, N×H×W or N×H×W×3, uint8.

    Returns:
        Hashes, N×16, uint8.
    """
    digests = [hashlib.blake2b(image.tobytes(), digest_size=DIGEST_BYTES) for image in images]
    return np.frombuffer(b"".join(d.digest() for d in digests), np.uint8).reshape(-1, DIGEST_BYTES)


def pixel_statistics(images: ImageRows) -> tuple[Statistic, Statistic]:
    """Compute the exact mean and standard deviation of the pixels (not of image means) per channel.

    Uses histograms of the 256 values instead of a copy of the images in floating point, to save
    memory.

    Args:
        images: Images, N×H×W×3, uint8.

    Returns:
        Means and standard deviations per channel, in 0..1. A constant channel has standard
        deviation 1.
    """
    values = np.arange(256) / 255
    histograms = np.zeros((3, 256))
    for block in images.blocks():
        for channel, histogram in enumerate(histograms):
            histogram += np.bincount(block[..., channel].ravel(), minlength=256)
    means, stds = [], []
    for histogram in histograms:
        weights = histogram / histogram.sum()
        mean = float(weights @ values)
        means.append(mean)
        # A constant channel must not lead to a division by zero.
        stds.append(float(np.sqrt(weights @ (values - mean) ** 2)) or 1.0)
    return (means[0], means[1], means[2]), (stds[0], stds[1], stds[2])
