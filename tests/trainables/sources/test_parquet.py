import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.trainables.image_sources import structs, write_parquet
from tests.trainables.sources.files import listed, refusal, rows, write
from trainables.sources import parquet

PAIR = structs([b"first", b"second"])


def two(path, **columns):
    return write_parquet(path, **({"image": PAIR, "label": ["a", "b"]} | columns))


@pytest.mark.parametrize(
    "files",
    [
        {"train.parquet": "train", "test.parquet": "test"},
        {f"data/train-0000{i}-of-00002.parquet": "train" for i in range(2)},
        {
            "data/train-00000-of-00001-a09b74b3ef9c3b56.parquet": "train",
            "data/validation-00000-of-00001-0123456789abcdef.parquet": "validation",
        },
        {"default/train/0000.parquet": "train", "default/test/0000.parquet": "test"},
        {f"default/partial-train/000{i}.parquet": "train" for i in range(2)},
        {
            "plain_text/train-00000-of-00001.parquet": "train",
            "plain_text/test-00000-of-00001.parquet": "test",
        },
        {"pets-train.parquet": "train", "pets-valid.parquet": "validation"},
        {"a.parquet": "train", "b.parquet": "train"},
        {"0000.parquet": "train"},
    ],
)  # fmt: skip
def test_every_layout_of_the_hub_is_found(files, tmp_path):
    write(tmp_path, "README.md")
    for i, name in enumerate(files):
        two(tmp_path / name, image=structs([f"{i}".encode(), b"x"]))
    listing = listed(tmp_path)
    assert [row[0] for row in rows(listing)] == [part for part in files.values() for _ in range(2)]
    assert [row[2] for row in rows(listing)][::2] == [str(i) for i in range(len(files))]
    assert listing.ignored == {".md": 1}


def test_splits_of_other_names_are_left_out_and_counted(tmp_path):
    for name in ("train", "test", "extra"):
        two(tmp_path / f"{name}-00000-of-00001.parquet")
    assert listed(tmp_path).ignored == {"image of split extra": 2}


