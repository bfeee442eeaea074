"""Random views of images: crop, flip, rotation and colour, drawn for each image of a batch.

All images of a batch are transformed together, and nothing waits for the GPU. Everything geometric
is one affine map and one interpolation, and everything linear in colour is one 3×3 matrix.

Shape letters: N images, B batch size, R height and width of the images, S those of the views.
"""

from __future__ import annotations

import math

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

DRAWS = {
    "area": 1, "ratio": 1, "center": 2, "flip": 2, "angle": 1, "colour": 3,
    "operation": 1, "magnitude": 1, "erase": 1, "erased_area": 1, "erased_ratio": 1, "erased_at": 2,
}  # fmt: skip
"""Uniform random numbers in 0..1 that are drawn for each image, whether or not they are used: their
names and how many of each. One call draws them all, because each call to a GPU takes time."""

Values = dict[str, Tensor]
"""Numbers for each image by name, B×1 to B×3."""


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
        draws = torch.rand(b, sum(DRAWS.values()), device=device)
        views = torch.empty(b, self.size, self.size, 3, dtype=torch.uint8, device=device)
        chunk = max(1, CHUNK_PIXELS // r**2) if device.type == "cpu" else b
        for view, *parts in zip(*(x.split(chunk) for x in (views, index, draws)), strict=True):
            view.copy_(self._views(images, *parts))
        return views

    def _views(self, images: Tensor, index: Tensor, draws: Tensor) -> Tensor:
        """Return the views of some images, B×S×S×3, uint8, from their draws, B×sum(DRAWS)."""
        b, s = len(index), self.size
        drawn = dict(zip(DRAWS, draws.split(list(DRAWS.values()), 1), strict=True))
        signed = dict(zip(DRAWS, (2 * draws - 1).split(list(DRAWS.values()), 1), strict=True))
        amounts = chosen_operation(drawn, signed) if self.strong else {}
        affine = self._affine(images.shape[1], drawn, signed, amounts)
        pixels = resample(images[index].permute(0, 3, 1, 2).float(), affine, s)
        if not self.crops:
            return to_bytes(pixels)
        factors = 1 + MILD * signed["colour"]
        if self.strong:
            names = ("brightness", "contrast", "saturation")
            factors = 1 + VIVID * torch.cat([amounts[name] for name in names], 1)
        mean = pixels.mean((2, 3))
        offset, linear = linear_colour(mean, factors)
        if self.strong:
            pixels = torch.where(erased(drawn, signed, s), mean[:, :, None, None], pixels)
            start, stretch = full_range(pixels)
            instead = amounts["autocontrast"][:, :, None] != 0
            offset = torch.where(instead, -(start * stretch)[:, :, None], offset)
            linear = torch.where(instead, stretch.diag_embed(), linear)
        views = to_bytes(torch.baddbmm(offset, linear, pixels.flatten(2)).view(b, 3, s, s))
        if self.strong:
            bits = (BITS * amounts["posterize"].abs()).ceil()
            views = views & (256 - 2**bits).to(torch.uint8)[:, :, None, None]
            threshold = 255 * (1 - amounts["solarize"].abs())
            inverted = views > threshold.to(torch.uint8)[:, :, None, None]
            views = views ^ (inverted.to(torch.uint8) * 255)
        return views

    def _affine(self, r: int, drawn: Values, signed: Values, amounts: Values) -> Tensor:
        """Return the affine maps from views to images of size `r`, B×2×3.

        Coordinates in both are -1 at the left or upper border and 1 at the opposite one.
        """
        config = self.config
        sides = torch.ones_like(drawn["center"])  # width and height as fractions of the image
        center = torch.zeros_like(sides)
        if self.crops:
            area = CROP_AREA[0] + (CROP_AREA[1] - CROP_AREA[0]) * drawn["area"]
            # A crop as large as the image has its shape, so every drawn crop fits.
            reach = (-area.log()).clamp(max=math.log(CROP_RATIO))
            sides = rectangle(area, (signed["ratio"] * reach).exp())
            center = signed["center"] * (1 - sides)
        elif config.augment == "flip_crop":
            pixels = max(r // 8, 1)
            center = ((2 * pixels + 1) * drawn["center"]).floor().sub(pixels) * (2 / r)
        if config.horizontal_flip is not False and config.augment != "none":
            sides[:, 0] *= torch.where(drawn["flip"][:, 0] < 0.5, -1.0, 1.0)
        if config.vertical_flip:
            sides[:, 1] *= torch.where(drawn["flip"][:, 1] < 0.5, -1.0, 1.0)
        linear = sides.diag_embed()
        if self.strong:
            one = torch.ones_like(drawn["area"])
            shear = [one, SHEAR * amounts["shear_x"], SHEAR * amounts["shear_y"], one]
            linear = torch.cat(shear, 1).view(-1, 2, 2) @ linear
        if self.strong or config.rotation:
            angle = config.rotation * signed["angle"]
            if self.strong:
                angle = angle + ROTATE * amounts["rotate"]
            cos, sin = angle.deg2rad().cos(), angle.deg2rad().sin()
            linear = torch.cat([cos, -sin, sin, cos], 1).view(-1, 2, 2) @ linear
        center = center[:, :, None]
        if self.strong:
            moved = torch.cat([amounts["translate_x"], amounts["translate_y"]], 1)
            center = center + linear @ (2 * TRANSLATE * moved)[:, :, None]
        return torch.cat([linear, center], 2)


def chosen_operation(drawn: Values, signed: Values) -> Values:
    """Return the magnitude of each of OPERATIONS in -1..1, B×1; 0 for those not drawn."""
    numbers = torch.arange(len(OPERATIONS), device=drawn["operation"].device)
    chosen = (len(OPERATIONS) * drawn["operation"]).long() == numbers
    return dict(zip(OPERATIONS, (chosen * signed["magnitude"]).split(1, 1), strict=True))


def resample(pixels: Tensor, affine: Tensor, size: int) -> Tensor:
    """Interpolate images, B×3×R×R, float32, at the points of views, B×3×S×S, that are mapped."""
    points = torch.ones(3, size, size, device=pixels.device)
    points[0] = torch.linspace(1 / size - 1, 1 - 1 / size, size, device=pixels.device)
    points[1] = points[0].T
    grid = (affine @ points.flatten(1)).view(-1, 2, size, size).permute(0, 2, 3, 1)
    # Zeros as padding would add edges that no image has.
    return F.grid_sample(
        pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def erased(drawn: Values, signed: Values, size: int) -> Tensor:
    """Return which pixels are erased, B×1×S×S, bool."""
    area = ERASE_AREA[0] + (ERASE_AREA[1] - ERASE_AREA[0]) * drawn["erased_area"]
    ratio = (math.log(ERASE_RATIO) * signed["erased_ratio"]).exp()
    sides = rectangle(area, ratio).clamp(max=1)
    first = drawn["erased_at"] * (1 - sides)
    sides = sides * (drawn["erase"] < ERASE_SHARE)
    columns, rows = inside(first, first + sides, size).unbind(1)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def rectangle(area: Tensor, ratio: Tensor) -> Tensor:
    """Return the width and height, B×2, of rectangles of an area and a ratio of sides, B×1."""
    return torch.cat([area * ratio, area / ratio], 1).sqrt()


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


def inside(first: Tensor, last: Tensor, size: int) -> Tensor:
    """Return which of `size` pixel centres are from `first` to `last`, in 0..1.

    Args:
        first: First position on each axis, B×2.
        last: Last position on each axis, B×2; below `first` for none.
        size: Number of pixels on each axis.

    Returns:
        Mask, B×2×size, bool.
    """
    centers = (torch.arange(size, device=first.device) + 0.5) / size
    return (centers >= first[:, :, None]) & (centers < last[:, :, None])
