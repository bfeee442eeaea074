import struct

import numpy as np
import pytest
from PIL import Image

from tests.images import load_source
from tests.trainables.encoded_images import STORED
from tests.trainables.image_sources import (
    BLUE,
    COLOURS,
    GREEN,
    RED,
    colours,
    png,
    refusal,
    write_image,
)
from trainables.data import TEST, TRAIN, VALIDATION
from trainables.errors import InputError


def test_the_subfolders_of_a_folder_are_its_classes(tmp_path):
    write_image(tmp_path / "dog" / "1.png", Image.new("RGB", (4, 4), BLUE))
    write_image(tmp_path / "cat" / "2.PNG", Image.new("RGB", (4, 4), GREEN))
    write_image(tmp_path / "cat" / "deeper" / "1.bmp", Image.new("RGB", (4, 4), RED))
    write_image(tmp_path / ".thumbnails" / "1.png")
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    dataset = load_source(str(tmp_path), 4)
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [0, 0, 1]
    assert sorted(colours(dataset)[:2]) == sorted([RED, GREEN])
    assert colours(dataset)[2] == BLUE
    assert dataset.parts.tolist() == [TRAIN] * 3


@pytest.mark.parametrize("validation", ["val", "validation", "Validation"])
def test_train_and_test_folders_are_splits(validation, tmp_path):
    for part, colour in (("train", RED), (validation, GREEN), ("test", BLUE)):
        for name in ("cat", "dog"):
            write_image(tmp_path / part / name / "1.png", Image.new("RGB", (4, 4), colour))
    dataset = load_source(str(tmp_path), 4)
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [0, 1] * 3
    assert colours(dataset) == [RED] * 2 + [GREEN] * 2 + [BLUE] * 2
    assert dataset.parts.tolist() == [TRAIN] * 2 + [VALIDATION] * 2 + [TEST] * 2


RGB = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
GREYS = RGB[..., 0]
GREYS_AS_RGB = GREYS[..., None].repeat(3, 2)
INDEX = (np.arange(16, dtype=np.uint8) % 4).reshape(4, 4)
OPAQUE = np.full((4, 4, 1), 255, dtype=np.uint8)
INKS = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 0, 255]]] * 4, np.uint8)
PRINTED = np.array([[[255] * 3, [0, 255, 255], [255, 0, 255], [0] * 3]] * 4, np.uint8)


def with_palette():
    image = Image.fromarray(INDEX, "P")
    image.putpalette([value for colour in COLOURS for value in colour])
    return image


MODES = {
    "RGB": (Image.fromarray(RGB), RGB),
    "L": (Image.fromarray(GREYS), GREYS_AS_RGB),
    "P": (with_palette(), np.array(COLOURS, dtype=np.uint8)[INDEX]),
    "RGBA": (Image.fromarray(np.dstack([RGB, OPAQUE])), RGB),
    "LA": (Image.merge("LA", [Image.fromarray(GREYS), Image.new("L", (4, 4), 255)]), GREYS_AS_RGB),
    "1": (Image.fromarray(INDEX > 1), ((INDEX > 1) * np.uint8(255))[..., None].repeat(3, 2)),
    "I;16": (Image.fromarray(GREYS.astype(np.uint16) * 257), GREYS_AS_RGB),
    "CMYK": (Image.fromarray(INKS, "CMYK"), PRINTED),
}


@pytest.mark.parametrize("mode", MODES)
def test_images_of_any_mode_become_rgb(mode, tmp_path):
    image, expected = MODES[mode]
    assert image.mode == mode
    path = write_image(tmp_path / "a" / ("1.tiff" if mode == "CMYK" else "1.png"), image)
    assert Image.open(path).mode == mode
    np.testing.assert_array_equal(load_source(str(tmp_path), 4).images[0], expected)


def test_sixteen_bits_are_scaled_rather_than_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    write_image(tmp_path / "a" / "1.png", Image.fromarray(ramp))
    image = load_source(str(tmp_path), 16).images[0]
    assert image[..., 0].ravel().tolist() == list(range(256))


@pytest.mark.parametrize("size", [(8, 4), (4, 8), (32, 16), (2, 2)])
def test_images_of_any_shape_become_squares(size, tmp_path):
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    write_image(tmp_path / "a" / "1.png", image)
    result = load_source(str(tmp_path), 4).images
    assert result.shape == (1, 4, 4, 3)
    assert (result[0, :, 0] == RED).all()
    assert (result[0, :, 3] == BLUE).all()


def test_shrinking_an_image_averages_its_pixels(tmp_path):
    stripes = np.zeros((8, 8), dtype=np.uint8)
    stripes[:, ::2] = 200
    write_image(tmp_path / "a" / "1.png", Image.fromarray(stripes))
    assert (abs(load_source(str(tmp_path), 2).images - 100.0) < 30).all()


@pytest.mark.parametrize("orientation", STORED)
def test_images_are_turned_upright(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](RGB))
    write_image(tmp_path / "a" / "1.png", Image.fromarray(stored), exif=exif)
    np.testing.assert_array_equal(load_source(str(tmp_path), 4).images[0], RGB)


def test_a_photo_with_a_malformed_exif_tag_can_be_used(tmp_path):
    # Orientation 6, and a resolution given as text.
    tags = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack(">HHI4s", 0x011A, 2, 4, b"72")
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 2) + tags + bytes(4)
    write_image(tmp_path / "a" / "1.jpg", exif=exif)
    assert load_source(str(tmp_path), 4).images.shape == (1, 4, 4, 3)


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", png()[:-30], png()[:20]],
    ids=["empty", "text", "without end", "header alone"],
)
def test_a_corrupt_image_among_good_ones_is_named(content, tmp_path):
    for i in range(300):
        write_image(tmp_path / "cat" / f"{i:03}.png")
    bad = tmp_path / "cat" / "298.png"
    bad.write_bytes(content)
    assert refusal(tmp_path).startswith(f"{bad}: ")


def test_a_class_of_the_test_folder_that_train_has_not_is_refused(tmp_path):
    for name in ("train/cat", "train/dog", "test/cat", "test/owl"):
        write_image(tmp_path / name / "1.png")
    message = refusal(tmp_path)
    assert str(tmp_path / "test" / "owl") in message
    assert "cat, dog" in message


@pytest.mark.parametrize("splits", [["train", "valid"], ["val", "test"]])
def test_no_split_is_ignored_or_taken_for_a_class(splits, tmp_path):
    for split_name in splits:
        for name in ("cat", "dog"):
            write_image(tmp_path / split_name / name / "1.png")
    try:
        dataset = load_source(str(tmp_path), 4)
    except InputError:
        return
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.images) == 4


def test_two_folders_of_one_split_are_refused(tmp_path):
    for part in ("train", "val", "valid"):
        write_image(tmp_path / part / "cat" / "1.png")
    message = refusal(tmp_path)
    assert "val and valid, which are the same split" in message
