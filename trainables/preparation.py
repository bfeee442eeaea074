"""From stored bytes to what a network takes: normalised, and resized where it wants that.

Shape letters: B batch, H height, W width.
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


class Preparation:
    """Bytes B×H×W×3 -> normalised floats B×3×H×W, with the statistics kept on the device.

    Args:
        mean: a channel, in 0..1.
        std: a channel, in 0..1.
        device: of the batches.
        size: pixels of height and width that batches are resized to; None leaves them.
    """

    def __init__(self, mean: Colour, std: Colour, device: torch.device, size: int | None = None):
        self.mean = torch.tensor(mean, device=device)
        self.std = torch.tensor(std, device=device)
        self.size = size

    def __call__(self, batch: Tensor) -> Tensor:
        """Prepare one batch."""
        floats = normalize(batch, self.mean, self.std)
        if self.size is None or self.size == floats.shape[-1]:
            return floats
        shrinks = self.size < floats.shape[-1]
        return F.interpolate(
            floats, (self.size, self.size), mode="bilinear", align_corners=False, antialias=shrinks
        )


def input_statistics(config: TrialConfig, data: TrainingData) -> tuple[Colour, Colour]:
    """Mean and std that the model's input is normalised with.

    Raises:
        InputError: those of pretrained weights are asked for, and the model has none.
    """
    if config.normalize == "half":
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    if config.normalize == "dataset":
        return data.mean, data.std
    if is_registered(config.model):
        raise InputError(
            f"normalize weights needs a pretrained network, and {config.model} is none: take half "
            "or dataset"
        )
    spec = pretrained.input_spec(config.model)
    return spec.mean, spec.std


def preparation(config: TrialConfig, data: TrainingData, device: torch.device) -> Preparation:
    """What prepares the batches of a trial."""
    return Preparation(*input_statistics(config, data), device, config.input_size)
