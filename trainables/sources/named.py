"""Named datasets: the digits of scikit-learn, and downloads of torchvision."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from trainables.data import TEST, TRAIN, ImageDataset, image_digests
from trainables.errors import InputError
from trainables.sources.decoding import resize_all


def _digits(name: str, size: int) -> ImageDataset:
    """Load the digits of scikit-learn, which it installs: 1,797 grey images of 8×8 pixels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images * (255 / 16)).round().astype(np.uint8)
    return ImageDataset(
        name=name,
        images=resize_all(images, size),
        labels=bunch.target.astype(np.int64),
        classes=tuple(str(label) for label in bunch.target_names),
        parts=np.zeros(len(images), dtype=np.int8),
        digests=image_digests(images),
    )


def cache_folder() -> Path:
    """Return the folder of downloads and cached features: `bakeoff` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "bakeoff"


def _torchvision(name: str, size: int) -> ImageDataset:
    """Load a dataset of torchvision, from the cache folder or a download."""
    from filelock import FileLock
    from torchvision import datasets

    cls = {
        "cifar10": datasets.CIFAR10,
        "cifar100": datasets.CIFAR100,
        "fashion_mnist": datasets.FashionMNIST,
    }[name]
    root = cache_folder()
    root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(root / f"{name}.lock"):  # one process downloads while the others wait
            sets = [cls(root, train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{name} could not be downloaded ({error}): connect to the internet, or copy the files "
            f"that torchvision downloads for it into {root}"
        ) from error
    images = np.concatenate([np.asarray(each.data) for each in sets])
    return ImageDataset(
        name=name,
        images=resize_all(images, size),
        labels=np.concatenate([np.asarray(each.targets, dtype=np.int64) for each in sets]),
        classes=tuple(sets[0].classes),
        parts=np.repeat(np.array([TRAIN, TEST], dtype=np.int8), [len(each) for each in sets]),
        digests=image_digests(images),
    )


NAMED_SOURCES: dict[str, Callable[[str, int], ImageDataset]] = {
    "digits": _digits,
    "cifar10": _torchvision,
    "cifar100": _torchvision,
    "fashion_mnist": _torchvision,
}
"""Loader of each named dataset: function of its name and the image size in pixels."""
