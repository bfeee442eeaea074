import struct

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image
from torchvision.transforms import CenterCrop, InterpolationMode
from torchvision.transforms import Resize as TorchResize

from tests.trainables.encoded_images import FORMAT_PARAMS, MAGENTA, STORED, encoded, pixels, png
from trainables.decoding import (
    header_facts,
    open_rgb,
    render,
)
from trainables.image_formats import FORMATS
from trainables.views import Decoding, View

# Four quarters of different colours, large enough for the blocks of lossy formats.
QUARTERS = np.zeros((32, 64, 3), dtype=np.uint8)
QUARTERS[:16, 32:], QUARTERS[16:, :32], QUARTERS[16:, 32:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def with_orientation(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return Image.fromarray(np.ascontiguousarray(STORED[orientation](QUARTERS))), exif


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize(
    "name",
    [param for param in FORMAT_PARAMS if param.values[0] not in ("JPEG2000", "HEIF")],
)
def test_images_of_each_format_are_turned_upright_once(name, orientation):
    image, exif = with_orientation(orientation)
    content = encoded(image, name, exif=exif)
    result = pixels(content)
    assert result.shape == QUARTERS.shape
    assert abs(result[8::16, 16::32].astype(int) - QUARTERS[8::16, 16::32]).max() < 8
    assert (header_facts(content).height, header_facts(content).width) == QUARTERS.shape[:2]


@pytest.mark.parametrize("orientation", STORED)
def test_a_jpeg_that_is_reduced_while_decoded_is_upright_too(orientation):
    image, exif = with_orientation(orientation)
    upright = open_rgb(encoded(image, "JPEG", exif=exif), Decoding(), 4)
    assert upright.size == (16, 8)
    result = render(upright, View(4, "squash"), Decoding())
    assert abs(result[::3, ::3].astype(int) - QUARTERS[8::16, 16::32]).max() < 12


@pytest.mark.skipif("HEIF" not in FORMATS, reason="no pillow-heif here")
@pytest.mark.parametrize("orientation", STORED)
def test_heic_is_turned_upright_once(orientation):
    image, exif = with_orientation(orientation)
    content = encoded(image, "HEIF", exif=exif.tobytes(), quality=90)
    result = pixels(content)
    assert result.shape == QUARTERS.shape
    assert abs(result[8::16, 16::32].astype(int) - QUARTERS[8::16, 16::32]).max() < 24
    assert (header_facts(content).height, header_facts(content).width) == QUARTERS.shape[:2]


def test_the_orientation_is_found_behind_the_pixels_of_a_png():
    exif = Image.Exif()
    exif[0x0112] = 6
    late = [(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))]
    content = png(8, 0, b"\0\x01\x02", 2, 1, after=late)
    assert pixels(content).shape == (2, 1, 3)
    assert (header_facts(content).height, header_facts(content).width) == (2, 1)


def test_a_photograph_with_malformed_exif_tags_can_be_used():
    # Orientation 6, and a resolution given as text.
    tags = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack(">HHI4s", 0x011A, 2, 4, b"72")
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 2) + tags + bytes(4)
    assert pixels(encoded(Image.new("RGB", (8, 4)), "JPEG", exif=exif)).shape == (8, 4, 3)
    junk = encoded(Image.new("RGB", (8, 4)), "JPEG", exif=b"Exif\0\0no tags at all")
    assert pixels(junk).shape == (4, 8, 3)


def photograph(name="china.jpg", size=None):
    image = Image.fromarray(load_sample_image(name))
    return image if size is None else image.resize(size, Image.Resampling.LANCZOS)


INTERPOLATIONS = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}
SIZES = [(640, 427), (427, 640), (400, 533), (257, 256), (90, 60), (300, 1000), (224, 224)]


def of_torchvision(image, view):
    interpolation = INTERPOLATIONS[view.interpolation]
    if view.resize == "squash":
        return np.asarray(TorchResize((view.size, view.size), interpolation)(image))
    resized = TorchResize(view.shorter_side, interpolation)(image)
    return np.asarray(CenterCrop(view.size)(resized))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("target", [(224, 256), (224, None), (64, 73)])
def test_crops_equal_those_of_torchvision(size, interpolation, target):
    view = View(target[0], "crop", target[1], interpolation)
    image = photograph(size=size)
    content = encoded(image)
    result = render(open_rgb(content, Decoding(), view.shorter_side), view, Decoding())
    difference = abs(result.astype(int) - of_torchvision(image, view))
    # Pillow rounds and clips twice, in an order that depends on the part that is resized.
    assert difference.mean() < 0.25
    assert (difference > 1).mean() <= (0.005 if interpolation == "bicubic" else 0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_squashed_images_equal_those_of_torchvision(size, interpolation):
    view = View(96, "squash", None, interpolation)
    image = photograph(size=size)
    result = render(open_rgb(encoded(image), Decoding()), view, Decoding())
    np.testing.assert_array_equal(result, of_torchvision(image, view))


@pytest.mark.parametrize("size", [(1067, 801), (801, 1067), (2048, 1365)])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("target", [(224, 256), (64, 72), (32, 32)])
@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
def test_reduced_jpegs_look_like_whole_ones(name, size, interpolation, target):
    view = View(target[0], "crop", target[1], interpolation)
    content = encoded(photograph(name, size), "JPEG", quality=90)
    whole = open_rgb(content, Decoding())
    reduced = open_rgb(content, Decoding(), view.shorter_side)
    assert min(reduced.size) >= view.shorter_side * 2
    result = render(reduced, view, Decoding()).astype(int)
    assert abs(result - render(whole, view, Decoding())).mean() < 0.8


def test_large_jpegs_are_decoded_at_a_fraction_of_their_size():
    content = encoded(Image.new("RGB", (1600, 1201)), "JPEG")
    sides = {side: open_rgb(content, Decoding(), side).size for side in (64, 75, 256, 400, 700)}
    assert sides == {
        64: (200, 151),
        75: (200, 151),
        256: (800, 601),
        400: (1600, 1201),
        700: (1600, 1201),
    }
    assert open_rgb(content, Decoding()).size == (1600, 1201)


def test_letterboxes_centre_the_whole_image_on_the_background():
    how = Decoding(background=(1, 2, 3))
    image = open_rgb(encoded(Image.new("RGB", (40, 20), MAGENTA)), how)
    result = render(image, View(10, "letterbox"), how)
    assert (result[:2] == how.background).all()
    assert (result[2:7] == MAGENTA).all()
    assert (result[7:] == how.background).all()
    tall = render(image.rotate(90, expand=True), View(10, "letterbox"), how)
    np.testing.assert_array_equal(tall, result.transpose(1, 0, 2))


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1), (3, 2)])
@pytest.mark.parametrize("resize", ["crop", "letterbox", "squash"])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_images_of_any_shape_become_squares(size, resize, interpolation):
    image = open_rgb(encoded(Image.new("RGB", size, MAGENTA)), Decoding())
    result = render(
        image, View(224, resize, 256 if resize == "crop" else None, interpolation), Decoding()
    )
    assert result.shape == (224, 224, 3)
    assert result.dtype == np.uint8
    # A letterbox may hold the image in one row or column.
    assert (result[111:113, 111:113] == MAGENTA).all(-1).any()
