import json
import os

import pytest

from tests.trainables.image_sources import write_parquet
from tests.trainables.sources.files import listed, refusal, rows, write


def table(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path, "images/1.jpg", "images/2.jpg", "images/3.jpg")


ROWS = [("images/1.jpg", "dog"), ("images/2.jpg", "cat"), ("images/3.jpg", "dog")]


def as_text(separator, header=("file_name", "label")):
    return "\n".join(separator.join(row) for row in [header, *ROWS])


TABLES = {
    "a.csv": as_text(","),
    "b.csv": "\ufeff" + as_text(";") + "\r\n",
    "c.tsv": as_text("\t"),
    "d.csv": as_text(",", ("Path", "Class")),
    "e.csv": as_text(",", ("anything", "target")),
    "f.jsonl": "\n".join(json.dumps({"image": path, "label": label}) for path, label in ROWS),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_paths_are_read(name, folder):
    listing = listed(table(folder / name, TABLES[name]))
    assert rows(listing) == [("train", label, path) for path, label in ROWS]
    assert listing.classes == ("cat", "dog")


def test_parquet_files_of_paths_are_read(folder):
    paths, _ = zip(*ROWS, strict=True)
    source = write_parquet(folder / "a.parquet", ["cat", "dog"], file=paths, label=[1, 0, 1])
    assert rows(listed(source)) == [("train", label, path) for path, label in ROWS]


def test_columns_are_named_and_paths_may_be_absolute(folder):
    lines = [f"{folder / path},{label},{i}" for i, (path, label) in enumerate(ROWS)]
    source = table(folder / "deep" / "er" / "a.csv", "\n".join(["file,kind,patient", *lines]))
    options = {"image_column": "file", "label_column": "kind", "group_column": "patient"}
    listing = listed(source, **options)
    assert rows(listing) == [("train", label, path) for path, label in ROWS]
    assert listing.groups == ("0", "1", "2")


def test_paths_may_lead_out_of_the_folder_of_the_table(folder):
    source = table(folder / "labels" / "a.csv", "file,label\n../images/1.jpg,a\n")
    assert rows(listed(source)) == [("train", "a", "images/1.jpg")]


def with_splits(folder, *splits, column="split"):
    lines = [f"{p},{label},{s}" for (p, label), s in zip(ROWS, splits, strict=True)]
    return table(folder / "a.csv", "\n".join([f"file,label,{column}", *lines]))


@pytest.mark.parametrize("column", ["split", "Subset", "set", "partition"])
def test_a_column_of_splits_is_read(column, folder):
    listing = listed(with_splits(folder, "train", "VAL", "Testing", column=column))
    assert [row[0] for row in rows(listing)] == ["train", "validation", "test"]


def test_a_column_of_other_values_is_not_read_as_splits_and_said(folder):
    listing = listed(with_splits(folder, "0", "1", "2", column="fold"))
    assert [row[0] for row in rows(listing)] == ["train"] * 3
    assert listing.notes == ("column fold is not read as splits: 0, 1, 2",)


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        (("train", "extra", "test"), ["'extra'", "which are none"]),
        (("train", "", "test"), ["'None'", "which are none"]),
        (("val", "val", "test"), ["no train"]),
        (("train", "val", "valid"), ["val and valid, which are the same split"]),
    ],
)
def test_a_column_that_is_partly_of_splits_is_refused(splits, words, folder):
    message = refusal(with_splits(folder, *splits))
    for word in words:
        assert word in message


def test_the_folders_of_the_paths_are_splits(tmp_path):
    write(tmp_path, "train/1.jpg", "test/2.jpg")
    listing = listed(table(tmp_path / "a.csv", "file,label\ntrain/1.jpg,a\ntest/2.jpg,b\n"))
    assert [row[0] for row in rows(listing)] == ["train", "test"]
    assert "test, train of the paths are the splits" in listing.notes[0]


def test_numbers_are_classes_in_numerical_order(folder):
    source = table(folder / "a.csv", "file,label\nimages/1.jpg,10\nimages/2.jpg,9\n")
    listing = listed(source)
    assert listing.classes == ("9", "10")
    assert listing.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("numbers", "text"),
    [((1, 0), "cat\ndog\n"), ((2, 1), "cat\ndog\n"), ((2, 1), "2 dog\n1 cat\n")],
)
def test_names_beside_a_table_name_its_numbers(numbers, text, folder):
    (folder / "classes.txt").write_text(text)
    lines = [f"images/{i}.jpg,{number}" for i, number in enumerate(numbers, 1)]
    listing = listed(table(folder / "a.csv", "\n".join(["file,label", *lines])))
    assert [row[1] for row in rows(listing)] == ["dog", "cat"]


@pytest.mark.parametrize("text", ["cat\ndog\n", f"{'9' * 5000} cat\ndog\n"])
def test_a_number_without_a_name_is_refused(text, folder):
    (folder / "classes.txt").write_text(text)
    assert "label 2 is out of range" in refusal(
        table(folder / "a.csv", "file,label\nimages/1.jpg,0\nimages/2.jpg,2\n")
    )


def test_of_two_label_columns_that_agree_the_names_are_taken(folder):
    text = "file,label,class_name\nimages/1.jpg,0,dog\nimages/2.jpg,1,cat\n"
    assert listed(table(folder / "a.csv", text)).classes == ("cat", "dog")


