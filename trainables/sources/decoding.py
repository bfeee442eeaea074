"""Decoding of image files of any mode and size into square RGB arrays.

Shape letters: N images, H height, W width, S height and width after resizing.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from trainables.data import DIGEST_BYTES, Digests, Images
from trainables.errors import InputError

IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
# Transposition that turns an image upright, by EXIF orientation.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
DECODE_BLOCK = 256  # images per task of the thread pool


def decode(items: Sequence[tuple[str, bytes | Path]], size: int) -> tuple[Images, Digests]:
    """Decode and hash image files, on all CPU cores.

    Args:
        items: Origin (for error messages), and content or path, of each file.
        size: Height and width in pixels of the result, S.

    Returns:
        Images, N×S×S×3, uint8, RGB, and hashes of the files, N×16, uint8.

    Raises:
        InputError: A file is not a readable image; the message names it.
    """
    images = np.empty((len(items), size, size, 3), dtype=np.uint8)
    digests = np.empty((len(items), DIGEST_BYTES), dtype=np.uint8)

    def decode_one(i: int) -> None:
        origin, content = items[i]
        try:
            content = content if isinstance(content, bytes) else content.read_bytes()
            digest = hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
            digests[i] = np.frombuffer(digest, np.uint8)
            with Image.open(io.BytesIO(content)) as img:
                images[i] = to_rgb_square(img, size)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            reason = "not an image" if isinstance(error, UnidentifiedImageError) else error
            raise InputError(
                f"{origin} cannot be decoded ({reason}): replace the image or remove it"
            ) from error

    def decode_block(start: int) -> None:
        for i in range(start, min(start + DECODE_BLOCK, len(items))):
            decode_one(i)

    # Threads suffice, because Pillow releases the GIL while it decodes and resizes.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(decode_block, range(0, len(items), DECODE_BLOCK)):
            pass  # re-raises the exception of the first image that fails
    return images, digests


def to_rgb_square(img: Image.Image, size: int) -> Images:
    """Convert an image of any mode and size to an upright RGB array, size×size×3, uint8.

    Raises:
        ValueError: The pixels are floating-point numbers.
    """
    transposition = UPRIGHT.get(img.getexif().get(ExifTags.Base.Orientation, 1))
    if transposition is not None:
        img = img.transpose(transposition)
    if img.mode == "F":
        raise ValueError("its pixels are floating-point numbers without a fixed range")
    if img.mode.startswith("I"):  # 16 bits per pixel, which convert() would clip to white
        wide = np.asarray(img, dtype=np.float64)
        # The 32-bit mode I may contain values of 8 or of 16 bits.
        scale = 1 if img.mode == "I" and wide.max(initial=0) <= 255 else 257
        img = Image.fromarray((wide / scale).round().clip(0, 255).astype(np.uint8))
    if img.mode != "RGB":
        img = img.convert("RGB")
    if img.size != (size, size):
        img = img.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(img)


def resize_all(images: Images, size: int) -> Images:
    """Resize images, N×H×W or N×H×W×3, uint8, to RGB images, N×size×size×3, uint8."""
    if images.shape[1:] == (size, size, 3):
        return images
    return np.stack([to_rgb_square(Image.fromarray(image), size) for image in images])
