"""Preprocessing of image batches into model inputs: normalisation and optional resizing.

Shape letters: B batch size, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.augment import normalize
from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.errors import InputError
from trainables.models import is_registered, pretrained

Colour = tuple[float, float, float]
"""One value per channel: red, green, blue."""


class Preparation:
    """Preprocessing function with its statistics on the device.

    Args:
        mean: Mean per channel, in 0..1.
        std: Standard deviation per channel, above 0 and at most 1.
        device: Device of the batches.
        size: Height and width in pixels that batches are resized to; None does not resize.
    """

    def __init__(self, mean: Colour, std: Colour, device: torch.device, size: int | None = None):
        self.mean = torch.tensor(mean, device=device)
        self.std = torch.tensor(std, device=device)
        self.size = size

    def __call__(self, batch: Tensor) -> Tensor:
        """Normalise and resize a batch.

        Args:
            batch: Images, B×H×W×3, uint8.

        Returns:
            Model inputs, B×3×H×W or B×3×size×size, float32.
        """
        floats = normalize(batch, self.mean, self.std)
        if self.size is None or self.size == floats.shape[-1]:
            return floats
        shrinks = self.size < floats.shape[-1]
        return F.interpolate(
            floats, (self.size, self.size), mode="bilinear", align_corners=False, antialias=shrinks
        )


def input_statistics(config: TrialConfig, data: TrainingData) -> tuple[Colour, Colour]:
    """Return the mean and standard deviation per channel that model inputs are normalised with.

    Raises:
        InputError: normalize is `weights`, and the model has no pretrained weights.
    """
    check_normalization(config)
    if config.normalize == "half":
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    if config.normalize == "dataset":
        return data.statistics
    spec = pretrained.input_spec(config.model)
    return spec.mean, spec.std


def check_normalization(config: TrialConfig) -> None:
    """Raise InputError if normalize is `weights`, and the model has no pretrained weights."""
    if config.normalize == "weights" and is_registered(config.model):
        raise InputError(
            f"normalize weights needs a pretrained network, but {config.model} has no pretrained "
            "weights: use half or dataset"
        )


def preparation(config: TrialConfig, data: TrainingData, device: torch.device) -> Preparation:
    """Build the preprocessing function of a trial."""
    return Preparation(*input_statistics(config, data), device, config.input_size)