BAD = {
    "no path column": ("width,label\n3,a\n", ["no column of image files", "width, label"]),
    "no header": ("images/1.jpg,dog\nimages/2.jpg,cat\n", ["header line missing"]),
    "no label column": ("file,kind\nimages/1.jpg,a\n", ["file, kind", "--label-column"]),
    "two path columns": (
        "photo,mask,label\nimages/1.jpg,images/2.jpg,a\n",
        ["two readings", "photo and mask", "--image-column"],
    ),
    "two label columns": (
        "file,label,category\nimages/1.jpg,a,x\nimages/2.jpg,a,y\n",
        ["two readings", "label and category"],
    ),
    "a short line": ("file,label\nimages/1.jpg\n", ["line 2 has 1 values"]),
    "an empty path": ("file,label\nimages/1.jpg,a\n,b\n", ["1 rows have no file: row 1"]),
    "an empty label": ("file,label\nimages/1.jpg,a\nimages/2.jpg,\n", ["row 1 has no label"]),
    "two columns of a name": ("file,label,label\nimages/1.jpg,a,b\n", ["two columns of one name"]),
    "nothing": ("", ["is empty"]),
    "no rows": ("file,label\n", ["holds no image"]),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_is_refused_by_name(case, folder):
    text, words = BAD[case]
    source = table(folder / "a.csv", text)
    message = refusal(source)
    for word in (str(source), *words):
        assert word in message


@pytest.mark.parametrize("line", ["{", "[1]", "3", "[" * 100_000])
def test_a_line_that_is_no_json_object_is_refused(line, folder):
    assert "line 1 is no JSON" in refusal(table(folder / "a.jsonl", line))


def test_text_of_another_encoding_is_refused(folder):
    (folder / "a.csv").write_bytes("file,label\nimages/1.jpg,Käse\n".encode("latin-1"))
    assert "save it as UTF-8" in refusal(folder / "a.csv")


def test_missing_files_are_all_counted_and_the_first_named(folder):
    lines = [f"images/{i}.jpg,a" for i in range(1, 33)]
    message = refusal(table(folder / "a.csv", "\n".join(["file,label", *lines])))
    assert "29 of 32 files that are not there: images/4.jpg" in message
    assert "images/23.jpg and 9 more" in message
    assert f"relative to {folder} or absolute" in message


def test_metadata_beside_images_labels_them(tmp_path):
    write(tmp_path, "1.jpg", "deep/2.jpg", "3.jpg", ".DS_Store")
    table(tmp_path / "metadata.csv", "file_name,label\n1.jpg,a\ndeep/2.jpg,b\n")
    listing = listed(tmp_path)
    assert rows(listing) == [("train", "a", "1.jpg"), ("train", "b", "deep/2.jpg")]
    assert listing.ignored == {"image not in metadata.csv": 1, ".DS_Store": 1}


def test_metadata_in_the_folder_of_each_split_labels_its_images(tmp_path):
    names = ["train/1.jpg", "validation/1.jpg", "test/1.jpg"]
    write(tmp_path, *names)
    for part, label in (("test", "a"), ("train", "a"), ("validation", "b")):
        line = json.dumps({"file_name": "1.jpg", "label": label})
        table(tmp_path / part / "metadata.jsonl", line)
    assert rows(listed(tmp_path)) == [
        ("train", "a", names[0]), ("validation", "b", names[1]), ("test", "a", names[2]),
    ]  # fmt: skip


def test_metadata_without_labels_leaves_the_classes_to_the_folders(tmp_path):
    write(tmp_path, "cat/1.jpg", "dog/1.jpg")
    table(tmp_path / "metadata.csv", "file_name,text\ncat/1.jpg,a grey cat\n")
    listing = listed(tmp_path)
    assert listing.classes == ("cat", "dog")
    assert listing.ignored == {".csv": 1}


def test_a_folder_of_a_table_alone_is_refused_with_the_table(tmp_path):
    table(tmp_path / "labels.csv", "file,label\n/elsewhere/1.jpg,a\n")
    assert f"--data {tmp_path}/labels.csv" in refusal(tmp_path)


def test_the_version_changes_with_the_table_and_with_an_image(folder):
    source = table(folder / "a.csv", TABLES["a.csv"])
    first = listed(source).images.version()
    assert listed(source).images.version() == first
    (folder / "images/2.jpg").write_bytes(b"other content")
    second = listed(source).images.version()
    table(source, TABLES["a.csv"] + "\n")
    assert len({first, second, listed(source).images.version()}) == 3


def test_a_named_file_that_would_fill_the_memory_is_refused(tmp_path):
    write(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "labels.csv").write_text("path,label\n1.jpg,cat\n2.jpg,dog\n")
    os.truncate(tmp_path / "2.jpg", 2**40)  # of holes alone, which take no space
    assert "2.jpg has 1,099,511,627,776 bytes" in refusal(tmp_path / "labels.csv")


@pytest.mark.parametrize("label", ["--3", "٣", "9" * 20, "9" * 5000, "-", "1_0"])
def test_labels_that_are_no_whole_numbers_are_names(label, tmp_path):
    write(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "labels.csv").write_text(f"path,label\n1.jpg,3\n2.jpg,{label}\n")
    assert set(listed(tmp_path / "labels.csv").classes) == {"3", label}
    lines = [f'{{"path": "{i}.jpg", "label": {number}}}' for i, number in ((1, 1), (2, "9" * 20))]
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    assert set(listed(tmp_path / "labels.jsonl").classes) == {"1", "9" * 20}
