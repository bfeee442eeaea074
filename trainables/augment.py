"""Batch selection, augmentation and normalisation of images, on the training device.

Shape letters: N images, B batch size, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from trainables.config import TrialConfig
from trainables.random_views import RandomViews

Augmentation = Callable[[Tensor, Tensor], Tensor]
"""Function of images, N×R×R×3, uint8, and the indices of a batch, B, int64, that returns the batch,
B×S×S×3, uint8. Of features, N×F, float32, it returns the rows."""


def build_augmentation(config: TrialConfig, size: int) -> Augmentation:
    """Build the function that gathers and augments a batch.

    It draws from torch's global random number generator of the images' device.

    Args:
        config: Trial configuration.
        size: Height and width S in pixels of the batches. Larger images are for `photo` and
            `strong`, whose crops are resized to S; without them R must be S.
    """
    plain = not (config.vertical_flip or config.rotation)
    if plain and config.augment == "none":
        return pick
    if plain and config.augment == "flip_crop":
        return pick_crop if config.horizontal_flip is False else pick_flip_crop
    return RandomViews(config, size)


def describe(config: TrialConfig) -> str:
    """Return what is done to training images, in one line, e.g. "photo, half of them mirrored"."""
    parts: list[str] = [config.augment]
    if config.augment != "none":
        mirrored = config.horizontal_flip is not False
        parts.append("half of them mirrored" if mirrored else "not mirrored")
    if config.vertical_flip:
        parts.append("half of them upside down")
    if config.rotation:
        parts.append(f"rotated by up to {config.rotation:g}°")
    parts += [
        f"{name} {getattr(config, name):g}" for name in ("mixup", "cutmix") if getattr(config, name)
    ]
    return ", ".join(parts)


def pick(images: Tensor, index: Tensor) -> Tensor:
    """Gather a batch without augmentation.

    Args:
        images: Images, N×H×W×3, uint8, or features, N×F, float32.
        index: Indices of the batch into `images`, B, int64.

    Returns:
        The batch, B×H×W×3, uint8, or B×F, float32.
    """
    return images[index]


def pick_flip_crop(images: Tensor, index: Tensor) -> Tensor:
    """Gather a batch with a random horizontal flip and a random shift of each image.

    Shifts are by up to an eighth of the image height, at least 1 pixel, in each direction. The
    border is padded by reflection, because zero padding would add edges that no image has.
    Selection, flip and shift are a single gather. Draws from torch's global random number
    generator.

    Args:
        images: Images, N×H×W×3, uint8.
        index: Indices of the batch into `images`, B, int64.

    Returns:
        Augmented images, B×H×W×3, uint8.
    """
    rows, cols = _shifted(images, len(index))
    flip = torch.rand(len(index), 1, device=images.device) < 0.5
    cols = torch.where(flip, images.shape[2] - 1 - cols, cols)
    return images[index[:, None, None], rows[:, :, None], cols[:, None, :]]


def pick_crop(images: Tensor, index: Tensor) -> Tensor:
    """Gather a batch with a random shift of each image, like `pick_flip_crop` without flips."""
    rows, cols = _shifted(images, len(index))
    return images[index[:, None, None], rows[:, :, None], cols[:, None, :]]


def _shifted(images: Tensor, b: int) -> tuple[Tensor, Tensor]:
    """Draw shifts of B images, and return the rows, B×H, and columns, B×W, that they show."""
    h, w, device = images.shape[1], images.shape[2], images.device
    reach = max(h // 8, 1)
    shift = torch.randint(-reach, reach + 1, (2, b, 1), device=device)
    rows = _mirror(torch.arange(h, device=device) + shift[0], h)
    return rows, _mirror(torch.arange(w, device=device) + shift[1], w)


def _mirror(position: Tensor, size: int) -> Tensor:
    """Reflect pixel positions outside 0..size-1 back inside."""
    last = size - 1
    return (last - (last - position.abs()).abs()).clamp(0, last)


def normalize(batch: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Normalise images to (x / 255 - mean) / std.

    Args:
        batch: Images, B×H×W×3, uint8.
        mean: Mean per channel, 3, float32, in 0..1.
        std: Standard deviation per channel, 3, float32, above 0.

    Returns:
        Normalised images, B×3×H×W, float32, in channels-last memory format.
    """
    # The images are stored channels-last, so the permutation is a view and copies nothing.
    return ((batch.float() - 255 * mean) / (255 * std)).permute(0, 3, 1, 2)
