"""Encoded images that tests of decoding read."""

import io
import struct
import zlib

import numpy as np
import pytest

from trainables.decoding import (
    DecodingError,
    open_rgb,
)
from trainables.image_formats import FORMATS
from trainables.views import Decoding

# What the standard says of row 0 and column 0 of the stored image, undone.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}
WHITE, MAGENTA = (255, 255, 255), (255, 0, 255)
LOSSLESS = {
    "WEBP": {"lossless": True, "exact": True},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
}
FORMAT_PARAMS = [
    pytest.param(name, marks=pytest.mark.skipif(name not in FORMATS, reason=f"no {name} here"))
    for name in ("JPEG", "PNG", "WEBP", "TIFF", "JPEG2000", "AVIF", "HEIF")
]


def encoded(image, name="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, name, **{**LOSSLESS.get(name, {}), **options})
    return buffer.getvalue()


def pixels(content, **how):
    return np.asarray(open_rgb(content, Decoding(**how)))


def greys(content, **how):
    """Values of an image that is grey, row after row."""
    result = pixels(content, **how)
    assert (result == result[..., :1]).all()
    return result[..., 0].ravel().tolist()


def reason(content, **how):
    with pytest.raises(DecodingError) as error:
        open_rgb(content, Decoding(**how))
    return str(error.value)


def png(bits, colour_type, rows, width, height, before=(), after=()):
    """A PNG of a kind that Pillow does not write, with further chunks."""

    def chunk(name, data):
        crc = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + crc

    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), *before, (b"IDAT", zlib.compress(rows)), *after, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def two_bytes(*values):
    return b"".join(struct.pack(">H", value) for value in values)
