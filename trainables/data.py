"""Image datasets in memory, and stratified training, validation and test splits.

Shape letters: N images, H height, W width. The three colour channels come last.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from trainables.errors import InputError

Images: TypeAlias = npt.NDArray[np.uint8]
"""Images, N×H×W×3, uint8, RGB."""
Ints: TypeAlias = npt.NDArray[np.int64]
"""Labels or indices, N, int64."""
Digests: TypeAlias = npt.NDArray[np.uint8]
"""Hashes of images, N×16, uint8."""

DIGEST_BYTES = 16

TRAIN, VALIDATION, TEST = range(3)
"""Codes of the splits in ImageDataset.parts."""
DEFAULT_SPLIT = (0.6, 0.2, 0.2)
"""Fractions of the training, validation and test splits of a source that defines none."""


@dataclass(frozen=True)
class ImageDataset:
    """Labelled images of one size, with the splits that their source defines."""

    name: str
    """Name of the dataset for reports and messages: that of the source, or its path."""
    images: Images
    """Images, N×H×W×3, uint8, RGB."""
    labels: Ints
    """Labels, N, int64, in 0..len(classes) - 1."""
    classes: tuple[str, ...]
    """Class name of each label."""
    parts: npt.NDArray[np.int8]
    """Split of each image in the source, N, int8: TRAIN, VALIDATION or TEST; TRAIN if the source
    defines no splits."""
    digests: Digests
    """Hash of each image as the source stores it, before resizing, N×16, uint8."""

    def __post_init__(self) -> None:
        n = len(self.images)
        assert self.images.dtype == np.uint8, self.images.dtype
        assert self.images.shape[3:] == (3,), self.images.shape
        assert self.labels.shape == self.parts.shape == (n,)
        assert self.digests.shape == (n, DIGEST_BYTES), self.digests.shape
        if n == 0:
            raise InputError(f"{self.name} holds no image: give a source with images of each class")

    def count(self, split_code: int) -> int:
        """Return the number of images in a split of the source: TRAIN, VALIDATION or TEST."""
        return int((self.parts == split_code).sum())

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the content: images, labels, class names and splits of the source."""
        return self._hash(self.images)

    @cached_property
    def source_fingerprint(self) -> str:
        """Hash of the content that does not depend on the size images were resized to."""
        return self._hash(self.digests)

    def _hash(self, images: npt.NDArray[np.uint8]) -> str:
        digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        digest.update(repr((images.shape, self.classes)).encode())
        for array in (images, self.labels, self.parts):
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
                "or more for every split to get one: add images or leave the class out"
            )
    pool, test = _hold_out(pool, dataset.labels, round(test_fraction * len(pool)), seed)
    n_val = round(val_fraction / (1 - test_fraction) * len(pool))
    train, validation = _hold_out(pool, dataset.labels, n_val, seed)
    return Split(train, np.union1d(own[VALIDATION], validation), np.union1d(own[TEST], test))


def _hold_out(pool: Ints, labels: Ints, size: int, seed: int) -> tuple[Ints, Ints]:
    """Hold out `size` of the indices in `pool`, stratified; return (rest, held out), ascending."""
    from sklearn.model_selection import train_test_split

    if size == 0:
        return pool, pool[:0]
    rest, held_out = train_test_split(
        pool, test_size=size, stratify=labels[pool], random_state=seed
    )
    return np.sort(rest), np.sort(held_out)


@dataclass(frozen=True)
class TrainingData:
    """Data of a trial: training and validation splits. The sealed test set is not included."""

    train_images: Images
    """Images of the training split, N×H×W×3, uint8."""
    train_labels: Ints
    """Labels of the training split, N, int64."""
    val_images: Images
    """Images of the validation split, N×H×W×3, uint8."""
    val_labels: Ints
    """Labels of the validation split, N, int64."""
    classes: tuple[str, ...]
    """Class name of each label."""
    mean: tuple[float, float, float]
    """Mean of the training pixels per channel, in 0..1."""
    std: tuple[float, float, float]
    """Standard deviation of the training pixels (not of image means) per channel, in 0..1."""

    @classmethod
    def of(cls, dataset: ImageDataset, splits: Split) -> TrainingData:
        """Copy the training and validation splits out of a dataset."""
        train_images = dataset.images[splits.train]
        mean, std = pixel_statistics(train_images)
        return cls(
            train_images=train_images,
            train_labels=dataset.labels[splits.train],
            val_images=dataset.images[splits.validation],
            val_labels=dataset.labels[splits.validation],
            classes=dataset.classes,
            mean=mean,
            std=std,
        )

    @property
    def image_size(self) -> int:
        """Height and width of the images in pixels."""
        return int(self.train_images.shape[1])


def image_digests(images: npt.NDArray[np.uint8]) -> Digests:
    """Hash each image.

    Args:
        images: Images, N×H×W or N×H×W×3, uint8.

    Returns:
        Hashes, N×16, uint8.
    """
    digests = [hashlib.blake2b(image.tobytes(), digest_size=DIGEST_BYTES) for image in images]
    return np.frombuffer(b"".join(d.digest() for d in digests), np.uint8).reshape(-1, DIGEST_BYTES)


def pixel_statistics(
    images: Images,
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Compute the exact mean and standard deviation of the pixels per channel.

    Uses histograms of the 256 values instead of a copy of the images in floating point, to save
    memory.

    Args:
        images: Images, N×H×W×3, uint8.

    Returns:
        Means and standard deviations per channel, in 0..1. A constant channel has standard
        deviation 1.
    """
    values = np.arange(256) / 255
    means, stds = [], []
    for channel in range(3):
        histogram = np.zeros(256)
        for block in np.array_split(images, ceil(len(images) / 4096)):
            histogram += np.bincount(block[..., channel].ravel(), minlength=256)
        weights = histogram / histogram.sum()
        mean = float(weights @ values)
        means.append(mean)
        # A constant channel must not lead to a division by zero.
        stds.append(float(np.sqrt(weights @ (values - mean) ** 2)) or 1.0)
    return (means[0], means[1], means[2]), (stds[0], stds[1], stds[2])


def subsample(data: TrainingData, images: int) -> tuple[TrainingData, float]:
    """Subsample training data to every k-th image.

    Args:
        data: Training data.
        images: Approximate number of training images to keep.

    Returns:
        The subset, whose arrays are views, and the fraction of the training images in it.
    """
    every = max(1, len(data.train_labels) // images)
    subset = replace(
        data,
        train_images=data.train_images[::every],
        train_labels=data.train_labels[::every],
        val_images=data.val_images[::every],
        val_labels=data.val_labels[::every],
    )
    return subset, len(subset.train_labels) / len(data.train_labels)
