"""Network and images of a trial that trains by steps, as all modes but probe do.

Shape letters: N images, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables import models
from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.device_images import Inputs, on_device
from trainables.models.heads import find_head
from trainables.models.lora import add_adapters
from trainables.models.stochastic_depth import set_drop_path
from trainables.models.weights import Weights, load_weights
from trainables.preparation import preparation


@dataclass(frozen=True)
class Task:
    """Model of a trial with its training and validation inputs, on one device."""

    model: nn.Module
    """Network to train."""
    head: str | None
    """Name of the model's last layer; None unless the configuration needs it."""
    train: Inputs
    """Training images, N×H×W×3, uint8."""
    val: Inputs
    """Validation images, N×H×W×3, uint8; smaller where the augmentation crops those of `train`."""
    prepare: Callable[[Tensor], Tensor]
    """Function that turns a batch of images into the input of the model."""


def build_task(
    config: TrialConfig,
    data: TrainingData,
    weights: Weights | None,
    device: torch.device,
) -> Task:
    """Build the model of a trial, and move the model and its inputs to the device.

    Args:
        config: Trial configuration.
        data: Training and validation data.
        weights: Initial weights; None if and only if `config.weights` is `none`.
        device: Device to train on.

    Raises:
        InputError: The model cannot be built, or the weights do not fit it.
    """
    assert (weights is None) == (config.weights == "none"), config.weights
    model = models.build_for(config, data)
    size = config.network_size(data.image_size)
    if weights is not None:
        load_weights(model, config.model, size, weights)
    if config.drop_path is not None:
        set_drop_path(model, config.drop_path)
    head = find_head(model, config.model, size) if config.needs_head else None
    if config.mode == "lora":
        assert head is not None
        add_adapters(model, config.model, head, size, config.lora_rank)
    return Task(
        model.to(device, memory_format=torch.channels_last),  # type: ignore[call-overload]
        head,
        on_device(data.train_images, device),
        on_device(data.val_images, device),
        preparation(config, data, device),
    )
