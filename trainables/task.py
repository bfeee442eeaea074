"""Model and inputs of a trial: a network on images, or a linear head on cached features.

Shape letters: N images, H height, W width, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables import models
from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.device_images import Inputs, Resident, on_device, to_device
from trainables.features import cached_features
from trainables.models.heads import find_head
from trainables.models.weights import Weights, load_weights
from trainables.precision import ResolvedPrecision
from trainables.preparation import preparation


@dataclass(frozen=True)
class Task:
    """Model of a trial with its training and validation inputs, on one device."""

    model: nn.Module
    """Model to train: the network, or in mode probe its linear head."""
    head: str | None
    """Name of the model's last layer in mode gradual, otherwise None."""
    train: Inputs
    """Training inputs: images, N×H×W×3, uint8, or features, N×F, float32."""
    val: Inputs
    """Validation inputs, of the dtype and shape of `train` except for N."""
    prepare: Callable[[Tensor], Tensor]
    """Function that turns a batch of inputs into the input of the model."""


def build_task(
    config: TrialConfig,
    data: TrainingData,
    weights: Weights | None,
    device: torch.device,
    precision: ResolvedPrecision,
) -> Task:
    """Build the model of a trial, and move the model and its inputs to the device.

    Args:
        config: Trial configuration.
        data: Training and validation data.
        weights: Initial weights; None if and only if `config.weights` is `none`.
        device: Device to train on.
        precision: Precision of the trial, in which features are computed.

    Raises:
        InputError: The model cannot be built, or the weights do not fit it.
    """
    assert (weights is None) == (config.weights == "none"), config.weights
    if config.mode == "probe":
        assert weights is not None  # TrialConfig rejects mode probe without weights
        features = cached_features(config, data, weights, device, precision)
        torch.manual_seed(config.seed)  # the same head whether or not features were cached
        return Task(
            nn.Linear(features.train.shape[1], len(data.classes)).to(device),
            None,
            Resident(to_device(features.train, device)),
            Resident(to_device(features.val, device)),
            nn.Identity(),
        )
    model = models.build_for(config, data)
    size = config.network_size(data.image_size)
    if weights is not None:
        load_weights(model, config.model, size, weights)
    head = find_head(model, config.model, size) if config.mode == "gradual" else None
    return Task(
        model.to(device, memory_format=torch.channels_last),  # type: ignore[call-overload]
        head,
        on_device(data.train_images, device),
        on_device(data.val_images, device),
        preparation(config, data, device),
    )
