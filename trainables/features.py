"""What a frozen network makes of the images, computed once for all heads that are tried on it.

Shape letters: N images, F features.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock
from torch import nn

from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.errors import InputError
from trainables.models import build_for, build_model, heads
from trainables.models.pretrained import made_by
from trainables.models.weights import Weights, fingerprint, load_weights
from trainables.precision import Autocast, ResolvedPrecision
from trainables.prediction import predict, to_device
from trainables.preparation import input_statistics, preparation
from trainables.sources import cache_folder

PARTS = ("train", "val")
UNUSED_DAYS = 30
"""After which features are deleted."""


@dataclass(frozen=True)
class Features:
    """What goes into a network's head, mapped from the disk and shared by the trials of a node."""

    train: npt.NDArray[np.float32]
    """N×F."""
    val: npt.NDArray[np.float32]
    """N×F."""


def cached_features(
    config: TrialConfig,
    data: TrainingData,
    weights: Weights,
    device: torch.device,
    precision: ResolvedPrecision,
) -> Features:
    """The features of a trial's images, from the cache or computed into it.

    They are found by the content of all that they depend on. One process of a node computes, the
    others wait for it.

    Raises:
        InputError: the network cannot be built, or its head is a convolution.
    """
    # It can be deleted at any time when no trial runs.
    folder = cache_folder() / "features"
    folder.mkdir(parents=True, exist_ok=True)
    key = content_key(config, data, weights, device, precision)
    files = {part: folder / f"{key}-{part}.npy" for part in PARTS}
    with FileLock(folder / f"{key}.lock"):
        if all(file.exists() for file in files.values()):
            for file in files.values():
                os.utime(file)
        else:
            delete_unused(folder)
            arrays = compute_features(config, data, weights, device, precision)
            for part, array in arrays.items():
                partial = files[part].with_suffix(".partial.npy")
                np.save(partial, array)
                partial.replace(files[part])  # a kill leaves no half of a file
    return Features(**{part: np.load(file, mmap_mode="r") for part, file in files.items()})


def delete_unused(folder: Path) -> None:
    """Delete what no trial has begun with for `UNUSED_DAYS`; one that has it mapped keeps it."""
    oldest = time.time() - UNUSED_DAYS * 24 * 3600
    for file in folder.glob("*.npy"):
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            if file.stat().st_mtime < oldest:
                file.unlink()


def content_key(
    config: TrialConfig,
    data: TrainingData,
    weights: Weights,
    device: torch.device,
    precision: ResolvedPrecision,
) -> str:
    """Hash of all that features depend on; of a network of one's own, the file of its function."""
    digest = hashlib.blake2b(digest_size=16)
    settings = config.model, config.build_args, config.input_size, input_statistics(config, data)
    made = made_by(config.model), torch.__version__, device.type, precision
    for part in (*settings, *made, fingerprint(weights)):
        digest.update(repr(part).encode())
    for images in (data.train_images, data.val_images):
        digest.update(repr(images.shape).encode())
        digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()


def compute_features(
    config: TrialConfig,
    data: TrainingData,
    weights: Weights,
    device: torch.device,
    precision: ResolvedPrecision,
) -> dict[str, npt.NDArray[Any]]:
    """N×F float32 features of the training and validation images, by part."""
    model = build_for(config, data)
    size = config.input_size or data.image_size
    load_weights(model, config.model, size, weights)
    model.set_submodule(linear_head(model, config.model, size), nn.Identity())
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    prepare, autocast = preparation(config, data, device), Autocast(precision, device)
    images = {"train": data.train_images, "val": data.val_images}
    return {
        part: predict(model, to_device(array, device), prepare, autocast).cpu().numpy()
        for part, array in images.items()
    }


def linear_head(model: nn.Module, name: str, image_size: int) -> str:
    """Name of the head of a network that ends in a linear layer.

    Raises:
        InputError: it ends in something else.
    """
    head = heads.find_head(model, name, image_size)
    if not isinstance(model.get_submodule(head), nn.Linear):
        raise InputError(
            f"{name} ends in a convolution, and mode probe trains a linear head: take mode full"
        )
    return head


def whole_model(
    config: TrialConfig,
    num_classes: int,
    image_size: int,
    weights: Weights,
    head: dict[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """State dict of the network with a head that was trained on its features."""
    size = config.input_size or image_size
    model = build_model(config.model, num_classes, size, **config.build_args)
    load_weights(model, config.model, size, weights)
    model.get_submodule(linear_head(model, config.model, size)).load_state_dict(head)
    state: dict[str, torch.Tensor] = model.state_dict()
    return state
