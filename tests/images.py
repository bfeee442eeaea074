"""Digits of scikit-learn as arrays of any size, and data of trials made from arrays."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from trainables.data import TRAIN, ImageDataset, ImageRows, TrainingData, image_digests, split
from trainables.errors import InputError
from trainables.image_cache import SquareImages
from trainables.source_options import SourceOptions
from trainables.sources import list_images
from trainables.views import Decoding, View


@dataclass(frozen=True)
class Digits:
    """Images, N×S×S×3, with their labels."""

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]


@functools.cache
def digits_at(size):
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = (bunch.images * (255 / 16)).round().astype(np.uint8)
    resized = [Image.fromarray(image).convert("RGB").resize((size, size), 2) for image in grey]
    images = np.stack([np.asarray(image) for image in resized])
    return Digits(images, bunch.target.astype(np.int64), tuple(map(str, bunch.target_names)))


def dataset_of(images, labels, classes, parts=None, name="digits"):
    """What is known of images in memory without their pixels."""
    parts = np.full(len(images), TRAIN, dtype=np.int8) if parts is None else parts
    return ImageDataset(name, labels, classes, parts, image_digests(images))


def training_data(images, labels, classes, parts=None):
    """Training and validation images of a split; without one, of the default split."""
    parts = split(dataset_of(images, labels, classes)) if parts is None else parts
    return TrainingData(
        ImageRows(images, parts.train),
        labels[parts.train],
        ImageRows(images, parts.validation),
        labels[parts.validation],
        classes,
    )


class ImageFiles:
    """Image files on a disk, as a source has them."""

    def __init__(self, paths):
        self.paths = list(map(str, paths))

    def __len__(self):
        return len(self.paths)

    def origin(self, row):
        return self.paths[row]

    def read(self, row):
        return Path(self.paths[row]).read_bytes()

    def version(self):
        stats = [Path(path).stat() for path in self.paths]
        return repr([(p, s.st_size, s.st_mtime_ns) for p, s in zip(self.paths, stats, strict=True)])


@dataclass(frozen=True)
class Loaded:
    """A source with all its images in memory, squashed to squares."""

    dataset: ImageDataset
    images: np.ndarray

    @property
    def labels(self):
        return self.dataset.labels

    @property
    def classes(self):
        return self.dataset.classes

    @property
    def parts(self):
        return self.dataset.parts

    @property
    def name(self):
        return self.dataset.name

    @property
    def fingerprint(self):
        return self.dataset.fingerprint


def load_source(source, size=8, **options):
    listing = list_images(SourceOptions(str(source), **options))
    images = SquareImages.of(listing.images, Decoding(), 10**9)
    view = View(size, "squash")
    facts = images.scan([view])
    if facts.errors:
        (row, reason), *_ = sorted(facts.errors.items())
        raise InputError(f"{listing.images.origin(row)}: {reason}")
    dataset = ImageDataset(
        listing.name, listing.labels, listing.classes, listing.parts, facts.digests, listing.groups
    )
    return Loaded(dataset, images.store(view).read(np.arange(len(listing.labels))))


def pictures(count, size=(96, 72), seed=0):
    """Different pictures of soft colours, as photographs have them."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 6, 8, 3), dtype=np.uint8)
    return [Image.fromarray(image).resize(size, Image.Resampling.BICUBIC) for image in small]
