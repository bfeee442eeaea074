import pyarrow as pa
import pytest

from tests.images import load_source
from tests.trainables.image_sources import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    RED,
    colours,
    png,
    refusal,
    structs,
    write_parquet,
)
from trainables.data import TEST, TRAIN, VALIDATION, split
from trainables.errors import InputError


@pytest.mark.parametrize(
    "layout", [structs, pa.array, lambda c: pa.array(c, pa.large_binary())],
    ids=["struct", "binary", "large binary"],
)  # fmt: skip
@pytest.mark.parametrize("image_column", ["image", "img"])
def test_images_are_read_from_any_layout(layout, image_column, tmp_path):
    columns = {image_column: layout([png(c) for c in COLOURS]), "label": pa.array([0, 2, 1, 0])}
    dataset = load_source(write_parquet(tmp_path / "pets.parquet", **columns), 4)
    assert colours(dataset) == COLOURS
    assert dataset.labels.tolist() == [0, 2, 1, 0]
    assert dataset.parts.tolist() == [TRAIN] * 4


@pytest.mark.parametrize("label_column", ["label", "fine_label", "labels"])
def test_class_names_come_from_the_metadata_of_hugging_face(label_column, tmp_path):
    columns = {"img": structs([png()] * 3), label_column: pa.array([2, 0, 2])}
    source = write_parquet(tmp_path / "a.parquet", class_names=["owl", "cat", "dog"], **columns)
    dataset = load_source(source, 4)
    assert dataset.classes == ("owl", "cat", "dog")
    assert dataset.labels.tolist() == [2, 0, 2]


def test_without_metadata_integer_labels_are_their_own_names(tmp_path):
    source = write_parquet(tmp_path / "a.parquet", image=structs([png()] * 2), label=[2, 0])
    assert load_source(source, 4).classes == ("0", "2")


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_string_labels_are_classes_in_alphabetical_order(kind, tmp_path):
    labels = pa.array(["dog", "cat", "owl", "cat"], kind)
    source = write_parquet(tmp_path / "a.parquet", image=structs([png()] * 4), label=labels)
    dataset = load_source(source, 4)
    assert dataset.classes == ("cat", "dog", "owl")
    assert dataset.labels.tolist() == [1, 0, 2, 0]


@pytest.mark.parametrize("subfolder", ["", "data"])
def test_the_files_of_a_folder_are_its_splits(subfolder, tmp_path):
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
    dataset = load_source(str(tmp_path), 4)
    assert colours(dataset) == [RED, RED, GREEN, GREEN, BLUE, BLUE, GREY, GREY]
    assert dataset.labels.tolist() == [0, 0, 1, 1, 1, 1, 0, 0]
    assert dataset.parts.tolist() == [TRAIN] * 4 + [VALIDATION] * 2 + [TEST] * 2
    assert dataset.classes == ("cat", "dog")


def test_string_labels_mean_the_same_class_in_every_file(tmp_path):
    write_parquet(tmp_path / "train-0.parquet", image=structs([png()] * 2), label=["owl", "cat"])
    write_parquet(tmp_path / "train-1.parquet", image=structs([png()]), label=["dog"])
    write_parquet(tmp_path / "test.parquet", image=structs([png()]), label=["owl"])
    dataset = load_source(str(tmp_path), 4)
    assert [dataset.classes[label] for label in dataset.labels] == ["owl", "cat", "dog", "owl"]


def test_columns_can_be_named(tmp_path):
    source = write_parquet(
        tmp_path / "a.parquet",
        image=structs([png(RED)]),
        picture=structs([png(BLUE)]),
        label=[0],
        coarse=["animal"],
    )
    dataset = load_source(source, 4, image_column="picture", label_column="coarse")
    assert colours(dataset) == [BLUE]
    assert dataset.classes == ("animal",)


PNGS = structs([png(), png()])
BAD_COLUMNS = {
    "no image column": ({"photo": PNGS, "label": [0, 1]}, ["photo, label", "--image-column"]),
    "no label column": ({"image": PNGS, "kind": [0, 1]}, ["image, kind", "--label-column"]),
    "images are numbers": ({"image": [1, 2], "label": [0, 1]}, ["int64", "--image-column"]),
    "images are paths": (
        {"image": ["a.png", "b.png"], "label": [0, 1]},
        ["2 of 2 files that are not there: a.png, b.png"],
    ),
    "images are texts": ({"image": ["a", "b"], "label": [0, 1]}, ["string", "bytes"]),
    "struct without bytes": (
        {"image": [{"path": "a.png"}, {"path": "b.png"}], "label": [0, 1]},
        ["path: string", "embed the images"],
    ),
    "undecodable image": (
        {"image": structs([png(), b"no image"]), "label": [0, 1]},
        ["row 1"],
    ),
    "truncated image": (
        {"image": structs([png(), png()[:-30]]), "label": [0, 1]},
        ["row 1"],
    ),
    "empty image": ({"image": structs([b"", png()]), "label": [0, 1]}, ["row 0"]),
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
    assert "no column picture, only image, label" in message


@pytest.mark.parametrize("length", [0, 4, 100, -1, -20])
def test_a_truncated_parquet_file_is_refused_by_name(length, tmp_path):
    source = tmp_path / "train.parquet"
    write_parquet(source, image=PNGS, label=[0, 1])
    source.write_bytes(source.read_bytes()[:length])
    message = refusal(tmp_path)
    assert str(source) in message
    assert "copy it again" in message


def test_a_file_that_is_not_parquet_is_refused(tmp_path):
    source = tmp_path / "labels.parquet"
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
        split(load_source(str(tmp_path), 4))


def test_a_string_label_beyond_the_class_names_is_refused(tmp_path):
    columns = {"image": PNGS, "label": ["a", "c"]}
    assert "c" in refusal(write_parquet(tmp_path / "a.parquet", class_names=["a", "b"], **columns))
