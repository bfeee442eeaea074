import io
import json
import pickle
import re
import struct
from urllib.error import URLError

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from torchvision import datasets

from trainables.data import TEST, TRAIN, VALIDATION, split
from trainables.errors import InputError
from trainables.sources import load_dataset

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)
COLOURS = [RED, GREEN, BLUE, GREY]


def png(colour=RED):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


def structs(contents):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([None if c is None else {"bytes": c, "path": "a.png"} for c in contents], kind)


def write_parquet(path, class_names=None, **columns):
    table = pa.table(columns)
    if class_names:
        feature = {"names": class_names, "_type": "ClassLabel"}
        features = {name: feature for name in columns if "label" in name}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        table = table.replace_schema_metadata(metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return str(path)


def write_image(path, image=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or Image.new("RGB", (4, 4), RED)).save(path, **options)
    return path


def colours(dataset):
    """The colour of each image, which must be of one colour."""
    assert (dataset.images == dataset.images[:, :1, :1]).all()
    return [tuple(image[0, 0].tolist()) for image in dataset.images]


def refusal(source, **options):
    with pytest.raises(InputError) as error:
        load_dataset(str(source), 4, **options)
    return str(error.value)


# Named sources


def test_digits_are_those_of_scikit_learn():
    dataset, bunch = load_dataset("digits", 8), load_digits()
    assert dataset.images.shape == (1797, 8, 8, 3)
    np.testing.assert_allclose(dataset.images / 255, bunch.images[..., None] / 16 + [0] * 3,
                               atol=0.5 / 255)  # fmt: skip
    assert dataset.labels.tolist() == bunch.target.tolist()
    assert dataset.classes == tuple("0123456789")
    assert (dataset.parts == TRAIN).all()


@pytest.mark.parametrize(("size", "expected"), [(None, 16), (32, 32)])
def test_digits_are_made_larger(size, expected):
    assert load_dataset("digits", size).images.shape == (1797, expected, expected, 3)


def folder_of_owls(path, greys=(1, 2, 3)):
    for i, grey in enumerate(greys):
        (path / "owl").mkdir(parents=True, exist_ok=True)
        (path / "owl" / f"{i}.png").write_bytes(png((grey,) * 3))
    return str(path)


def parquet_of_owls(path, greys=(1, 2, 3)):
    path.mkdir()
    images = structs([png((grey,) * 3) for grey in greys])
    return write_parquet(path / "owls.parquet", image=images, label=["owl"] * 3)


@pytest.mark.parametrize("make", [folder_of_owls, parquet_of_owls, lambda *_: "digits"])
def test_images_are_known_again_at_another_size(make, tmp_path):
    source = make(tmp_path / "owls")
    small, large = load_dataset(source, 4), load_dataset(source, 6)
    assert small.fingerprint != large.fingerprint
    assert small.source_fingerprint == large.source_fingerprint


@pytest.mark.parametrize("make", [folder_of_owls, parquet_of_owls])
def test_other_images_are_told_apart_whatever_their_source(make, tmp_path):
    first = load_dataset(make(tmp_path / "a"), 4).source_fingerprint
    assert load_dataset(make(tmp_path / "b", (1, 2, 4)), 4).source_fingerprint != first
    assert load_dataset(make(tmp_path / "c", (2, 1, 3)), 4).source_fingerprint != first


def test_a_folder_and_a_parquet_file_of_the_same_files_are_the_same_images(tmp_path):
    folder, file = folder_of_owls(tmp_path / "a"), parquet_of_owls(tmp_path / "b")
    assert load_dataset(folder, 4).source_fingerprint == load_dataset(file, 6).source_fingerprint


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The empty cache folder, without a network."""

    def download(*args, **kwargs):
        raise URLError("no network here")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", download)
    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", download)
    return tmp_path / "bakeoff"


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "fashion_mnist"])
def test_without_files_or_network_the_message_says_where_to_put_them(name, cache):
    with pytest.raises(InputError) as error:
        load_dataset(name)
    assert name in str(error.value)
    assert str(cache) in str(error.value)
    assert "no network here" in str(error.value)


@pytest.mark.parametrize(
    ("name", "cls", "label_key", "meta_key"),
    [
        ("cifar10", datasets.CIFAR10, "labels", "label_names"),
        ("cifar100", datasets.CIFAR100, "fine_labels", "fine_label_names"),
    ],
)
def test_cifar_is_read_from_the_cache(name, cls, label_key, meta_key, cache, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 32, 32), dtype=np.uint8)
    files = {
        "first": {"data": images[:2].reshape(2, -1), label_key: [1, 0]},
        "second": {"data": images[2:3].reshape(1, -1), label_key: [1]},
        "last": {"data": images[3:].reshape(2, -1), label_key: [0, 1]},
        cls.meta["filename"]: {meta_key: ["cat", "dog"]},
    }
    folder = cache / cls.base_folder
    folder.mkdir(parents=True)
    for file, content in files.items():
        (folder / file).write_bytes(pickle.dumps(content))
    monkeypatch.setattr(cls, "train_list", [["first", None], ["second", None]])
    monkeypatch.setattr(cls, "test_list", [["last", None]])
    monkeypatch.setitem(cls.meta, "md5", None)
    dataset = load_dataset(name)
    np.testing.assert_array_equal(dataset.images, images.transpose(0, 2, 3, 1))
    assert dataset.labels.tolist() == [1, 0, 1, 0, 1]
    assert dataset.classes == ("cat", "dog")
    assert dataset.parts.tolist() == [TRAIN, TRAIN, TRAIN, TEST, TEST]


def test_fashion_mnist_is_read_from_the_cache_as_rgb(cache):
    folder = cache / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for part, greys in (("train", [10, 20, 30]), ("t10k", [40, 50])):
        n = len(greys)
        pixels = np.repeat(np.array(greys, dtype=np.uint8), 28 * 28).tobytes()
        header = struct.pack(">4I", 0x803, n, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + pixels)
        labels = struct.pack(">2I", 0x801, n) + bytes(range(n))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    dataset = load_dataset("fashion_mnist")
    assert dataset.images.shape == (5, 32, 32, 3)
    assert colours(dataset) == [(grey,) * 3 for grey in (10, 20, 30, 40, 50)]
    assert dataset.labels.tolist() == [0, 1, 2, 0, 1]
    assert dataset.classes[0] == "T-shirt/top"
    assert len(dataset.classes) == 10
    assert dataset.parts.tolist() == [TRAIN] * 3 + [TEST] * 2


# Parquet files


@pytest.mark.parametrize(
    "layout", [structs, pa.array, lambda c: pa.array(c, pa.large_binary())],
    ids=["struct", "binary", "large binary"],
)  # fmt: skip
@pytest.mark.parametrize("image_column", ["image", "img"])
def test_images_are_read_from_any_layout(layout, image_column, tmp_path):
    columns = {image_column: layout([png(c) for c in COLOURS]), "label": pa.array([0, 2, 1, 0])}
    dataset = load_dataset(write_parquet(tmp_path / "pets.parquet", **columns), 4)
    assert colours(dataset) == COLOURS
    assert dataset.labels.tolist() == [0, 2, 1, 0]
    assert dataset.parts.tolist() == [TRAIN] * 4


@pytest.mark.parametrize("label_column", ["label", "fine_label", "labels"])
def test_class_names_come_from_the_metadata_of_hugging_face(label_column, tmp_path):
    columns = {"img": structs([png()] * 3), label_column: pa.array([2, 0, 2])}
    source = write_parquet(tmp_path / "a.parquet", class_names=["owl", "cat", "dog"], **columns)
    dataset = load_dataset(source, 4)
    assert dataset.classes == ("owl", "cat", "dog")
    assert dataset.labels.tolist() == [2, 0, 2]


def test_without_metadata_integer_labels_are_their_own_names(tmp_path):
    source = write_parquet(tmp_path / "a.parquet", image=structs([png()] * 2), label=[2, 0])
    assert load_dataset(source, 4).classes == ("0", "1", "2")


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_string_labels_are_classes_in_alphabetical_order(kind, tmp_path):
    labels = pa.array(["dog", "cat", "owl", "cat"], kind)
    source = write_parquet(tmp_path / "a.parquet", image=structs([png()] * 4), label=labels)
    dataset = load_dataset(source, 4)
    assert dataset.classes == ("cat", "dog", "owl")
    assert dataset.labels.tolist() == [1, 0, 2, 0]


@pytest.mark.parametrize("subfolder", ["", "data"])
def test_the_files_of_a_folder_are_its_parts(subfolder, tmp_path):
    names = ["cat", "dog"]
    for file, colour, label in (
        ("train-00001-of-00002.parquet", GREEN, 1),
        ("train-00000-of-00002.parquet", RED, 0),
        ("validation-00000-of-00001.parquet", BLUE, 1),
        ("test-00000-of-00001.parquet", GREY, 0),
    ):
        columns = {"img": structs([png(colour)] * 2), "label": [label] * 2}
        write_parquet(tmp_path / subfolder / file, class_names=names, **columns)
    (tmp_path / "README.md").write_text("a data set")
    dataset = load_dataset(str(tmp_path), 4)
    assert colours(dataset) == [RED, RED, GREEN, GREEN, BLUE, BLUE, GREY, GREY]
    assert dataset.labels.tolist() == [0, 0, 1, 1, 1, 1, 0, 0]
    assert dataset.parts.tolist() == [TRAIN] * 4 + [VALIDATION] * 2 + [TEST] * 2
    assert dataset.classes == ("cat", "dog")


def test_string_labels_mean_the_same_class_in_every_file(tmp_path):
    write_parquet(tmp_path / "train-0.parquet", image=structs([png()] * 2), label=["owl", "cat"])
    write_parquet(tmp_path / "train-1.parquet", image=structs([png()]), label=["dog"])
    write_parquet(tmp_path / "test.parquet", image=structs([png()]), label=["owl"])
    dataset = load_dataset(str(tmp_path), 4)
    assert [dataset.classes[label] for label in dataset.labels] == ["owl", "cat", "dog", "owl"]


def test_columns_can_be_named(tmp_path):
    source = write_parquet(
        tmp_path / "a.parquet",
        image=structs([png(RED)]),
        picture=structs([png(BLUE)]),
        label=[0],
        coarse=["animal"],
    )
    dataset = load_dataset(source, 4, image_column="picture", label_column="coarse")
    assert colours(dataset) == [BLUE]
    assert dataset.classes == ("animal",)


PNGS = structs([png(), png()])
BAD_COLUMNS = {
    "no image column": ({"photo": PNGS, "label": [0, 1]}, ["photo, label", "--image-column"]),
    "no label column": ({"image": PNGS, "kind": [0, 1]}, ["image, kind", "--label-column"]),
    "images are numbers": ({"image": [1, 2], "label": [0, 1]}, ["int64", "--image-column"]),
    "images are paths": ({"image": ["a.png", "b.png"], "label": [0, 1]}, ["string", "bytes"]),
    "struct without bytes": (
        {"image": [{"path": "a.png"}, {"path": "b.png"}], "label": [0, 1]},
        ["path: string", "embed the images"],
    ),
    "undecodable image": (
        {"image": structs([png(), b"no image"]), "label": [0, 1]},
        ["row 1", "replace the image or remove it"],
    ),
    "truncated image": (
        {"image": structs([png(), png()[:-30]]), "label": [0, 1]},
        ["row 1", "replace the image or remove it"],
    ),
    "empty image": ({"image": structs([b"", png()]), "label": [0, 1]}, ["row 0", "remove it"]),
    "null image": (
        {"image": structs([png(), None]), "label": [0, 1]},
        ["row 1 has no image", "remove the row"],
    ),
    "image by path only": (
        {
            "image": pa.array(
                [{"bytes": None, "path": "a.png"}] * 2,
                pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
            ),
            "label": [0, 1],
        },
        ["row 0 has no image"],
    ),
    "null label": ({"image": PNGS, "label": [0, None]}, ["row 1 has no label", "remove the row"]),
    "null string label": ({"image": PNGS, "label": ["a", None]}, ["row 1 has no label"]),
    "only null labels": (
        {"image": PNGS, "label": pa.array([None, None], pa.null())},
        ["row 0 has no label"],
    ),
    "negative label": ({"image": PNGS, "label": [1, -1]}, ["row 1", "label -1", "from 0 to 1"]),
    "float label": ({"image": PNGS, "label": [0.0, 1.0]}, ["double", "integers or strings"]),
    "list label": ({"image": PNGS, "label": [[0], [1]]}, ["list", "--label-column"]),
    "no rows": ({"image": structs([]), "label": pa.array([], pa.int64())}, ["holds no image"]),
}


@pytest.mark.parametrize("case", BAD_COLUMNS)
def test_a_bad_parquet_file_is_refused_by_name(case, tmp_path):
    columns, words = BAD_COLUMNS[case]
    source = write_parquet(tmp_path / "pets.parquet", **columns)
    message = refusal(source)
    for word in (source, *words):
        assert word in message


def test_a_label_beyond_the_class_names_is_refused(tmp_path):
    columns = {"image": PNGS, "label": [1, 2]}
    message = refusal(write_parquet(tmp_path / "a.parquet", class_names=["a", "b"], **columns))
    assert "row 1: label 2" in message
    assert "from 0 to 1" in message


def test_the_bad_row_of_a_later_file_is_named_with_its_file(tmp_path):
    write_parquet(tmp_path / "train-0.parquet", image=PNGS, label=[0, 1])
    bad = write_parquet(
        tmp_path / "train-1.parquet", image=structs([png(), b"no image"]), label=[0, 1]
    )
    assert f"{bad}, row 1" in refusal(tmp_path)


@pytest.mark.parametrize("column", ["image_column", "label_column"])
def test_a_named_column_that_is_not_there_is_refused(column, tmp_path):
    source = write_parquet(tmp_path / "a.parquet", image=PNGS, label=[0, 1])
    message = refusal(source, **{column: "picture"})
    assert "no column picture but image, label" in message


@pytest.mark.parametrize("length", [0, 4, 100, -1, -20])
def test_a_truncated_parquet_file_is_refused_by_name(length, tmp_path):
    source = tmp_path / "train.parquet"
    write_parquet(source, image=PNGS, label=[0, 1])
    source.write_bytes(source.read_bytes()[:length])
    message = refusal(tmp_path)
    assert str(source) in message
    assert "copy it again" in message


def test_a_file_that_is_not_parquet_is_refused(tmp_path):
    source = tmp_path / "labels.csv"
    source.write_text("image,label\na.png,0\n" * 10)
    assert "cannot be read as parquet" in refusal(source)


def test_a_folder_with_test_files_alone_is_refused(tmp_path):
    write_parquet(tmp_path / "test-0.parquet", image=PNGS, label=[0, 1])
    message = refusal(tmp_path)
    assert "test-0.parquet" in message
    assert "name the files train*.parquet" in message


@pytest.mark.parametrize(("train", "test"), [(["a", "b"], ["c"]), ([0, 1], [2])])
def test_a_class_that_only_the_test_file_has_is_refused(train, test, tmp_path):
    write_parquet(tmp_path / "train.parquet", image=structs([png()] * 40), label=train * 20)
    write_parquet(tmp_path / "test.parquet", image=structs([png()]), label=test)
    with pytest.raises(InputError, match=f"class '{test[0]}'"):
        split(load_dataset(str(tmp_path), 4))


def test_a_string_label_beyond_the_class_names_is_refused(tmp_path):
    columns = {"image": PNGS, "label": ["a", "c"]}
    assert "c" in refusal(write_parquet(tmp_path / "a.parquet", class_names=["a", "b"], **columns))


# Folders of images


def test_the_subfolders_of_a_folder_are_its_classes(tmp_path):
    write_image(tmp_path / "dog" / "1.png", Image.new("RGB", (4, 4), BLUE))
    write_image(tmp_path / "cat" / "2.PNG", Image.new("RGB", (4, 4), GREEN))
    write_image(tmp_path / "cat" / "deeper" / "1.bmp", Image.new("RGB", (4, 4), RED))
    write_image(tmp_path / ".thumbnails" / "1.png")
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    dataset = load_dataset(str(tmp_path), 4)
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [0, 0, 1]
    assert sorted(colours(dataset)[:2]) == sorted([RED, GREEN])
    assert colours(dataset)[2] == BLUE
    assert dataset.parts.tolist() == [TRAIN] * 3


@pytest.mark.parametrize("validation", ["val", "validation", "Validation"])
def test_train_and_test_folders_are_parts(validation, tmp_path):
    for part, colour in (("train", RED), (validation, GREEN), ("test", BLUE)):
        for name in ("cat", "dog"):
            write_image(tmp_path / part / name / "1.png", Image.new("RGB", (4, 4), colour))
    dataset = load_dataset(str(tmp_path), 4)
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
    np.testing.assert_array_equal(load_dataset(str(tmp_path), 4).images[0], expected)


def test_sixteen_bits_are_scaled_rather_than_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    write_image(tmp_path / "a" / "1.png", Image.fromarray(ramp))
    image = load_dataset(str(tmp_path), 16).images[0]
    assert image[..., 0].ravel().tolist() == list(range(256))


@pytest.mark.parametrize("size", [(8, 4), (4, 8), (32, 16), (2, 2)])
def test_images_of_any_shape_become_squares(size, tmp_path):
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    write_image(tmp_path / "a" / "1.png", image)
    result = load_dataset(str(tmp_path), 4).images
    assert result.shape == (1, 4, 4, 3)
    assert (result[0, :, 0] == RED).all()
    assert (result[0, :, 3] == BLUE).all()


def test_shrinking_an_image_averages_its_pixels(tmp_path):
    stripes = np.zeros((8, 8), dtype=np.uint8)
    stripes[:, ::2] = 200
    write_image(tmp_path / "a" / "1.png", Image.fromarray(stripes))
    assert (abs(load_dataset(str(tmp_path), 2).images - 100.0) < 30).all()


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


@pytest.mark.parametrize("orientation", STORED)
def test_images_are_turned_upright(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](RGB))
    write_image(tmp_path / "a" / "1.png", Image.fromarray(stored), exif=exif)
    np.testing.assert_array_equal(load_dataset(str(tmp_path), 4).images[0], RGB)


def test_a_photo_with_a_malformed_exif_tag_can_be_used(tmp_path):
    # Orientation 6, and a resolution given as text.
    tags = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack(">HHI4s", 0x011A, 2, 4, b"72")
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", 2) + tags + bytes(4)
    write_image(tmp_path / "a" / "1.jpg", exif=exif)
    assert load_dataset(str(tmp_path), 4).images.shape == (1, 4, 4, 3)


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
    message = refusal(tmp_path)
    assert f"{bad} cannot be decoded" in message
    assert "remove it" in message


def test_a_class_of_the_test_folder_that_train_has_not_is_refused(tmp_path):
    for name in ("train/cat", "train/dog", "test/cat", "test/owl"):
        write_image(tmp_path / name / "1.png")
    message = refusal(tmp_path)
    assert str(tmp_path / "test" / "owl") in message
    assert "cat, dog" in message


@pytest.mark.parametrize("parts", [["train", "valid"], ["val", "test"]])
def test_no_part_is_passed_over_or_taken_for_a_class(parts, tmp_path):
    for part in parts:
        for name in ("cat", "dog"):
            write_image(tmp_path / part / name / "1.png")
    try:
        dataset = load_dataset(str(tmp_path), 4)
    except InputError:
        return
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.images) == 4


def test_two_folders_of_one_part_are_refused(tmp_path):
    for part in ("train", "val", "valid"):
        write_image(tmp_path / part / "cat" / "1.png")
    message = refusal(tmp_path)
    assert "val and valid, which are one part" in message


# Sources that are none


@pytest.mark.parametrize("source", ["cifar-10", "Digits", "no/such/folder", "s3://bucket/x"])
def test_an_unknown_source_is_refused_with_those_there_are(source):
    message = refusal(source)
    assert repr(source) in message
    assert "digits, cifar10" in message


@pytest.mark.parametrize("inside", [None, "1.png", "cat/notes.txt"])
def test_a_folder_without_classes_of_images_is_refused(inside, tmp_path):
    if inside:
        (tmp_path / inside).parent.mkdir(exist_ok=True)
        (tmp_path / inside).write_bytes(png())
    message = refusal(tmp_path)
    assert str(tmp_path) in message
    assert "a subfolder of images" in message


@pytest.mark.parametrize("size", [0, -8])
def test_an_image_size_below_one_is_refused(size):
    with pytest.raises(InputError, match=re.escape(f"image size {size} must be")):
        load_dataset("digits", size)
