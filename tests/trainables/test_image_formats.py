import contextlib
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.trainables.encoded_images import (
    encoded,
    png,
    reason,
)
from trainables import image_formats
from trainables.decoding import (
    IMAGE_SUFFIXES,
    KNOWN_SUFFIXES,
    DecodingError,
    header_facts,
    largest_value,
    open_rgb,
)
from trainables.image_formats import FORMATS, describe
from trainables.views import Decoding


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty file"),
        (bytes(50), "file of zeros alone"),
        (b"no image", "not an image"),
        (b"<!DOCTYPE html><html>", "HTML page"),
        (b"<?xml version='1.0'?><svg>", "SVG drawing"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript document"),
        (b"%PDF-1.7\n", "PDF document"),
        (b"PK\x03\x04" + bytes(9) + b"x", "zip archive"),
        (b"\0\0\0\x1cftypisom" + bytes(40), "video"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (np.zeros((2, 2, 4), np.uint8), "(2, 2, 4)"),
        (np.zeros((2, 2), np.float32), "float32"),
        (np.zeros((0, 2), np.uint8), "without pixels"),
    ],
)
def test_what_is_no_image_is_named(content, expected):
    assert expected in reason(content)
    with pytest.raises(DecodingError):
        header_facts(content)


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_under_another_suffix_names_the_extra_that_reads_it(brand, monkeypatch):
    monkeypatch.setattr(image_formats, "HEIF", False)
    content = b"\0\0\0\x18ftyp" + brand + bytes(4) + b"mif1heic"
    assert describe(content) == "HEIC image: pip install 'pillow-heif>=1.0'"


def test_raw_images_of_cameras_are_not_taken_for_their_thumbnails():
    content = encoded(Image.new("RGB", (8, 8)), "TIFF", tiffinfo={50706: b"\x01\x04\0\0"})
    assert "raw image of a camera" in reason(content)


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("part", [0.01, 0.1, 0.5, 0.95])
def test_truncated_files_are_refused(name, part):
    content = encoded(NOISE, name)
    text = reason(content[: int(len(content) * part)])
    assert any(word in text for word in ("truncated", "damaged", "not an image", "empty"))


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_whatever_a_damaged_file_causes_is_a_decoding_error(name):
    rng = np.random.default_rng(0)
    content = np.frombuffer(encoded(NOISE, name), np.uint8)
    refusals = 0
    for _ in range(60):
        damaged = content.copy()
        damaged[rng.integers(0, min(len(content), 400), 4)] = rng.integers(0, 256, 4)
        for read in (header_facts, largest_value, lambda data: open_rgb(data, Decoding(), 8)):
            with contextlib.suppress(DecodingError):
                read(damaged.tobytes())
                refusals -= 1
            refusals += 1
    assert refusals


def test_decompression_bombs_are_refused_before_they_are_decoded():
    assert "decompression bomb" in reason(png(8, 0, zlib.compress(b""), 60_000, 60_000))


def test_other_programs_are_not_run_for_a_file():
    assert set(FORMATS).isdisjoint({"EPS", "PDF", "WMF", "MPEG", "HDF5", "GRIB", "BUFR"})


def test_suffixes_that_can_be_read_are_known():
    assert IMAGE_SUFFIXES <= KNOWN_SUFFIXES
    assert {".jpg", ".jfif", ".pgm", ".ppm", ".pbm", ".pnm", ".tif", ".webp"} <= IMAGE_SUFFIXES
    assert {".svg", ".psd", ".nef", ".jxl", ".dng", ".heic", ".avif"} <= KNOWN_SUFFIXES
    assert IMAGE_SUFFIXES.isdisjoint({".svg", ".psd", ".nef", ".jxl", ".dng", ".eps"})
    assert (".heic" in IMAGE_SUFFIXES) == image_formats.HEIF


def test_facts_do_not_decode_the_pixels():
    content = encoded(NOISE)
    assert header_facts(content[:200]) == header_facts(content)
    assert (header_facts(content).mode, header_facts(content).format) == ("RGB", "PNG")
