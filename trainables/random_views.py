"""Random views of images: crop, flip, rotation and colour, drawn for each image of a batch.

All images of a batch are transformed together, and nothing waits for the GPU. Everything geometric
is one affine map and one interpolation, and everything linear in colour is one 3×3 matrix.

Shape letters: N images, B batch size, R height and width of the images, S those of the views.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.config import TrialConfig

CROP_AREA = (0.35, 1.0)
"""Area of a random crop as a fraction of the image. ImageNet's customary lower end of 0.08 is for
trainings of a hundred epochs and more."""
CROP_RATIO = 4 / 3
"""Highest ratio of the longer to the shorter side of a random crop."""
MILD = 0.2
"""Largest change of brightness, contrast and saturation in `photo`, as a fraction."""
OPERATIONS = (
    "identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness",
    "contrast", "saturation", "autocontrast", "posterize", "solarize",
)  # fmt: skip
"""Operations of `strong`, of which each image gets one: those of TrivialAugment (Müller and Hutter,
2021) except sharpness and equalisation, whose convolution and histograms would take longer than
all others together. The ranges are those of RandAugment."""
SHEAR, TRANSLATE, ROTATE, VIVID, BITS = 0.3, 0.45, 30.0, 0.9, 4
"""Largest magnitudes: shear as a slope, translation as a fraction of the crop, rotation in degrees,
change of brightness, contrast or saturation as a fraction, and number of bits posterised away."""
ERASE_SHARE, ERASE_AREA, ERASE_RATIO = 0.25, (0.02, 0.33), 3.3
"""Fraction of the images of which `strong` erases a rectangle, the area of that rectangle as a
fraction of the view, and its highest ratio of sides (Zhong et al., Random erasing)."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601)."""
CHUNK_PIXELS = 2**18
"""Pixels transformed at a time on a CPU, so that the intermediate floats stay in its cache."""

Amount = Callable[[str], Tensor]
"""Function from the name of an operation to its magnitude for each image, B, in -1..1."""


