import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.trainables.encoded_images import (
    FORMAT_PARAMS,
    MAGENTA,
    WHITE,
    encoded,
    greys,
    pixels,
    png,
    reason,
    two_bytes,
)
from trainables.decoding import (
    header_facts,
    largest_value,
    white_level_of,
)

HIDDEN = np.array([[[*MAGENTA, 0]] * 8 + [[0, 0, 0, 255]] * 8] * 8, dtype=np.uint8)


@pytest.mark.parametrize("background", [WHITE, (10, 20, 30)])
@pytest.mark.parametrize("name", FORMAT_PARAMS[1:])
def test_colours_under_transparent_pixels_stay_hidden(name, background):
    options = {"quality": -1} if name == "HEIF" else {}
    result = pixels(encoded(Image.fromarray(HIDDEN), name, **options), background=background)
    tolerance = 8 if name in ("AVIF", "HEIF") else 0
    assert abs(result[:, :4].astype(int) - background).max() <= tolerance
    assert abs(result[:, 12:].astype(int)).max() <= tolerance


def test_half_transparent_pixels_are_mixed_with_the_background():
    image = Image.new("RGBA", (2, 2), (0, 0, 0, 128))
    assert set(greys(encoded(image))) == {127}


@pytest.mark.parametrize("name", ["PNG", "TIFF", "WEBP"])
def test_black_digits_on_a_transparent_ground_are_visible(name):
    alpha = Image.fromarray(np.array([[0, 255, 128, 255]], dtype=np.uint8))
    image = Image.merge("LA", [Image.new("L", (4, 1), 0), alpha])
    assert greys(encoded(image, name)) == [255, 0, 127, 0]


def palette():
    image = Image.fromarray(np.array([[0, 1, 2, 0]], dtype=np.uint8), "P")
    image.putpalette([*MAGENTA, 0, 255, 0, 0, 0, 255])
    return image


@pytest.mark.parametrize("name", ["PNG", "GIF"])
def test_a_transparent_index_of_a_palette_is_composited(name):
    content = encoded(palette(), name, transparency=0)
    assert pixels(content)[0].tolist() == [[255] * 3, [0, 255, 0], [0, 0, 255], [255] * 3]
    assert pixels(content, background=(1, 2, 3))[0, 0].tolist() == [1, 2, 3]


def test_partly_transparent_indices_of_a_palette_are_composited():
    content = encoded(palette(), transparency=bytes([0, 128, 255]))
    assert pixels(content)[0].tolist() == [[255] * 3, [127, 255, 127], [0, 0, 255], [255] * 3]


@pytest.mark.parametrize(
    ("bits", "colour_type", "rows", "transparent", "expected"),
    [
        (1, 0, b"\0\x40", [1], [0, 255, 0, 0]),
        (2, 0, b"\0\x1b", [1], [0, 255, 170, 255]),
        (4, 0, b"\0\x01\x2f", [1], [0, 255, 34, 255]),
        (8, 0, b"\0\x00\x05\x06\xff", [5], [0, 255, 6, 255]),
        (16, 0, b"\0" + two_bytes(0, 257, 514, 65535), [257], [0, 255, 2, 255]),
        (8, 2, b"\0" + bytes([0] * 3 + [5] * 3 + [6] * 3 + [255] * 3), [5] * 3, [0, 255, 6, 255]),
        (16, 2, b"\0" + two_bytes(*[0] * 3, *[1300] * 3, *[1600] * 6), [1300] * 3, [0, 255, 6, 6]),
    ],
)
def test_the_transparent_value_of_a_png_is_composited(
    bits, colour_type, rows, transparent, expected
):
    content = png(bits, colour_type, rows, 4, 1, before=[(b"tRNS", two_bytes(*transparent))])
    assert greys(content) == expected


TWELVE_BITS = np.array([[0, 2048, 4095, 16]], dtype=np.uint16)


@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_twelve_bits_in_sixteen_reach_from_black_to_white(name):
    content = encoded(Image.fromarray(TWELVE_BITS), name)
    assert largest_value(content) == 4095
    assert greys(content, white_level=4095) == [0, 128, 255, 1]
    assert header_facts(content).mode == "I;16"


@pytest.mark.parametrize("dtype", [">u2", "<i4"])
def test_big_endian_and_32_bit_greys_have_the_same_range(dtype):
    image = Image.fromarray(TWELVE_BITS.astype(dtype))
    content = encoded(image, "TIFF")
    assert largest_value(content) == 4095
    assert greys(content, white_level=4095) == [0, 128, 255, 1]


def test_sixteen_bits_are_scaled_rather_than_clipped():
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    assert greys(encoded(Image.fromarray(ramp))) == list(range(256))


def test_zero_is_white_where_a_tiff_says_so():
    content = encoded(Image.fromarray(TWELVE_BITS), "TIFF", tiffinfo={262: 0})
    assert greys(content, white_level=4095) == [255, 127, 0, 254]


