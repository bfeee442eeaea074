import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from sklearn.datasets import load_sample_image
from torchvision.transforms import CenterCrop, InterpolationMode
from torchvision.transforms import Resize as TorchResize

from trainables import image_formats
from trainables.decoding import (
    IMAGE_SUFFIXES,
    KNOWN_SUFFIXES,
    DecodingError,
    facts,
    largest_value,
    open_rgb,
    render,
    white_level_of,
)
from trainables.image_formats import FORMATS, describe
from trainables.views import Decoding, View

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


def photograph(name="china.jpg", size=None):
    image = Image.fromarray(load_sample_image(name))
    return image if size is None else image.resize(size, Image.Resampling.LANCZOS)


# --- Turned upright -------------------------------------------------------------------------------

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
    assert (facts(content).height, facts(content).width) == QUARTERS.shape[:2]


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
    assert (facts(content).height, facts(content).width) == QUARTERS.shape[:2]


def test_the_orientation_is_found_behind_the_pixels_of_a_png():
    exif = Image.Exif()
    exif[0x0112] = 6
    late = [(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))]
    content = png(8, 0, b"\0\x01\x02", 2, 1, after=late)
    assert pixels(content).shape == (2, 1, 3)
    assert (facts(content).height, facts(content).width) == (2, 1)


def test_a_photograph_with_malformed_exif_tags_can_be_used():
    # Orientation 6, and a resolution given as text.
    tags = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack(">HHI4s", 0x011A, 2, 4, b"72")
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 2) + tags + bytes(4)
    assert pixels(encoded(Image.new("RGB", (8, 4)), "JPEG", exif=exif)).shape == (8, 4, 3)
    junk = encoded(Image.new("RGB", (8, 4)), "JPEG", exif=b"Exif\0\0no tags at all")
    assert pixels(junk).shape == (4, 8, 3)


# --- Transparent pixels ---------------------------------------------------------------------------

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


def two_bytes(*values):
    return b"".join(struct.pack(">H", value) for value in values)


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


# --- Sixteen bits, and other layouts of pixels ----------------------------------------------------

TWELVE_BITS = np.array([[0, 2048, 4095, 16]], dtype=np.uint16)


@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_twelve_bits_in_sixteen_reach_from_black_to_white(name):
    content = encoded(Image.fromarray(TWELVE_BITS), name)
    assert largest_value(content) == 4095
    assert greys(content, white_level=4095) == [0, 128, 255, 1]
    assert facts(content).mode == "I;16"


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
    assert (facts(array).height, facts(array).width, facts(array).format) == (3, 5, "array")


# --- What cannot be read --------------------------------------------------------------------------


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
        facts(content)


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_under_another_suffix_names_the_extra_that_reads_it(brand, monkeypatch):
    monkeypatch.setattr(image_formats, "HEIF", False)
    content = b"\0\0\0\x18ftyp" + brand + bytes(4) + b"mif1heic"
    assert describe(content) == "HEIC image: pip install 'bakeoff[heif]'"


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
        for read in (facts, largest_value, lambda data: open_rgb(data, Decoding(), 8)):
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
    assert facts(content[:200]) == facts(content)
    assert (facts(content).mode, facts(content).format) == ("RGB", "PNG")


# --- Squares --------------------------------------------------------------------------------------

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