class RandomViews:
    """Augmentation that draws a transformation for each image from torch's global generator.

    Args:
        config: Trial configuration: `augment` and the switches beside it.
        size: Height and width of the views in pixels.
    """

    def __init__(self, config: TrialConfig, size: int):
        self.config, self.size = config, size
        self.crops = config.augment in ("photo", "strong")
        self.strong = config.augment == "strong"

    def __call__(self, images: Tensor, index: Tensor) -> Tensor:
        """Gather a batch of random views.

        Args:
            images: Images, N×R×R×3, uint8. They are not smoothed before they shrink, so R should
                be at most 1.5 times S.
            index: Indices of the batch into `images`, B, int64.

        Returns:
            Views, B×S×S×3, uint8.
        """
        b, r, device = len(index), images.shape[1], images.device
        # The name and magnitude, in -1..1, of the operation that `strong` draws for each image.
        chosen, level = torch.randint(len(OPERATIONS), (b,), device=device), signed(b, device)

        def amount(operation: str) -> Tensor:
            return level * (chosen == OPERATIONS.index(operation)) * self.strong

        draws = (
            index,
            self._affine(b, r, device, amount),
            self._erased(b, device),
            self._factors(b, device, amount),
            (chosen == OPERATIONS.index("autocontrast")) & self.strong,
            256 - 2 ** (BITS * amount("posterize").abs()).ceil().long(),
            (255 * (1 - amount("solarize").abs())).long(),
        )
        views = torch.empty(b, self.size, self.size, 3, dtype=torch.uint8, device=device)
        chunk = max(1, CHUNK_PIXELS // r**2) if device.type == "cpu" else b
        for view, *drawn in zip(*(x.split(chunk) for x in (views, *draws)), strict=True):
            view.copy_(self._transform(images, *drawn))
        return views

    def _affine(self, b: int, r: int, device: torch.device, amount: Amount) -> Tensor:
        """Draw affine maps from view to image coordinates, B×2×3; both are -1..1, x before y."""
        config, one = self.config, torch.ones(b, device=device)
        width, height, center = one, one, torch.zeros(b, 2, device=device)
        if self.crops:
            area = uniform(b, device, *CROP_AREA)
            # A crop as large as the image has its shape, so every drawn crop fits.
            reach = (-area.log()).clamp(max=math.log(CROP_RATIO))
            ratio = (signed(b, device) * reach).exp()
            width, height = (area * ratio).sqrt(), (area / ratio).sqrt()
            center = torch.stack([signed(b, device) * (1 - side) for side in (width, height)], 1)
        elif config.augment == "flip_crop":
            pixels = max(r // 8, 1)
            center = torch.randint(-pixels, pixels + 1, (b, 2), device=device) * (2 / r)
        if config.horizontal_flip and config.augment != "none":
            width = width * flips(b, device)
        if config.vertical_flip:
            height = height * flips(b, device)
        angle = ROTATE * amount("rotate")
        if config.rotation:
            angle = angle + config.rotation * signed(b, device)
        cos, sin = angle.deg2rad().cos(), angle.deg2rad().sin()
        shear = matrix([one, SHEAR * amount("shear_x")], [SHEAR * amount("shear_y"), one])
        scale = torch.stack([width, height], 1)[:, None]
        linear = matrix([cos, -sin], [sin, cos]) @ shear * scale
        moved = 2 * TRANSLATE * torch.stack([amount("translate_x"), amount("translate_y")], 1)
        return torch.cat([linear, center[:, :, None] + linear @ moved[:, :, None]], 2)

    def _erased(self, b: int, device: torch.device) -> Tensor:
        """Draw the first and last row and column to erase, B×4, in 0..1; none if first > last."""
        if not self.strong:
            return torch.zeros(b, 4, device=device)
        area = uniform(b, device, *ERASE_AREA)
        ratio = (signed(b, device) * math.log(ERASE_RATIO)).exp()
        sides = torch.stack([area * ratio, area / ratio], 1).sqrt().clamp(max=1)
        first = torch.rand(b, 2, device=device) * (1 - sides)
        spared = torch.rand(b, 1, device=device) >= ERASE_SHARE
        return torch.cat([first + 2 * spared, first + sides], 1)

    def _factors(self, b: int, device: torch.device, amount: Amount) -> Tensor:
        """Draw factors of brightness, contrast and saturation, B×3; 1 changes nothing."""
        if self.strong:
            names = ("brightness", "contrast", "saturation")
            return 1 + VIVID * torch.stack([amount(name) for name in names], 1)
        if self.crops:
            return 1 + MILD * torch.stack([signed(b, device) for _ in range(3)], 1)
        return torch.ones(b, 3, device=device)

    def _transform(
        self,
        images: Tensor,
        index: Tensor,
        affine: Tensor,
        erased: Tensor,
        factors: Tensor,
        autocontrast: Tensor,
        kept_bits: Tensor,
        solarized: Tensor,
    ) -> Tensor:
        """Apply the draws of some images; returns their views, B×S×S×3, uint8."""
        b, s = len(index), self.size
        batch = images[index].permute(0, 3, 1, 2).float()
        centers = (2 * torch.arange(s, device=images.device) + 1) / s - 1
        points = torch.ones(3, s, s, device=images.device)
        points[0], points[1] = centers, centers[:, None]
        grid = (affine @ points.flatten(1)).view(b, 2, s, s).permute(0, 2, 3, 1)
        # Zeros as padding would add edges that no image has.
        pixels = F.grid_sample(
            batch, grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )
        if not self.crops:
            return to_bytes(pixels)
        mean = pixels.mean((2, 3))
        offset, linear = linear_colour(mean, factors)
        if self.strong:
            rows, columns = inside(erased[:, ::2], s), inside(erased[:, 1::2], s)
            gone = rows[:, None, :, None] & columns[:, None, None, :]
            pixels = torch.where(gone, mean[:, :, None, None], pixels)
            start, stretch = full_range(pixels)
            instead = autocontrast[:, None, None]
            offset = torch.where(instead, -(start * stretch)[:, :, None], offset)
            linear = torch.where(instead, stretch.diag_embed(), linear)
        views = to_bytes(torch.baddbmm(offset, linear, pixels.flatten(2)).view(b, 3, s, s))
        if self.strong:
            views = views & kept_bits.to(torch.uint8).view(b, 1, 1, 1)
            inverted = views > solarized.to(torch.uint8).view(b, 1, 1, 1)
            views = views ^ (inverted.to(torch.uint8) * 255)
        return views


def to_bytes(pixels: Tensor) -> Tensor:
    """Convert pixels, B×3×S×S, float32, which are overwritten, to a view B×S×S×3, uint8."""
    return pixels.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def linear_colour(mean: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the offset, B×3×1, and the matrix, B×3×3, of a change of colour.

    Args:
        mean: Mean colour of each image, B×3, that contrast is changed around.
        factors: Factors of brightness, contrast and saturation, B×3.
    """
    # Filled on the device, because a copy to a GPU would wait for it.
    grey = torch.stack([torch.full((3,), each, device=mean.device) for each in LUMA], 1)
    brightness, contrast, saturation = factors[:, :, None, None].unbind(1)
    colour = torch.eye(3, device=mean.device)
    linear = brightness * contrast * (saturation * colour + (1 - saturation) * grey)
    offset = (1 - contrast) * brightness * (mean @ grey.T)[:, :, None]
    return offset, linear


def full_range(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the start and the factor, each B×3, that stretch each channel to 0..255.

    Args:
        pixels: Pixels, B×3×S×S, in 0..255. A channel of one value stays as it is.
    """
    low, high = pixels.amin((2, 3)), pixels.amax((2, 3))  # aminmax takes 20 times as long
    varies = high - low >= 1  # less is rounding
    return torch.where(varies, low, 0), torch.where(varies, 255 / (high - low), 1)


def inside(limits: Tensor, size: int) -> Tensor:
    """Return which of `size` pixel centres are within limits, B×size; limits are B×2, in 0..1."""
    centers = (torch.arange(size, device=limits.device) + 0.5) / size
    return (centers >= limits[:, :1]) & (centers < limits[:, 1:])


def matrix(*rows: list[Tensor]) -> Tensor:
    """Stack entries, each of shape B, to matrices, B×2×2."""
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def uniform(b: int, device: torch.device, low: float, high: float) -> Tensor:
    """Draw B numbers in low..high."""
    return low + (high - low) * torch.rand(b, device=device)


def signed(b: int, device: torch.device) -> Tensor:
    """Draw B numbers in -1..1."""
    return uniform(b, device, -1, 1)


def flips(b: int, device: torch.device) -> Tensor:
    """Draw B signs, -1 and 1 with equal probability."""
    return torch.randint(2, (b,), device=device) * 2 - 1
