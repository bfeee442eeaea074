"""Batch selection, augmentation and normalisation of images, on the training device.

Shape letters: N images, B batch size, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor


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
    b, h, w = len(index), images.shape[1], images.shape[2]
    device = images.device
    reach = max(h // 8, 1)
    shift = torch.randint(-reach, reach + 1, (2, b, 1), device=device)
    rows = _mirror(torch.arange(h, device=device) + shift[0], h)
    cols = _mirror(torch.arange(w, device=device) + shift[1], w)
    flip = torch.rand(b, 1, device=device) < 0.5
    cols = torch.where(flip, w - 1 - cols, cols)
    return images[index[:, None, None], rows[:, :, None], cols[:, None, :]]


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
