"""What a trial trains and what it is shown: a network on images, or a head on features.

Shape letters: N images, H height, W width, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.features import cached_features
from trainables.models import build_for
from trainables.models.heads import find_head
from trainables.models.weights import Weights, load_weights
from trainables.precision import ResolvedPrecision
from trainables.prediction import to_device
from trainables.preparation import preparation


@dataclass(frozen=True)
class Task:
    """A model, and the inputs that it is trained on and validated with, on one device."""

    model: nn.Module
    head: str | None
    """Name of the model's last layer, where it is treated apart."""
    train: Tensor
    """N×H×W×3 bytes, or N×F features."""
    val: Tensor
    """As `train`."""
    prepare: Callable[[Tensor], Tensor]
    """A batch of inputs -> what the model takes."""


def build_task(
    config: TrialConfig,
    data: TrainingData,
    weights: Weights | None,
    device: torch.device,
    precision: ResolvedPrecision,
) -> Task:
    """Build a trial's model, and put it and its inputs on the device.

    Raises:
        InputError: the model cannot be built, or the weights do not fit it.
    """
    assert (weights is None) == (config.weights == "none"), config.weights
    if config.mode == "probe":
        assert weights is not None  # the config is refused without
        features = cached_features(config, data, weights, device, precision)
        torch.manual_seed(config.seed)  # the head is the same, computed features or found ones
        return Task(
            nn.Linear(features.train.shape[1], len(data.classes)).to(device),
            None,
            to_device(features.train, device),
            to_device(features.val, device),
            nn.Identity(),
        )
    model = build_for(config, data)
    size = config.input_size or data.image_size
    if weights is not None:
        load_weights(model, config.model, size, weights)
    head = find_head(model, config.model, size) if config.mode == "gradual" else None
    return Task(
        model.to(device, memory_format=torch.channels_last),  # type: ignore[call-overload]
        head,
        to_device(data.train_images, device),
        to_device(data.val_images, device),
        preparation(config, data, device),
    )
