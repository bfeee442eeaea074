"""Corruptions of images at five severities, to measure how robust a model is.

Shape letters: B batch size, S height and width.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor

from trainables.arrays import Images, Ints
from trainables.image_rows import ImageRows

Corruption: TypeAlias = Literal["noise", "blur", "JPEG", "brightness", "contrast", "pixelation"]
CORRUPTIONS: tuple[Corruption, ...] = get_args(Corruption)
SEVERITIES = 1, 2, 3, 4, 5

SIZES = 32, 64, 224
"""Heights and widths in pixels that severities have been published for."""
PUBLISHED: dict[Corruption, tuple[tuple[float, ...], ...]] = {
    "noise": ((0.04, 0.06, 0.08, 0.09, 0.1), (0.04, 0.08, 0.12, 0.15, 0.18),
              (0.08, 0.12, 0.18, 0.26, 0.38)),
    "blur": ((0.4, 0.6, 0.7, 0.8, 1.0), (0.5, 0.75, 1.0, 1.25, 1.5), (1.0, 2.0, 3.0, 4.0, 6.0)),
    "JPEG": ((80, 65, 58, 50, 40), (65, 58, 50, 40, 25), (25, 18, 15, 10, 7)),
    "brightness": ((0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5),
                   (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": ((0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05),
                 (0.4, 0.3, 0.2, 0.1, 0.05)),
    "pixelation": ((0.95, 0.9, 0.85, 0.75, 0.65), (0.9, 0.8, 0.7, 0.6, 0.5),
                   (0.6, 0.5, 0.4, 0.3, 0.25)),
}  # fmt: skip
"""Strength at each severity, for each of SIZES: those of CIFAR-10-C, ImageNet-64x64-C and
ImageNet-C (Hendrycks & Dietterich 2019, Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations, with its code in github.com/hendrycks/robustness). Standard deviation
of the noise and change of brightness as fractions of white, standard deviation of the blur in
pixels, quality of the JPEG, and factors of contrast and of the height and width."""
REACH = 4
"""Radius of the blur in standard deviations, as in the published corruption."""


def strength(corruption: Corruption, severity: int, size: int) -> float:
    """Return the strength of a corruption for images of some size.

    Between the sizes that severities have been published for, it is interpolated linearly in the
    logarithm of the size; smaller and larger images have the strength of the nearest of them.

    Args:
        corruption: the corruption.
        severity: 1 (weakest) to 5.
        size: height and width of the images in pixels.
    """
    published = [of_size[severity - 1] for of_size in PUBLISHED[corruption]]
    return float(np.interp(math.log(size), np.log(SIZES), published))


def corrupt(images: Images, corruption: Corruption, severity: int, seeds: Ints) -> Images:
    """Return corrupted images, B×S×S×3, uint8.

    Args:
        images: images, B×S×S×3, uint8.
        corruption: what is done to them.
        severity: 1 (weakest) to 5.
        seeds: seed of the noise of each image, B, int64, 0 or more.
    """
    size = images.shape[1]
    value = strength(corruption, severity, size)
    channels_first = torch.from_numpy(images).permute(0, 3, 1, 2)
    changed = _changed(channels_first, corruption, value, size, seeds)
    return np.ascontiguousarray(changed.permute(0, 2, 3, 1).numpy())


def _changed(
    images: Tensor, corruption: Corruption, value: float, size: int, seeds: Ints
) -> Tensor:
    """Return corrupted images, B×3×S×S, uint8."""
    # Takes seconds to import, and most comparisons corrupt nothing.
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2 import functional as F

    if corruption == "noise":
        return _noisy(images, value, seeds)
    if corruption == "blur":
        radius = min(math.ceil(REACH * value), size - 1)  # reflected at the edges
        floats = images.float()
        for kernel in ([2 * radius + 1, 1], [1, 2 * radius + 1]):  # separable
            floats = F.gaussian_blur(floats, kernel, [value, value])
        return floats.round().clamp(0, 255).byte()
    if corruption == "JPEG":
        # Of Pillow's images, as torchvision's own codec is about to be removed.
        files = [F.jpeg(F.to_pil_image(image), round(value)) for image in images]
        return torch.stack([F.pil_to_tensor(file) for file in files])
    if corruption == "brightness":
        # Published as an addition to the lightest channel. The factor adds as much to mid-grey.
        changed: Tensor = F.adjust_brightness(images, 1 + 2 * value)
    elif corruption == "contrast":
        changed = F.adjust_contrast(images, value)
    else:
        smaller = [max(1, int(size * value))] * 2
        changed = F.resize(images, smaller, InterpolationMode.BILINEAR, antialias=True)
        changed = F.resize(changed, [size, size], InterpolationMode.NEAREST_EXACT)
    return changed


def _noisy(images: Tensor, deviation: float, seeds: Ints) -> Tensor:
    """Add normal noise to images, B×3×S×S, uint8.

    torchvision's `gaussian_noise` draws from the global generator, so that the noise of an image
    would depend on the batch it is in.
    """
    noise = torch.stack(
        [
            torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(seed))
            for seed in seeds.tolist()
        ]
    )
    return (images + 255 * deviation * noise).round().clamp(0, 255).byte()


class CorruptedStore:
    """Images that are corrupted as they are read: an `ImageStore`.

    Args:
        images: images, N×S×S×3, uint8.
        seeds: seed of the noise of each image, N, int64, 0 or more.
        corruption: what is done to them.
        severity: 1 (weakest) to 5.
    """

    def __init__(self, images: ImageRows, seeds: Ints, corruption: Corruption, severity: int):
        self.images, self.seeds, self.shape = images, seeds, images.shape
        self.corruption, self.severity = corruption, severity

    def read(self, rows: Ints) -> Images:
        """Return some of the images, corrupted, B×S×S×3, uint8."""
        return corrupt(self.images.read(rows), self.corruption, self.severity, self.seeds[rows])

    def whole(self) -> None:
        """Return nothing, as images are corrupted when they are read."""

    def fingerprint(self) -> str:
        """Name what the pixels depend on."""
        return f"{self.images.fingerprint()}-{self.corruption}-{self.severity}"
