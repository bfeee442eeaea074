"""Exponential moving average of the weights of a model."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[Tensor, ...] | list[Tensor]


class WeightAverage(AveragedModel):
    """Copy of a model whose floating-point parameters and buffers are moving averages.

    The statistics of batch normalisation are averaged as the weights are, so that they belong to
    the averaged weights; torchvision and timm do the same. After t updates the decay is at most
    (1 + t) / (10 + t), as in TensorFlow, so that the average spans about the last ninth of a short
    training instead of remembering the first weights.

    Args:
        model: Model to average, on its device; `module` is the averaged copy.
        decay: Decay of the average per step, above 0 and below 1.
    """

    def __init__(self, model: nn.Module, decay: float):
        super().__init__(model, multi_avg_fn=self._average, use_buffers=True)
        self.decay = decay
        self.module.requires_grad_(False)

    @torch.no_grad()
    def _average(self, averaged: Tensors, current: Tensors, _: Tensor | int) -> None:
        """Move averages towards the current tensors, which all have one device and dtype."""
        if averaged[0].is_floating_point():
            steps = int(self.n_averaged)  # on the CPU, so that nothing waits for a GPU
            decay = min(self.decay, (1 + steps) / (10 + steps))
            torch._foreach_lerp_(averaged, current, 1 - decay)
        else:  # counters and index tables, of which torch's own function would truncate averages
            torch._foreach_copy_(averaged, current)
