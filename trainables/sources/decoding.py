"""Images of any kind -> RGB squares."""

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
# EXIF orientation -> what turns the picture upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
DECODE_BLOCK = 256  # images a task of a thread


def decode(items: Sequence[tuple[str, bytes | Path]], size: int) -> tuple[Images, Digests]:
    """Decode image files into an N×size×size×3 array, on all cores, and hash each file, N×16.

    Args:
        items: where each comes from (for the error message), and its bytes or path.
        size: pixels of height and width.

    Raises:
        InputError: one is not a readable image; the message names it.
    """
    images = np.empty((len(items), size, size, 3), dtype=np.uint8)
    digests = np.empty((len(items), DIGEST_BYTES), dtype=np.uint8)

    def decode_one(i: int) -> None:
        where, content = items[i]
        try:
            content = content if isinstance(content, bytes) else content.read_bytes()
            digest = hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
            digests[i] = np.frombuffer(digest, np.uint8)
            with Image.open(io.BytesIO(content)) as img:
                images[i] = to_rgb_square(img, size)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            reason = "not an image" if isinstance(error, UnidentifiedImageError) else error
            raise InputError(
                f"{where} cannot be decoded ({reason}): replace the image or remove it"
            ) from error

    def decode_block(start: int) -> None:
        for i in range(start, min(start + DECODE_BLOCK, len(items))):
            decode_one(i)

    # Pillow releases the interpreter lock while it decodes and resizes.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(decode_block, range(0, len(items), DECODE_BLOCK)):
            pass  # raises what decode_block raised, the first image first
    return images, digests


def to_rgb_square(img: Image.Image, size: int) -> Images:
    """Turn an image of any mode and size into size×size×3 bytes, upright."""
    turn = UPRIGHT.get(img.getexif().get(ExifTags.Base.Orientation, 1))
    if turn is not None:
        img = img.transpose(turn)
    if img.mode == "F":
        raise ValueError("its pixels are floats, which have no fixed range")
    if img.mode.startswith("I"):  # 16 bits a pixel, which convert() would clip to white
        wide = np.asarray(img, dtype=np.float64)
        # 32-bit mode I holds values of 8 or of 16 bits.
        scale = 1 if img.mode == "I" and wide.max(initial=0) <= 255 else 257
        img = Image.fromarray((wide / scale).round().clip(0, 255).astype(np.uint8))
    if img.mode != "RGB":
        img = img.convert("RGB")
    if img.size != (size, size):
        img = img.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(img)


def resize_all(images: Images, size: int) -> Images:
    """Resize N×H×W or N×H×W×3 bytes to N×size×size×3."""
    if images.shape[1:] == (size, size, 3):
        return images
    return np.stack([to_rgb_square(Image.fromarray(image), size) for image in images])
