"""Formats of image files: which can be read here, and what other content is."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, UnidentifiedImageError

from trainables.data import Images
from trainables.errors import first_line

try:
    import pillow_heif
except ImportError:
    HEIF = False
else:
    pillow_heif.register_heif_opener()
    HEIF = True

Image.init()  # here and not in the first threads that open an image
# Pillow refuses images of more than twice this size; those below it are photographs.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

SUFFIXES = {
    "AVIF": (".avif",),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "HEIF": (".heic", ".heif", ".hif"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "JPEG2000": (".jp2", ".j2k"),
    "PNG": (".png", ".apng"),
    "PPM": (".pbm", ".pgm", ".pnm", ".ppm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
"""Suffixes of files by Pillow's name of their format."""
FORMATS = tuple(name for name in SUFFIXES if name in Image.OPEN)
"""Formats that images are opened with. Others that Pillow knows would run another program (EPS),
hold no photographs (BUFR, HDF5), or are recognised by too little (TGA)."""
IMAGE_SUFFIXES = frozenset(suffix for name in FORMATS for suffix in SUFFIXES[name])
"""Suffixes, in lower case, of files that can be read here."""
OTHER_SUFFIXES = """
    .3fr .ai .arw .bpg .cr2 .cr3 .cur .dcm .dds .djvu .dng .emf .eps .erf .exr .fits .flif .hdr
    .icns .ico .jls .jpf .jpx .jxl .jxr .kdc .mrw .nef .nrw .orf .pcx .pef .pfm .pict .psb .psd
    .qoi .raf .ras .raw .rw2 .sgi .sr2 .srw .svg .svgz .tga .wdp .wmf .x3f .xbm .xcf .xpm
"""
KNOWN_SUFFIXES = frozenset(
    OTHER_SUFFIXES.split() + [suffix for group in SUFFIXES.values() for suffix in group]
)
"""Suffixes, in lower case, of files that hold images, whether they can be read here or not."""

INSTALL_HEIF, INSTALL_AVIF = "pip install 'pillow-heif>=1.0'", "pip install 'pillow>=11.3'"
HEIF_REMEDY, AVIF_REMEDY = f"HEIC image: {INSTALL_HEIF}", f"AVIF image: {INSTALL_AVIF}"
BRANDS = {
    **dict.fromkeys(("heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"), HEIF_REMEDY),
    **dict.fromkeys(("avif", "avis"), AVIF_REMEDY),
    "crx ": "raw image of a camera (CR3)",
}
"""What a file is by the brand that an ISO base media file starts with."""
SIGNATURES = (
    (b"\xff\xd8\xff", "truncated or damaged JPEG"),
    (b"\x89PNG\r\n\x1a\n", "truncated or damaged PNG"),
    (b"GIF8", "truncated or damaged GIF"),
    (b"BM", "truncated or damaged BMP"),
    (b"II*\0", "TIFF that is damaged or of an unknown kind"),
    (b"MM\0*", "TIFF that is damaged or of an unknown kind"),
    (b"\xff\x0a", "JPEG XL image"),
    (b"\0\0\0\x0cJXL ", "JPEG XL image"),
    (b"II\xbc\x01", "JPEG XR image"),
    (b"8BPS", "Photoshop document"),
    (b"%!PS", "PostScript document"),
    (b"%PDF", "PDF document"),
    (b"FUJIFILM", "raw image of a camera (RAF)"),
    (b"\0\0\x01\0", "Windows icon"),
    (b"qoif", "QOI image"),
    (b"Pf", "floating-point pixels without a fixed range"),
    (b"PF", "floating-point pixels without a fixed range"),
    (b"SIMPLE  =", "FITS image"),
    (b"v/1\x01", "OpenEXR image"),
    (b"PK\x03\x04", "zip archive"),
    (b"\x1f\x8b", "gzip file"),
    (b"PAR1", "parquet file"),
    (b"version https://git-lfs", "Git LFS pointer without the file: run git lfs pull"),
)
"""What a file is by its first bytes, where no format of `FORMATS` can open it."""
# Tags of TIFF, of which cameras' raw images are a kind: their first page is a thumbnail.
NEW_SUBFILE_TYPE, SUB_IFDS, DNG_VERSION = 254, 330, 50706
MARKUP = ((b"<svg", "SVG drawing"), (b"<html", "HTML page"), (b"<!doctype html", "HTML page"))


def remedy_for(suffix: str) -> str:
    """Return what makes images of a suffix readable that cannot be read here."""
    install = {**dict.fromkeys(SUFFIXES["HEIF"], INSTALL_HEIF), ".avif": INSTALL_AVIF}.get(suffix)
    return f"{install}, or convert them to JPEG" if install else "convert them to PNG or JPEG"


def describe(content: bytes) -> str:
    """Return what a file is that cannot be opened as an image, e.g. `HTML page`.

    Args:
        content: Content of the file.
    """
    if not content:
        return "empty file"
    if not content.strip(b"\0"):
        return "file of zeros alone"
    if content[4:8] == b"ftyp":
        # The first brand may be a general one, such as mif1, of an AVIF file.
        brands = [content[i : i + 4].decode("latin-1") for i in (8, *range(16, 48, 4))]
        if "avif" in brands and "AVIF" not in FORMATS:
            return AVIF_REMEDY
        name = BRANDS.get(brands[0], "video")
        known = {HEIF_REMEDY: HEIF, AVIF_REMEDY: "AVIF" in FORMATS}
        return f"truncated or damaged {name.split(':')[0]}" if known.get(name) else name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "truncated or damaged WebP"
    for signature, name in SIGNATURES:
        if content.startswith(signature):
            return name
    start = content[:512].lower()
    return next((name for tag, name in MARKUP if tag in start), "not an image")


class DecodingError(ValueError):
    """An image cannot be decoded. The message is a short reason, without the image's name."""


def open_header(content: bytes | Images) -> Image.Image:
    """Read the header of an image.

    Args:
        content: Content of a file, or an array, H×W or H×W×3, uint8.

    Raises:
        DecodingError: The array is not one of an image, or the file is a camera's raw image.
        UnidentifiedImageError: The content is of no format that can be read here. There are
            further exceptions, as `decoding_errors` says.
    """
    if isinstance(content, bytes):
        image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
        tags = getattr(image, "tag_v2", {})
        thumbnail = SUB_IFDS in tags and tags.get(NEW_SUBFILE_TYPE, 0) & 1
        if thumbnail or DNG_VERSION in tags or content[8:10] == b"CR":
            raise DecodingError("raw image of a camera, of which a thumbnail alone can be read")
        return image
    if content.dtype != np.uint8 or not (content.ndim == 2 or content.shape[2:] == (3,)):
        raise DecodingError(
            f"array of shape {content.shape} and type {content.dtype}, not H×W or H×W×3 uint8"
        )
    if not content.size:
        raise DecodingError("array without pixels")
    return Image.fromarray(content)


@contextmanager
def decoding_errors(content: bytes | Images) -> Iterator[None]:
    """Turn whatever a damaged file makes Pillow raise into a `DecodingError`."""
    try:
        yield
    except (DecodingError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise DecodingError(describe(content) if isinstance(content, bytes) else "array") from error
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise DecodingError(f"decompression bomb: more than {limit:,} pixels") from error
    except Exception as error:  # Pillow's readers raise whatever a damaged file leads them to
        text = first_line(error)
        cut = isinstance(error, EOFError) or "truncated" in text.lower()
        raise DecodingError("truncated" if cut else f"damaged: {text}") from error
