"""Copies of a picture, whatever it was saved as."""

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from trainables import duplicates
from trainables.arrays import DIGEST_BYTES
from trainables.duplicates import find_copies, thumbnail


def photos(count=12):
    """Different views of two photographs, 240×320."""
    flower, china = (Image.fromarray(load_sample_image(n)) for n in ("flower.jpg", "china.jpg"))
    rng = np.random.default_rng(0)
    result = []
    for i in range(count):
        x, y = rng.integers(0, 320), rng.integers(0, 180)
        result.append((flower, china)[i % 2].crop((x, y, x + 320, y + 240)))
    return result


def saved(image, kind="JPEG", scale=1.0, **options):
    buffer = io.BytesIO()
    size = round(image.width * scale), round(image.height * scale)
    image.resize(size, Image.Resampling.LANCZOS).save(buffer, kind, **options)
    return buffer.getvalue()


def copies_of(contents):
    images = [Image.open(io.BytesIO(content)).convert("RGB") for content in contents]
    numbers = {content: i for i, content in enumerate(dict.fromkeys(contents))}
    digests = np.zeros((len(contents), DIGEST_BYTES), dtype=np.uint8)
    digests[:, 0] = [numbers[content] for content in contents]
    thumbnails = np.stack([thumbnail(image) for image in images])
    usable = np.ones(len(contents), dtype=bool)
    found = find_copies(digests, thumbnails, usable, lambda row: images[row])
    pairs = [tuple(pair) for pair in found.pairs.tolist()]
    return dict(zip(pairs, found.identical.tolist(), strict=True))


def test_different_pictures_are_no_copies():
    assert copies_of([saved(image) for image in photos()]) == {}


@pytest.mark.parametrize(
    ("options", "identical"),
    [
        ({"kind": "PNG"}, False),  # of the JPEG, which lost some detail
        ({"quality": 95}, False),
        ({"quality": 50}, False),
        ({"quality": 75, "scale": 0.5}, False),
        ({"kind": "WEBP", "quality": 80, "scale": 1.5}, False),
        ({"quality": 80}, True),
    ],
)
def test_a_picture_saved_again_is_found(options, identical):
    pictures = photos()
    contents = [saved(image, quality=80) for image in pictures]
    found = copies_of([*contents, *(saved(image, **options) for image in pictures)])
    assert found == {(i, i + len(pictures)): identical for i in range(len(pictures))}


def test_equal_pixels_in_another_format_are_identical():
    (picture,) = photos(1)
    assert copies_of([saved(picture, "PNG"), saved(picture, "BMP")]) == {(0, 1): True}


def test_blank_images_are_copies_only_if_all_pixels_are_equal():
    white, grey, small = (
        saved(Image.new("RGB", size, colour), "PNG")
        for size, colour in (((50, 40), "white"), ((50, 40), "#fdfdfd"), ((20, 16), "white"))
    )
    assert copies_of([white, grey, small, saved(Image.new("RGB", (50, 40), "white"), "BMP")]) == {
        (0, 3): True
    }


def test_components_join_all_copies_of_a_picture():
    pictures = photos(3)
    contents = [saved(p, quality=q) for p in pictures for q in (90, 70, 50)]
    images = [Image.open(io.BytesIO(content)).convert("RGB") for content in contents]
    digests = np.zeros((9, DIGEST_BYTES), dtype=np.uint8)
    digests[:, 0] = range(9)
    thumbnails = np.stack([thumbnail(image) for image in images])
    found = find_copies(digests, thumbnails, np.ones(9, bool), lambda row: images[row])
    numbers = found.components(9).tolist()
    assert [len(set(numbers[i : i + 3])) for i in (0, 3, 6)] == [1, 1, 1]
    assert len(set(numbers)) == 3


def test_a_thousand_blank_images_are_not_a_million_pairs():
    contents = [saved(Image.new("RGB", (8, 8), "white"), "PNG")] * 1000
    assert len(copies_of(contents)) == 999


@pytest.mark.parametrize("n", [1, 2])
def test_without_an_image_that_can_be_decoded_there_are_no_copies(n):
    digests = np.zeros((n, DIGEST_BYTES), dtype=np.uint8)
    thumbnails = np.zeros((n, 16, 16), dtype=np.uint8)
    found = find_copies(digests, thumbnails, np.zeros(n, dtype=bool), lambda row: None)
    assert found.pairs.shape == (0, 2)
    assert found.components(n).tolist() == list(range(n))


def test_of_many_images_that_are_alike_the_closest_are_compared(monkeypatch):
    monkeypatch.setattr(duplicates, "CONFIRMED", 3)
    frame = np.asarray(Image.fromarray(load_sample_image("china.jpg")).resize((64, 64)))
    noise = np.random.default_rng(0).integers(0, 12, (40, *frame.shape))
    frames = (frame // 2 + noise).astype(np.uint8)  # a fixed camera
    frames[7] = frames[5]
    images = [Image.fromarray(each) for each in frames]
    digests = np.zeros((40, DIGEST_BYTES), dtype=np.uint8)
    digests[:, 0] = range(40)
    thumbnails = np.stack([thumbnail(image) for image in images])
    found = find_copies(digests, thumbnails, np.ones(40, bool), lambda row: images[row])
    assert len(found.pairs) <= 3
    assert (5, 7) in {tuple(pair) for pair in found.pairs[found.identical].tolist()}
