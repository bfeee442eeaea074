"""Images as arrays, and how they are cut into training, validation and test parts.

Shape letters: N images, H height, W width; three colour channels, last.
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
Ints: TypeAlias = npt.NDArray[np.int64]
Digests: TypeAlias = npt.NDArray[np.uint8]

DIGEST_BYTES = 16

TRAIN, VALIDATION, TEST = range(3)
DEFAULT_SPLIT = (0.6, 0.2, 0.2)


@dataclass(frozen=True)
class ImageDataset:
    """Labelled images of one size, and what their source says of splits."""

    name: str
    """How a person would call it."""
    images: Images
    """N×H×W×3, RGB."""
    labels: Ints
    """N, from 0 to len(classes) - 1."""
    classes: tuple[str, ...]
    """Name of each label."""
    parts: npt.NDArray[np.int8]
    """N, TRAIN, VALIDATION or TEST as the source has them; all TRAIN where it says nothing."""
    digests: Digests
    """N×16, a hash of each image as the source has it, before it was resized."""

    def __post_init__(self) -> None:
        n = len(self.images)
        assert self.images.dtype == np.uint8, self.images.dtype
        assert self.images.shape[3:] == (3,), self.images.shape
        assert self.labels.shape == self.parts.shape == (n,)
        assert self.digests.shape == (n, DIGEST_BYTES), self.digests.shape
        if n == 0:
            raise InputError(f"{self.name} holds no image; give a source with some in each class")

    def count(self, part: int) -> int:
        """Number of images the source puts into `part`."""
        return int((self.parts == part).sum())

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the content (images, labels, class names, parts): equal where the data is."""
        return self._hash(self.images)

    @cached_property
    def source_fingerprint(self) -> str:
        """As `fingerprint`, but equal too where the same images were resized to another size."""
        return self._hash(self.digests)

    def _hash(self, images: npt.NDArray[np.uint8]) -> str:
        digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        digest.update(repr((images.shape, self.classes)).encode())
        for array in (images, self.labels, self.parts):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Split:
    """Indices into a dataset, ascending and disjoint."""

    train: Ints
    validation: Ints
    test: Ints

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
        """Hash of what models are chosen and scored on: the validation and the test indices."""
        digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        for part in (self.validation, self.test):
            digest.update(part.tobytes() + b".")
        return digest.hexdigest()


def split(
    dataset: ImageDataset, shares: tuple[float, float, float] | None = None, seed: int = 0
) -> Split:
    """Cut a dataset, stratified by class.

    Args:
        dataset: what to cut.
        shares: of training, validation and test, cut from the source's training part alone.
            None keeps the source's own validation and test part; what it has not is cut from
            its training part, a share of 0.2 each.
        seed: of the cut; the same seed gives the same parts.

    Raises:
        InputError: there is one class alone, or one has too few images for each part to get one.
    """
    if len(dataset.classes) < 2:
        raise InputError(
            f"{dataset.name} has one class, {dataset.classes[0]!r}, and a classifier tells two or "
            "more apart: give the folder whose subfolders are the classes, or a file with more "
            "labels"
        )
    pool = np.flatnonzero(dataset.parts == TRAIN)
    if shares is None:
        own = {part: np.flatnonzero(dataset.parts == part) for part in (VALIDATION, TEST)}
        _, val_share, test_share = (
            0.0 if len(own.get(part, ())) else share for part, share in enumerate(DEFAULT_SPLIT)
        )
    else:
        own = {VALIDATION: pool[:0], TEST: pool[:0]}
        _, val_share, test_share = shares
    smallest = min(s for s in (val_share, test_share, 1 - val_share - test_share) if s > 0)
    least = ceil(1 / smallest - 1e-6)  # a share of 0.2 may be a bit less than a fifth
    counts = np.bincount(dataset.labels[pool], minlength=len(dataset.classes))
    for name, count in zip(dataset.classes, counts, strict=True):
        if count < least:
            raise InputError(
                f"class {name!r} of {dataset.name} has {count} images to train on and needs "
                f"{least} or more for each part to get one: add images or leave the class out"
            )
    pool, test = _cut(pool, dataset.labels, round(test_share * len(pool)), seed)
    n_val = round(val_share / (1 - test_share) * len(pool))
    train, validation = _cut(pool, dataset.labels, n_val, seed)
    return Split(train, np.union1d(own[VALIDATION], validation), np.union1d(own[TEST], test))


def _cut(pool: Ints, labels: Ints, size: int, seed: int) -> tuple[Ints, Ints]:
    """Take `size` of `pool`, stratified; returns (rest, taken), ascending."""
    from sklearn.model_selection import train_test_split

    if size == 0:
        return pool, pool[:0]
    rest, taken = train_test_split(pool, test_size=size, stratify=labels[pool], random_state=seed)
    return np.sort(rest), np.sort(taken)


@dataclass(frozen=True)
class TrainingData:
    """All that a trial sees of a dataset. It holds no test image: the test part stays sealed."""

    train_images: Images
    train_labels: Ints
    val_images: Images
    val_labels: Ints
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    """Of the training pixels, a channel, in 0..1."""
    std: tuple[float, float, float]
    """Of the training pixels (not of image means), a channel, in 0..1."""

    @classmethod
    def of(cls, dataset: ImageDataset, parts: Split) -> TrainingData:
        """Copy the training and validation part out of `dataset`."""
        train_images = dataset.images[parts.train]
        mean, std = pixel_statistics(train_images)
        return cls(
            train_images=train_images,
            train_labels=dataset.labels[parts.train],
            val_images=dataset.images[parts.validation],
            val_labels=dataset.labels[parts.validation],
            classes=dataset.classes,
            mean=mean,
            std=std,
        )

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return int(self.train_images.shape[1])


def image_digests(images: npt.NDArray[np.uint8]) -> Digests:
    """N×16, a hash of each of N images."""
    digests = [hashlib.blake2b(image.tobytes(), digest_size=DIGEST_BYTES) for image in images]
    return np.frombuffer(b"".join(d.digest() for d in digests), np.uint8).reshape(-1, DIGEST_BYTES)


def pixel_statistics(
    images: Images,
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Exact mean and standard deviation of N×H×W×3 pixels a channel, in 0..1.

    Counts the 256 values instead of converting to float, so it needs no memory to speak of.
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
        # A constant channel has no spread to divide by.
        stds.append(float(np.sqrt(weights @ (values - mean) ** 2)) or 1.0)
    return (means[0], means[1], means[2]), (stds[0], stds[1], stds[2])


def part_of(data: TrainingData, images: int) -> tuple[TrainingData, float]:
    """Every k-th image, so that about so many are left to train on; and their share."""
    every = max(1, len(data.train_labels) // images)
    part = replace(
        data,
        train_images=data.train_images[::every],
        train_labels=data.train_labels[::every],
        val_images=data.val_images[::every],
        val_labels=data.val_labels[::every],
    )
    return part, len(part.train_labels) / len(data.train_labels)