@pytest.mark.parametrize(
    ("largest", "white"),
    [
        ([4095, 4000, None], 4095),
        ([4096], 8191),
        ([700, 1023], 1023),
        ([3], 255),
        ([0], 255),
        ([255, 60_000], 65_535),
        ([None, None], None),
        ([], None),
    ],
)
def test_a_dataset_has_one_white(largest, white):
    assert white_level_of(largest) == white


def test_a_pgm_states_its_own_white():
    content = b"P5 4 1 4095\n" + TWELVE_BITS.astype(">u2").tobytes()
    assert largest_value(content) is None
    assert greys(content, white_level=255) == [0, 128, 255, 1]
    assert pixels(b"P6 1 1 4095\n" + two_bytes(0, 2048, 4095)).tolist() == [[[0, 128, 255]]]


def test_images_of_eight_bits_have_no_white_level():
    assert largest_value(encoded(Image.new("L", (2, 2), 9))) is None
    assert greys(encoded(Image.new("L", (1, 1), 9)), white_level=4095) == [9]


def test_twelve_bits_of_colour_in_sixteen_are_refused_rather_than_black():
    rows = b"\0" + two_bytes(0, 2048, 4095)
    content = png(16, 2, rows, 1, 1)
    white = white_level_of([largest_value(content)])
    assert white == 4095
    assert "8 bits per channel" in reason(content, white_level=white)
    full = png(16, 2, b"\0" + two_bytes(0, 32768, 65535), 1, 1)
    assert white_level_of([largest_value(full)]) == 65535
    assert pixels(full, white_level=65535).tolist() == [[[0, 128, 255]]]


RGB = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
GREYS_AS_RGB = RGB[..., :1].repeat(3, 2)
INDEX = (np.arange(16, dtype=np.uint8) % 3).reshape(4, 4)
INKS = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 0, 255]]] * 4, np.uint8)
PRINTED = np.array([[[255] * 3, [0, 255, 255], [255, 0, 255], [0] * 3]] * 4, np.uint8)
COLOURS = np.array([MAGENTA, (0, 255, 0), (0, 0, 255)], dtype=np.uint8)


def with_palette():
    image = Image.fromarray(INDEX, "P")
    image.putpalette(COLOURS.tobytes())
    return image


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("PNG", Image.fromarray(RGB), RGB),
        ("BMP", Image.fromarray(RGB), RGB),
        ("PPM", Image.fromarray(RGB), RGB),
        ("PNG", Image.fromarray(RGB[..., 0]), GREYS_AS_RGB),
        ("PPM", Image.fromarray(RGB[..., 0]), GREYS_AS_RGB),
        ("PNG", with_palette(), COLOURS[INDEX]),
        ("GIF", with_palette(), COLOURS[INDEX]),
        ("PNG", Image.fromarray(INDEX > 1), ((INDEX > 1) * np.uint8(255))[..., None].repeat(3, 2)),
        ("PPM", Image.fromarray(INDEX > 1), ((INDEX > 1) * np.uint8(255))[..., None].repeat(3, 2)),
        ("TIFF", Image.fromarray(INKS, "CMYK"), PRINTED),
    ],
)
def test_pixels_of_any_layout_become_rgb(name, image, expected):
    np.testing.assert_array_equal(pixels(encoded(image, name)), expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encoded(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG"), (0, 255, 255)),
        (encoded(Image.new("L", (16, 16), 100), "JPEG"), (100, 100, 100)),
        # Pixels of this kind are stored as YCbCr.
        (encoded(Image.new("RGB", (16, 16), MAGENTA), "TIFF", compression="jpeg"), MAGENTA),
        (encoded(Image.new("LAB", (16, 16), (255, 128, 128)), "TIFF"), WHITE),
    ],
)
def test_colour_spaces_of_print_and_video_become_rgb(content, expected):
    assert abs(pixels(content)[8, 8].astype(int) - expected).max() <= 2


def test_embedded_profiles_are_left_alone_as_by_torchvision():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    content = encoded(Image.fromarray(RGB), icc_profile=profile)
    np.testing.assert_array_equal(pixels(content), RGB)


@pytest.mark.parametrize(
    "content",
    [encoded(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"), b"Pf 1 1\n-1.0\n\0\0\0\0"],
)
def test_floating_point_pixels_are_refused(content):
    assert reason(content) == "floating-point pixels without a fixed range"


@pytest.mark.parametrize("value", [-1000, 65_536])
def test_integers_beyond_sixteen_bits_are_refused(value):
    content = encoded(Image.fromarray(np.array([[0, value]], dtype=np.int32)), "TIFF")
    assert f"{value:,}" in reason(content)


def test_the_first_frame_of_an_animation_is_read():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ((0, 0, 255), (255, 0, 0))]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixels(content)[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 3)])
def test_arrays_are_read(shape):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    expected = array if len(shape) == 3 else array[..., None].repeat(3, 2)
    np.testing.assert_array_equal(pixels(array), expected)
    assert (header_facts(array).height, header_facts(array).width, header_facts(array).format) == (
        3,
        5,
        "array",
    )
