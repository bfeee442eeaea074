"""Suffixes of image files: those that can be read here, and those that are known."""

from __future__ import annotations

from importlib.util import find_spec

from PIL import features

HEIF_SUFFIXES = frozenset({".heic", ".heif", ".hif"})


def _readable() -> frozenset[str]:
    """Return the suffixes that Pillow reads with what is installed."""
    suffixes = {
        ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm",
        ".ppm", ".tif", ".tiff", ".webp",
    }  # fmt: skip
    if features.check("avif"):
        suffixes.add(".avif")
    if find_spec("pillow_heif"):
        suffixes |= HEIF_SUFFIXES
    return frozenset(suffixes)


IMAGE_SUFFIXES = _readable()
"""Suffixes of files that are read as images, in lower case."""
KNOWN_SUFFIXES = (
    IMAGE_SUFFIXES
    | HEIF_SUFFIXES
    | {
        ".3fr", ".ai", ".arw", ".avif", ".cr2", ".cr3", ".dcm", ".dds", ".dng", ".eps", ".exr",
        ".hdr", ".icns", ".ico", ".j2k", ".jp2", ".jpx", ".jxl", ".jxr", ".nef", ".orf", ".pcx",
        ".pef", ".psd", ".raf", ".raw", ".rw2", ".srw", ".svg", ".tga", ".wdp", ".xcf",
    }
)  # fmt: skip
"""Suffixes of files that hold an image, readable here or not, in lower case."""


def remedy_for(suffix: str) -> str:
    """Return what makes images of a known but unreadable suffix readable."""
    if suffix in HEIF_SUFFIXES:
        return "install pillow-heif (pip install pillow-heif), or convert them to JPEG"
    if suffix == ".avif":
        return "install Pillow 11.3 or newer, or convert them to JPEG"
    return "convert them to PNG or JPEG"