REFUSED = {
    "two configurations": (
        ["one/train.parquet", "one/test.parquet", "two/train.parquet"],
        ["2 datasets or configurations", "{root}/one", "--data {root}/two"],
    ),
    "a folder and its data": (["train.parquet", "data/train.parquet"], ["--data {root}/data"]),
    "two names of a split": (
        ["train.parquet", "val.parquet", "validation.parquet"],
        ["val and validation, which are the same split"],
    ),
    "no training split": (["test.parquet"], ["name the files train*.parquet"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_parquet_files_with_two_readings_are_refused(case, tmp_path):
    names, words = REFUSED[case]
    for name in names:
        two(tmp_path / name)
    message = refusal(tmp_path)
    for word in words:
        assert word.format(root=tmp_path) in message


def test_parquet_files_and_folders_of_images_are_two_readings(tmp_path):
    two(tmp_path / "train.parquet")
    message = refusal(write(tmp_path, "cat/1.jpg", "dog/1.jpg"))
    assert "two readings, the images in train.parquet, or 2 image files, e.g. cat/1.jpg" in message


LABELS = {
    "dictionary": (pa.array(["b", "a"]).dictionary_encode(), ("a", "b"), [1, 0]),
    "string view": (pa.array(["b", "a"], pa.string_view()), ("a", "b"), [1, 0]),
    "large string": (pa.array(["b", "a"], pa.large_string()), ("a", "b"), [1, 0]),
    "booleans": (pa.array([True, False]), ("False", "True"), [1, 0]),
    "8 bits": (pa.array([1, 0], pa.uint8()), ("0", "1"), [1, 0]),
    "from 1": (pa.array([2, 1]), ("1", "2"), [1, 0]),
    "gaps": (pa.array([70, 5]), ("5", "70"), [1, 0]),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_of_any_type_are_read(case, tmp_path):
    column, classes, codes = LABELS[case]
    listing = listed(two(tmp_path / "a.parquet", label=column))
    assert listing.classes == classes
    assert listing.labels.tolist() == codes
    assert listing.labels.dtype == np.int64


def test_numbers_that_do_not_go_from_0_without_gaps_are_said(tmp_path):
    (note,) = listed(two(tmp_path / "a.parquet", label=[1, 2])).notes
    assert "2 labels from 1 to 2 have no names and are numbered from 0 to 1" in note
    assert listed(two(tmp_path / "b.parquet", label=[1, 0])).notes == ()


@pytest.mark.parametrize("label", [[-1, -1], pa.array([None, None], pa.int64())])
def test_a_split_without_labels_is_left_out_and_counted(label, tmp_path):
    names = ["cat", "dog"]
    write_parquet(tmp_path / "train.parquet", names, image=PAIR, label=[0, 1])
    write_parquet(tmp_path / "test.parquet", names, image=PAIR, label=label)
    listing = listed(tmp_path)
    assert [row[:2] for row in rows(listing)] == [("train", "cat"), ("train", "dog")]
    assert listing.ignored == {"unlabelled test": 2}


@pytest.mark.parametrize("split", ["train", "test"])
def test_single_images_without_labels_are_named(split, tmp_path):
    two(tmp_path / "train.parquet", label=[0, 1])
    bad = two(tmp_path / f"{split}.parquet", label=[1, -1])
    assert f"{bad}, row 1: label -1 is out of range" in refusal(tmp_path)


def test_all_rows_without_labels_are_counted_and_the_first_named(tmp_path):
    images = structs([b"x"] * 30)
    source = two(tmp_path / "a.parquet", image=images, label=["a"] + [None] * 29)
    message = refusal(source)
    assert "row 1 has no label" in message
    assert "29 rows" in message
    assert "row 20 and 9 more" in message


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_images_of_any_binary_type_are_read(kind, tmp_path):
    source = two(tmp_path / "a.parquet", image=pa.array([b"first", b"second"], kind))
    assert [row[2] for row in rows(listed(source))] == ["first", "second"]


IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def test_images_that_are_stored_by_path_alone_are_read_from_their_files(tmp_path):
    write(tmp_path, "data/images/1.jpg")
    paths = [{"bytes": None, "path": "images/1.jpg"}, {"bytes": b"own", "path": "images/2.jpg"}]
    two(tmp_path / "data/train.parquet", image=pa.array(paths, IMAGE))
    assert [row[2] for row in rows(listed(tmp_path))] == ["data/images/1.jpg", "own"]


def test_images_with_neither_bytes_nor_a_file_are_named(tmp_path):
    paths = [{"bytes": None, "path": "1.jpg"}, None]
    message = refusal(two(tmp_path / "a.parquet", image=pa.array(paths, IMAGE)))
    assert "2 rows: row 0 (1.jpg), row 1" in message


def test_groups_come_from_a_column_or_from_the_path_of_an_image(tmp_path):
    images = pa.array([{"bytes": b"x", "path": f"p{i}_1.jpg"} for i in (7, 8)], IMAGE)
    source = two(tmp_path / "a.parquet", image=images, patient=[3, 4])
    assert listed(source, group_column="patient").groups == ("3", "4")
    assert listed(source, group_by=r"p\d").groups == ("p7", "p8")
    assert "no column sender" in refusal(source, group_column="sender")


@pytest.fixture
def many(tmp_path, monkeypatch):
    """Two files of three row groups each, which are read in batches of a few rows."""
    monkeypatch.setattr(parquet, "BATCH_BYTES", 4096)
    contents = [np.random.default_rng(i).bytes(500) for i in range(180)]
    for i, name in enumerate(("train-0", "train-1")):
        table = pa.table({"image": structs(contents[i * 90 : i * 90 + 90]), "label": ["a"] * 90})
        pq.write_table(table, tmp_path / f"{name}.parquet", row_group_size=40)
    return listed(tmp_path).images, contents


def test_threads_read_any_rows_of_parquet_files(many):
    images, contents = many
    order = np.random.default_rng(0).permutation(180).tolist() + list(range(180))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(images.read, order)) == [contents[row] for row in order]


def test_few_batches_of_a_parquet_file_are_held(many):
    images, _ = many
    for row in range(180):
        images.read(row)
    assert len(images._batches) <= parquet.CACHED_BATCHES
    assert max(len(batch) for batch in images._batches.values()) < 20


def test_images_of_parquet_files_are_small_when_pickled(many):
    images, contents = many
    images.read(100)
    pickled = pickle.dumps(images)
    assert len(pickled) < 1000
    copy = pickle.loads(pickled)
    assert copy.read(179) == contents[179]
    assert copy.origin(91).endswith("train-1.parquet, row 1")
    assert copy.version() == images.version()


def test_names_beside_a_parquet_file_name_its_numbers(tmp_path):
    (tmp_path / "classes.txt").write_text("owl\ncat\n")
    assert listed(two(tmp_path / "a.parquet", label=[1, 0])).classes == ("owl", "cat")
