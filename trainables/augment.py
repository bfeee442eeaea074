"""From stored bytes to a batch: pick, mirror, shift, normalise, all on the device.

Shape letters: N images, B batch, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pick(images: Tensor, index: Tensor) -> Tensor:
    """Images N×H×W×3 and index B -> B×H×W×3, as they are stored."""
    return images[index]


def pick_flip_crop(images: Tensor, index: Tensor) -> Tensor:
    """Like `pick`, each image mirrored at random and shifted by up to an eighth of its size.

    The border is mirrored, as padding with zeros would add edges that no image has. Draws from
    torch's global random state. Picking, mirroring and shifting are one gather.
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
    """Fold positions just outside 0..size-1 back inside."""
    last = size - 1
    return (last - (last - position.abs()).abs()).clamp(0, last)


def normalize(batch: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Bytes B×H×W×3 -> floats B×3×H×W in channels-last memory, (x / 255 - mean) / std."""
    # Stored channels-last, the bytes need no transposition, only another view.
    return ((batch.float() - 255 * mean) / (255 * std)).permute(0, 3, 1, 2)
