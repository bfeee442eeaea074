"""Pixels of every layout that Pillow reads, as RGB of 8 bits per channel.

Pillow's own conversion shows what is hidden under transparent pixels, and clips 16 bits to white.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from trainables.image_formats import DecodingError
from trainables.views import Decoding

WHITE_LEVEL = 65_535
"""Value of white in images of 16 bits per channel, unless the dataset has another."""
# Formats that state the value of white, which Pillow scales to 65,535.
STATES_WHITE = ("PPM", "JPEG2000")
PHOTOMETRIC_INTERPRETATION, WHITE_IS_ZERO = 262, 0  # of TIFF


def to_rgb(image: Image.Image, how: Decoding) -> Image.Image:
    """Convert an image, as it was opened, to RGB.

    Raises:
        DecodingError: The pixels have no fixed range.
        OSError: The image is damaged. There are further exceptions, as `decoding_errors` says.
    """
    transparent = _transparent_value(image)
    if _has_wide_colour(image) and (how.white_level or WHITE_LEVEL) < WHITE_LEVEL:
        raise DecodingError(
            f"16 bits per channel of colour where {how.white_level:,} is white: only greys of such "
            "a range can be read; save the image with 8 bits per channel"
        )
    if image.mode.startswith("I"):
        return _wide_greys_to_rgb(image, how, transparent)
    image.load()
    if image.mode == "F":
        raise DecodingError("floating-point pixels without a fixed range")
    if image.mode == "LAB":
        return _lab_to_rgb(image)
    if transparent is not None:
        image.info["transparency"] = transparent
    if image.has_transparency_data:
        return _composited(image.convert("RGBA"), how)
    return image if image.mode == "RGB" else image.convert("RGB")


def largest_wide_value(image: Image.Image) -> int | None:
    """Return the largest value of an image of 16 bits per channel that does not state white.

    Raises:
        DecodingError: The pixels have no fixed range.
        OSError: The image is damaged. There are further exceptions, as `decoding_errors` says.
    """
    if _has_wide_colour(image):  # of which Pillow keeps the upper 8 bits
        colours = image.convert("RGB").getextrema()
        return max(int(high) for _, high in colours) * 257  # type: ignore[misc]
    if image.format in STATES_WHITE or not image.mode.startswith("I"):
        return None
    return int(_wide_greys(image).max())


def white_level_of(largest: Iterable[int | None]) -> int | None:
    """Choose the value of white for a dataset, as `Decoding` takes it.

    Args:
        largest: `largest_value` of every image.

    Returns:
        The smallest of 255, 511, 1,023, … 65,535 that no image exceeds; None without such images.
    """
    values = [value for value in largest if value is not None]
    return 2 ** max(8, max(values).bit_length()) - 1 if values else None


def _raw_mode(image: Image.Image) -> str:
    """Return Pillow's name of the pixels' layout in a file that is not loaded yet, or nothing."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles and image.format in ("PNG", "TIFF") else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _has_wide_colour(image: Image.Image) -> bool:
    """Tell whether a file that is not loaded yet has 16 bits per channel, of which 8 are read."""
    return ";16" in _raw_mode(image) and not image.mode.startswith("I")


def _transparent_value(image: Image.Image) -> int | tuple[int, ...] | None:
    """Return the transparent grey or colour of a file that is not loaded yet, scaled as its pixels.

    Pillow scales the pixels of a PNG to 8 bits, but not this value.
    """
    value = image.info.get("transparency")
    raw_mode = _raw_mode(image)
    if isinstance(value, tuple):
        return tuple(v >> 8 for v in value) if ";16" in raw_mode else value
    if isinstance(value, int) and image.mode == "L" and raw_mode in ("L;2", "L;4"):
        return value * (85 if raw_mode == "L;2" else 17)
    return value if isinstance(value, int) else None


def _wide_greys(image: Image.Image) -> npt.NDArray[np.int64]:
    """Read an image of up to 16 bits per pixel, H×W.

    Raises:
        DecodingError: A value is outside 0..65,535.
    """
    greys = np.asarray(image).astype(np.int64)
    lowest, highest = int(greys.min()), int(greys.max())
    if lowest < 0 or highest > WHITE_LEVEL:
        raise DecodingError(
            f"pixels from {lowest:,} to {highest:,}, of which none is black or white by definition"
        )
    return greys


def _wide_greys_to_rgb(
    image: Image.Image, how: Decoding, transparent: int | tuple[int, ...] | None
) -> Image.Image:
    greys = _wide_greys(image)
    stated = image.format in STATES_WHITE
    white = WHITE_LEVEL if stated else how.white_level or WHITE_LEVEL
    levels = (greys.clip(0, white) * 255 + white // 2) // white
    if getattr(image, "tag_v2", {}).get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO:
        levels = 255 - levels
    rgb = Image.fromarray(levels.astype(np.uint8)).convert("RGB")
    if transparent is None:
        return rgb
    rgb.putalpha(Image.fromarray(np.where(greys == transparent, 0, 255).astype(np.uint8)))
    return _composited(rgb, how)


def _composited(image: Image.Image, how: Decoding) -> Image.Image:
    """Composite an RGBA image on the background."""
    result = Image.new("RGB", image.size, how.background)
    result.paste(image, mask=image.getchannel("A"))
    return result


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
    result = ImageCms.applyTransform(image, transform)
    assert result is not None
    return result
