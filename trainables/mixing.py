"""Mixup and CutMix: training images and labels mixed with those of another image of the batch.

Shape letters: B batch size, S height and width, C classes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Beta
from torch.nn import functional as F

from trainables.config import TrialConfig
from trainables.random_views import CHUNK_PIXELS, inside

Mixing = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Function of a batch, B×S×S×3, uint8, and its labels, B, int64, that returns the mixed batch and
the share of each class in each image, B×C, float32."""


def build_mixing(config: TrialConfig, classes: int) -> Mixing | None:
    """Build the function that mixes a batch; None if mixup and cutmix are off.

    Each image is mixed with its neighbour in the batch, whose order is random, at a ratio of its
    own. The ratios are drawn from torch's global random number generator of the batch's device.

    Args:
        config: Trial configuration.
        classes: Number of classes C.
    """
    if not (config.mixup or config.cutmix):
        return None

    def mix(batch: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        b, device = len(batch), batch.device
        blended = pasted = torch.ones(b, 1, 1, device=device)
        if config.mixup:
            blended = pasted = beta(config.mixup, b, device)[:, None, None]
        if config.cutmix:
            pasted = outside(beta(config.cutmix, b, device), batch.shape[1])
        cut = torch.rand(b, 1, 1, device=device) < (0.5 if config.mixup else 1.0)
        # Share of each pixel that the image itself keeps.
        share = torch.where(cut & bool(config.cutmix), pasted, blended)
        one_hot = F.one_hot(labels, classes).float()
        own = share.mean((1, 2))[:, None]
        target = own * one_hot + (1 - own) * one_hot.roll(1, 0)
        share = share.expand(b, *batch.shape[1:3])
        chunk = max(1, CHUNK_PIXELS // batch.shape[1] ** 2) if device.type == "cpu" else b
        mixed = torch.empty_like(batch)
        partners = batch.roll(1, 0)
        for into, *parts in zip(
            *(x.split(chunk) for x in (mixed, batch, partners, share)), strict=True
        ):
            into.copy_(blend(*parts))
        return mixed, target

    return mix


def blend(images: Tensor, partners: Tensor, share: Tensor) -> Tensor:
    """Blend uint8 images, B×S×S×3, with others at the shares of each pixel, B×S×S, in 0..1."""
    return torch.lerp(partners.float(), images.float(), share[..., None]).round_().to(torch.uint8)


def beta(alpha: float, b: int, device: torch.device) -> Tensor:
    """Draw B numbers from a beta distribution with both parameters equal to `alpha`."""
    parameter = torch.full((b,), float(alpha), device=device)
    return Beta(parameter, parameter, validate_args=False).sample()  # validation waits for the GPU


def outside(kept: Tensor, size: int) -> Tensor:
    """Draw a rectangle in each of B images, and return a mask that is 0 in it and 1 outside.

    Args:
        kept: Share of the area outside the rectangle, B. Where the rectangle reaches over the
            border of the image, more is outside.
        size: Height and width S of the images.

    Returns:
        Mask, B×S×S, float32.
    """
    half = (1 - kept).sqrt()[:, None] / 2
    center = torch.rand(len(kept), 2, device=kept.device)
    rows, columns = inside(center - half, center + half, size).unbind(1)
    return 1 - (rows[:, :, None] & columns[:, None, :]).float()
