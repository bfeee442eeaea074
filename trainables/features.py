"""Cached backbone features for linear probing: computed once per machine, shared by all trials.

Shape letters: N images, H height, W width, F features.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock
from torch import nn

from trainables.cache_files import cache_folder
from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.device_images import on_device
from trainables.errors import InputError
from trainables.models import build_for, build_model
from trainables.models.heads import linear_head
from trainables.models.pretrained import code_version
from trainables.models.weights import Weights, fingerprint, load_weights
from trainables.precision import Autocast, ResolvedPrecision
from trainables.prediction import predict
from trainables.preparation import input_statistics, preparation
from trainables.progress import Advance, ignore

ARRAYS = "train", "val", "seconds"
"""Arrays of the features of a network."""
UNUSED_DAYS = 30
"""Days without use after which cached features are deleted."""


@dataclass(frozen=True)
class Features:
    """Inputs of a network's head, memory-mapped and shared by the trials of a node."""

    key: str
    """Hash of everything that the features depend on."""
    train: npt.NDArray[np.float32]
    """Features of the training split, N×F, float32."""
    val: npt.NDArray[np.float32]
    """Features of the validation split, N×F, float32."""
    seconds: float
    """Wall time in which they were computed, in seconds, also where they are from the cache."""


def cached_features(
    config: TrialConfig,
    data: TrainingData,
    weights: Weights,
    device: torch.device,
    precision: ResolvedPrecision,
    advance: Advance = ignore,
) -> Features:
    """Load the features of a trial from the cache, or compute and cache them.

    One process of a node computes the features while the others wait.

    Args:
        config: Trial configuration, of mode probe.
        data: Training and validation data.
        weights: Weights of the backbone.
        device: Device to compute on.
        precision: Precision to compute in.
        advance: Callback, called after each batch of training and validation images.

    Raises:
        InputError: The network cannot be built, its head is not linear, or features are not finite.
    """

    def compute() -> dict[str, npt.NDArray[Any]]:
        start = time.perf_counter()
        arrays = compute_features(config, data, weights, device, precision, advance)
        return {**arrays, "seconds": np.array(time.perf_counter() - start)}

    key = content_key(config, data, weights, device, precision)
    found = cached_arrays(key, ARRAYS, compute)
    return Features(key, found["train"], found["val"], float(found["seconds"]))


def cached_arrays(
    key: str,
    names: tuple[str, ...],
    compute: Callable[[], dict[str, npt.NDArray[Any]]],
    lock: str | None = None,
) -> dict[str, npt.NDArray[Any]]:
    """Load arrays from the cache of this machine, memory-mapped, or compute and cache them.

    Args:
        key: Hash of everything that the arrays depend on.
        names: Names of the arrays.
        compute: Function that computes them; one process calls it while the others wait.
        lock: Key that others wait for; None for `key`.
    """
    # Users may delete this folder at any time when no trial is running.
    folder = cache_folder() / "features"
    folder.mkdir(parents=True, exist_ok=True)
    files = array_files(key, names)
    with FileLock(folder / f"{lock or key}.lock"):
        if all(file.exists() for file in files.values()):
            for file in files.values():
                os.utime(file)
        else:
            delete_unused(folder)
            arrays = compute()
            for name, file in files.items():
                partial = file.with_suffix(".partial.npy")
                np.save(partial, arrays[name])
                partial.replace(file)  # atomic: a killed process leaves no truncated file
    return {name: np.load(file, mmap_mode="r") for name, file in files.items()}


def array_files(key: str, names: Sequence[str]) -> dict[str, Path]:
    """Return the files of the cache of this machine that hold some arrays, by their names."""
    return {name: cache_folder() / "features" / f"{key}-{name}.npy" for name in names}


def delete_unused(folder: Path) -> None:
    """Delete features that no trial has loaded for UNUSED_DAYS.

    A trial that has a deleted file mapped can still read it.
    """
    oldest = time.time() - UNUSED_DAYS * 24 * 3600
    for file in folder.glob("*.npy"):
        with contextlib.suppress(FileNotFoundError):  # another process deleted the file
            if file.stat().st_mtime < oldest:
                file.unlink()


def content_key(
    config: TrialConfig,
    data: TrainingData,
    weights: Weights,
    device: torch.device,
    precision: ResolvedPrecision,
) -> str:
    """Hash everything that features depend on.

    For a user-defined model this includes the source file of its function.
    """
    settings = config.model, config.build_args, config.input_size, input_statistics(config, data)
    implementation = code_version(config.model), torch.__version__, device.type, precision
    images = [(rows.shape, rows.fingerprint()) for rows in (data.train_images, data.val_images)]
    return hash_of(*settings, *implementation, fingerprint(weights), images)


def hash_of(*values: Any) -> str:
    """Hash the representations of values."""
    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        digest.update(repr(value).encode())
    return digest.hexdigest()


def compute_features(
    config: TrialConfig,
    data: TrainingData,
    weights: Weights,
    device: torch.device,
    precision: ResolvedPrecision,
    advance: Advance = ignore,
) -> dict[str, npt.NDArray[Any]]:
    """Compute the features of both splits.

    Returns:
        Features, N×F, float32, by split: `train` and `val`.

    Raises:
        InputError: Features are infinite or NaN.
    """
    model = build_for(config, data)
    size = config.network_size(data.image_size)
    load_weights(model, config.model, size, weights)
    model.set_submodule(linear_head(model, config.model, size), nn.Identity())
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    prepare, autocast = preparation(config, data, device), Autocast(precision, device)
    images = {"train": data.train_images, "val": data.val_images}
    features = {
        split: predict(model, on_device(rows, device), prepare, autocast, advance).cpu().numpy()
        for split, rows in images.items()
    }
    for split, values in features.items():
        wrong = int((~np.isfinite(values)).any(1).sum())
        if wrong:
            raise InputError(
                f"{config.model} gives features that are infinite or NaN for {wrong} of "
                f"{len(values)} {split} images in {precision}, and a head needs finite ones: use "
                "other weights, --precision fp32 or another --normalize"
            )
    return features


def whole_model(
    config: TrialConfig,
    num_classes: int,
    image_size: int,
    weights: Weights,
    head: dict[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Combine a backbone and a head that was trained on its features into one state dict.

    Args:
        config: Trial configuration, of mode probe.
        num_classes: Number of classes.
        image_size: Height and width of the dataset's images in pixels.
        weights: Weights of the backbone.
        head: State dict of the head.
    """
    size = config.network_size(image_size)
    model = build_model(config.model, num_classes, size, **config.build_args)
    load_weights(model, config.model, size, weights)
    model.get_submodule(linear_head(model, config.model, size)).load_state_dict(head)
    state: dict[str, torch.Tensor] = model.state_dict()
    return state
