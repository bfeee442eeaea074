"""Named datasets: the digits of scikit-learn, and downloads of torchvision."""

from __future__ import annotations

import hashlib
import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from trainables.cache_files import cache_folder
from trainables.data import DIGEST_BYTES, TEST, TRAIN, Images, Ints
from trainables.errors import InputError
from trainables.sources.listing import Listing

_LOADING = threading.Lock()


def list_named(name: str) -> Listing:
    """List the images of a named dataset.

    Raises:
        InputError: It cannot be downloaded.
    """
    images, labels, classes, n_test = _load_once(name)
    parts = np.repeat(np.array([TRAIN, TEST], dtype=np.int8), [len(images) - n_test, n_test])
    return Listing(name=name, images=NamedImages(name), labels=labels, classes=classes, parts=parts)


class NamedImages:
    """Images of a named dataset, which each process loads for itself.

    Args:
        name: One of NAMED_SOURCES.
    """

    def __init__(self, name: str):
        self.name = name

    @property
    def arrays(self) -> Images:
        """All images, N×H×W or N×H×W×3, uint8."""
        return _load_once(self.name)[0]

    def __len__(self) -> int:
        return len(self.arrays)

    def origin(self, row: int) -> str:
        """Return the name of the dataset, and the row."""
        return f"{self.name}, row {row}"

    def read(self, row: int) -> Images:
        """Return an image, H×W or H×W×3, uint8."""
        image: Images = self.arrays[row]
        return image

    def version(self) -> str:
        """Hash the name; what it stands for does not change."""
        return hashlib.blake2b(self.name.encode(), digest_size=DIGEST_BYTES).hexdigest()


def _load_once(name: str) -> tuple[Images, Ints, tuple[str, ...], int]:
    """Load a dataset, or return the arrays that this process has loaded."""
    with _LOADING:  # by one thread; the cache folder may differ from one call to the next
        return _load(name, str(cache_folder()))


@cache
def _load(name: str, folder: str) -> tuple[Images, Ints, tuple[str, ...], int]:
    """Return images, N×H×W or N×H×W×3, labels, class names, and how many test images end them."""
    return _digits() if name == "digits" else _torchvision(name, Path(folder))


def _digits() -> tuple[Images, Ints, tuple[str, ...], int]:
    """Load the digits of scikit-learn, which it installs: 1,797 grey images of 8×8 pixels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images * (255 / 16)).round().astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    return images, labels, tuple(str(label) for label in bunch.target_names), 0


def _torchvision(name: str, root: Path) -> tuple[Images, Ints, tuple[str, ...], int]:
    """Load a dataset of torchvision, from the cache folder or a download."""
    from filelock import FileLock
    from torchvision import datasets

    cls: Any = {
        "cifar10": datasets.CIFAR10,
        "cifar100": datasets.CIFAR100,
        "fashion_mnist": datasets.FashionMNIST,
    }[name]
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
    labels = np.concatenate([np.asarray(each.targets, dtype=np.int64) for each in sets])
    return images, labels, tuple(sets[0].classes), len(sets[1])
