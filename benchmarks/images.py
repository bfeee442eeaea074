"""Images that the benchmarks train on and classify, from the cache of decoded images."""

from __future__ import annotations

import dataclasses

import numpy as np

from trainables.arrays import Ints
from trainables.data import TEST, ImageDataset, Split, TrainingData, split
from trainables.image_cache import SquareImages
from trainables.image_rows import ImageRows, ImageStore
from trainables.source_options import SourceOptions
from trainables.sources import list_images
from trainables.views import Decoding, View

SIZE = 32
"""Height and width of the images of CIFAR-10 in pixels."""
CACHE_BYTES = 50 * 10**9
"""Size in bytes that the cache may have."""


def load_all(source: str, size: int) -> tuple[ImageDataset, ImageStore]:
    """Return what is known of the images of a source, and the images as squares.

    Args:
        source: name or path of the dataset.
        size: height and width of the images in pixels.
    """
    listing = list_images(SourceOptions(source))
    images = SquareImages.of(listing.images, Decoding(), CACHE_BYTES)
    view = View(size)
    facts = images.scan([view])
    dataset = ImageDataset(
        listing.name, listing.labels, listing.classes, listing.parts, facts.digests, listing.groups
    )
    return dataset, images.store(view)


def load(
    source: str,
    size: int,
    fractions: tuple[float, float, float] | None = None,
    train: int | None = None,
) -> TrainingData:
    """Return the training and validation images of a source.

    Args:
        source: name or path of the dataset.
        size: height and width of the images in pixels.
        fractions: fractions of the training, validation and test splits, as `split` takes them.
        train: approximate number of training images; None for all.
    """
    dataset, store = load_all(source, size)
    parts = split(dataset, fractions)
    if train is not None:
        parts = fewer_to_train(parts, train)
    return TrainingData(
        train_images=ImageRows(store, parts.train),
        train_labels=dataset.labels[parts.train],
        val_images=ImageRows(store, parts.validation),
        val_labels=dataset.labels[parts.validation],
        classes=dataset.classes,
    )


def load_test(source: str, size: int) -> tuple[ImageRows, Ints, tuple[str, ...]]:
    """Return the test images that a source defines, their labels, and the class names."""
    dataset, store = load_all(source, size)
    test = np.flatnonzero(dataset.parts == TEST)
    return ImageRows(store, test), dataset.labels[test], dataset.classes


def subset(data: TrainingData, count: int) -> TrainingData:
    """Return every k-th image of both splits, so that about `count` training images stay."""
    every = max(1, len(data.train_labels) // count)
    return dataclasses.replace(
        data,
        train_images=data.train_images.take(slice(None, None, every)),
        train_labels=data.train_labels[::every],
        val_images=data.val_images.take(slice(None, None, every)),
        val_labels=data.val_labels[::every],
    )


def fewer_to_train(parts: Split, count: int) -> Split:
    """Return a split with every k-th of its training images, about `count`."""
    every = max(1, len(parts.train) // count)
    return dataclasses.replace(parts, train=parts.train[::every])
