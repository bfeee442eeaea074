"""Layers equivalent to those of torch, which train faster on a CPU.

Shape letters: B batch size, C channels, H height, W width.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BatchNormMaxPool2d(nn.BatchNorm2d):
    """Batch normalisation followed by 2×2 max pooling, with the state dict of nn.BatchNorm2d.

    Training on a CPU is memory-bound, and the two backward passes of torch read and write the full
    activation ten times. Only a quarter of the gradient before pooling is non-zero, so its sums
    need only that quarter, and a single pass over the input remains. Values and gradients equal
    those of the two separate layers up to rounding.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise and pool activations, B×C×H×W, floating point, to B×C×⌊H/2⌋×⌊W/2⌋."""
        fused = self.training and x.device.type == "cpu" and x.dtype is torch.float32
        if not fused or self.momentum is None:  # None averages all batches
            return F.max_pool2d(super().forward(x), 2)
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        pooled: Tensor = _BatchNormMaxPool.apply(
            x, self.weight, self.bias, self.running_mean, self.running_var, self.momentum, self.eps
        )
        return pooled


class _BatchNormMaxPool(torch.autograd.Function):
    """Training mode of BatchNormMaxPool2d on a CPU, in fp32."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
    ) -> Tensor:
        normal, mean, inv_std = torch.native_batch_norm(
            x, weight, bias, running_mean, running_var, True, momentum, eps
        )
        pooled, where = F.max_pool2d(normal, 2, return_indices=True)
        ctx.save_for_backward(x, weight, mean, inv_std, where)
        return pooled

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inv_std, where = ctx.saved_tensors
        grad, where = _pixels(grad), _pixels(where)  # B × H/2·W/2 × C
        x_flat = _pixels(x)  # B × H·W × C
        chosen = (x_flat.gather(1, where) - mean) * inv_std
        grad_bias = grad.sum((0, 1))
        grad_weight = (grad * chosen).sum((0, 1))
        # Gradient of Ioffe & Szegedy 2015, rearranged to offset + slope · x + scale · grad.
        n = x.numel() / len(weight)
        scale = weight * inv_std
        slope = -scale * inv_std * grad_weight / n
        offset = -scale * grad_bias / n - slope * mean
        grad_x = torch.addcmul(offset, x_flat, slope).scatter_add_(1, where, grad * scale)
        grad_x = grad_x.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)
        return grad_x, grad_weight, grad_bias, None, None, None, None


def train_depthwise_in_fp32(model: nn.Module) -> None:
    """Make the depthwise convolutions of a model train in fp32 on a CPU, also under autocast.

    Their gradients take up to three times as long in bf16 as in fp32 there, unlike those of other
    layers (benchmarks/results.md). Without gradients bf16 is faster here, too. The state dict of
    the model stays as it is.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d) and 1 < layer.groups == layer.in_channels:
            layer.__class__ = _trained_in_fp32(type(layer))  # type: ignore[arg-type]


@functools.cache
def _trained_in_fp32(kind: type[nn.Conv2d]) -> type[nn.Conv2d]:
    """Return a subclass of a convolution, which may have a computation of its own."""

    class TrainedInFp32(kind):  # type: ignore[valid-type, misc]
        def forward(self, x: Tensor) -> Tensor:
            """Convolve activations, B×C×H×W, floating point."""
            trains = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
            if not trains or x.device.type != "cpu":
                return super().forward(x)  # type: ignore[no-any-return]
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float())  # type: ignore[no-any-return]

    return TrainedInFp32


def _pixels(x: Tensor) -> Tensor:
    """Reshape B×C×H×W to B × H·W × C; a view if the memory format is channels-last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)
