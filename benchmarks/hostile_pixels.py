"""Datasets of hostile_sources.py whose pixels are the matter: turned, transparent, of 16 bits."""

from __future__ import annotations

import numpy as np
from PIL import ExifTags, Image

from benchmarks.hostile_data import (
    HEIGHT,
    WIDTH,
    Colour,
    DataSet,
    figure,
    hostile,
    picture,
    shape,
    write,
)

BLACK, WHITE, MAGENTA, BLUE = (0, 0, 0), (255, 255, 255), (255, 0, 255), (30, 60, 200)
# How an upright image is stored under each orientation: the inverse of what makes it upright.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def _turned(data: DataSet, suffix: str) -> None:
    """Save an image with each orientation, each of which is upright when it is read right."""
    for orientation, how in STORED.items():
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        for label, n in (("cat", orientation), ("dog", 10 + orientation)):
            path = data.folder / label / f"{n}{suffix}"
            write(picture(n).transpose(how), path, exif=exif.tobytes())
            data.add(picture(n), label)


@hostile
def turned_jpeg(data: DataSet) -> None:
    """JPEG with EXIF orientation 2 to 8, as phones write them."""
    _turned(data, ".jpg")


@hostile
def turned_tiff(data: DataSet) -> None:
    """TIFF with EXIF orientation 2 to 8."""
    data.suffix = ".tif"
    for orientation, how in STORED.items():
        for label, n in (("cat", orientation), ("dog", 10 + orientation)):
            path = data.folder / label / f"{n}.tif"
            write(picture(n).transpose(how), path, tiffinfo={274: orientation})
            data.add(picture(n), label)


@hostile
def turned_png(data: DataSet) -> None:
    """PNG with EXIF orientation 2 to 8."""
    _turned(data, ".png")


@hostile
def turned_webp(data: DataSet) -> None:
    """WebP with EXIF orientation 2 to 8."""
    data.suffix = ".webp"
    _turned(data, ".webp")


def _on_grounds(data: DataSet, number: int, colour: Colour) -> str:
    """Expect a figure on white, on black or on mid-grey, unless it is of that colour."""
    grounds = [ground for ground in (WHITE, BLACK, (128, 128, 128)) if ground != colour]
    first, *others = (figure(number, colour, ground) for ground in grounds)
    label = ("cat", "dog")[number % 2]
    for _ in range(2):
        data.add(first, label, "train", *others)
    return label


def _save_twice(
    data: DataSet, number: int, label: str, image: Image.Image, **options: object
) -> None:
    """Save an image under two names, so that a class has enough images for readers that split."""
    for n in (number, number + 4):
        write(image, data.folder / label / f"{n}{data.suffix}", **options)


def _transparent(data: DataSet, suffix: str) -> None:
    """Save blue figures whose ground is transparent, with magenta hidden below."""
    data.suffix = suffix
    for n in range(4):
        alpha = np.uint8(255) * shape(n)
        image = Image.fromarray(np.dstack([np.asarray(figure(n, BLUE, MAGENTA)), alpha]))
        _save_twice(data, n, _on_grounds(data, n, BLUE), image)


@hostile
def rgba_png(data: DataSet) -> None:
    """RGBA PNG with magenta hidden where alpha is 0."""
    _transparent(data, ".png")


@hostile
def rgba_webp(data: DataSet) -> None:
    """RGBA WebP with magenta hidden where alpha is 0."""
    _transparent(data, ".webp")


@hostile
def rgba_tiff(data: DataSet) -> None:
    """RGBA TIFF with magenta hidden where alpha is 0."""
    _transparent(data, ".tif")


@hostile
def grey_alpha(data: DataSet) -> None:
    """LA PNG, a black figure on transparent black."""
    data.suffix = ".png"
    for n in range(4):
        pixels = np.dstack([np.zeros((HEIGHT, WIDTH), np.uint8), np.uint8(255) * shape(n)])
        _save_twice(data, n, _on_grounds(data, n, BLACK), Image.fromarray(pixels))


def _palette(data: DataSet, suffix: str) -> None:
    """Save blue figures whose ground is a transparent index, magenta in the palette."""
    data.suffix = suffix
    for n in range(4):
        image = Image.fromarray(shape(n).astype(np.uint8)).convert("P")
        image.putpalette([*MAGENTA, *BLUE])
        _save_twice(data, n, _on_grounds(data, n, BLUE), image, transparency=0)


@hostile
def palette_png(data: DataSet) -> None:
    """Palette PNG with a transparent index."""
    _palette(data, ".png")


@hostile
def palette_gif(data: DataSet) -> None:
    """GIF with a transparent index."""
    _palette(data, ".gif")


def _deep(data: DataSet, suffix: str, white: int) -> None:
    """Save grey ramps of 16 bits: cats as bright as `white`, dogs half as bright."""
    data.suffix = suffix
    for n in range(8):
        label, share = (("cat", 1.0), ("dog", 0.5))[n % 2]
        ramp = np.tile(np.linspace(0, share, WIDTH), (HEIGHT, 1)) * (0.3 + 0.7 * shape(n // 2))
        ramp[:6, :6] = share  # the brightest pixels, so that the range is that of the values
        image = Image.fromarray((ramp * white).round().astype(np.uint16))
        write(image, data.folder / label / f"{n}{suffix}")
        grey = (ramp * 255).round().astype(np.uint8)
        data.add(Image.fromarray(np.dstack([grey] * 3)), label)


@hostile
def deep_png(data: DataSet) -> None:
    """16-bit grey PNG with values 0 to 65,535."""
    _deep(data, ".png", 65535)


@hostile
def deep_tiff(data: DataSet) -> None:
    """16-bit grey TIFF with values 0 to 4,095, as cameras of 12 bits write them."""
    _deep(data, ".tif", 4095)
