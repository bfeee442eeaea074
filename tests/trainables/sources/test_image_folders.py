import os
import pickle

import pytest

from tests.trainables.sources.files import listed, refusal, rows, write
from trainables.sources import describe
from trainables.sources.names import part_of


def expected(root, *names):
    """Rows of files below split and class folders, or below class folders alone."""
    found = []
    for name in names:
        *above, kind, _ = name.split("/")
        code = part_of(above[-1]) if above else None
        found.append((("train", "validation", "test")[code or 0], kind, name))
    return found


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("training_set", "validation_set", "test_set"),
        ("seg_train", "dev", "seg_test"),
        ("train_images", "valid", "test_images"),
        ("Training Data", "Eval", "Testing Data"),
        ("trainset", "valset", "testset"),
        ("images_train", "images_val", "images_test"),
        ("train2017", "val2017", "test2017"),
    ],
)
def test_folders_named_like_splits_are_splits(train, validation, test, tmp_path):
    names = [
        f"{part}/{kind}/{i}.jpg"
        for part in (train, validation, test)
        for kind in ("cat", "dog")
        for i in range(2)
    ]
    assert rows(listed(write(tmp_path, *names))) == expected(tmp_path, *names)


def test_images_come_in_the_order_of_folders_then_of_files(tmp_path):
    names = ["cat/a/2.jpg", "cat/a-b/1.jpg", "cat/a.jpg", "dog/1.jpg"]
    write(tmp_path, *reversed(names))
    assert [row[2] for row in rows(listed(tmp_path))] == names


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ("images/Images/", ""),
        ("data/train/train/", "data/test/test/"),
        ("archive/seg_train/seg_train/", "archive/seg_test/seg_test/"),
    ],
)
def test_the_one_way_down_is_taken(above, below, tmp_path):
    names = [f"{folder}{kind}/1.jpg" for folder in filter(None, (above, below)) for kind in "ab"]
    listing = listed(write(tmp_path, *names))
    assert listing.classes == ("a", "b")
    assert [row[2] for row in rows(listing)] == names
    assert {row[0] for row in rows(listing)} == ({"train", "test"} if below else {"train"})


TWO_READINGS = {
    "wrapper and samples": (
        ["dataset/cat/1.jpg", "dataset/dog/1.jpg", "sample_images/1.jpg"],
        ["dataset/", "sample_images/", "the classes are the folders in dataset", "two readings"],
    ),
    "sites that repeat the classes": (
        ["a/cat/1.jpg", "a/dog/1.jpg", "b/cat/1.jpg", "b/dog/1.jpg"],
        ["a/", "b/", "cat", "two readings"],
    ),
    "splits below classes": (
        ["cat/train/1.jpg", "cat/test/1.jpg", "dog/train/1.jpg", "dog/test/1.jpg"],
        ["cat/", "dog/", "train", "two readings"],
    ),
    "a folder besides the splits": (
        ["train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "extra/cat/1.jpg"],
        ["train", "test", "extra/", "two readings"],
    ),
    "classes and a flat test": (
        ["cat/1.jpg", "dog/1.jpg", "test/1.jpg"],
        ["cat/", "test", "splits without class folders", "two readings"],
    ),
    "a flat train and test besides a class": (
        ["cat/1.jpg", "train/1.jpg", "val/1.jpg"],
        ["cat/", "train, val", "two readings"],
    ),
}


@pytest.mark.parametrize("case", TWO_READINGS)
def test_a_folder_with_two_readings_is_refused_with_both(case, tmp_path):
    names, words = TWO_READINGS[case]
    message = refusal(write(tmp_path, *names))
    for word in (str(tmp_path), *words):
        assert word in message


@pytest.mark.parametrize(
    "names",
    [
        ["train/1.jpg", "test/1.jpg"],
        ["train/1.jpg"],
        ["1.jpg", "2.jpg"],
        ["train/images/1.jpg", "test/images/2.jpg"],
    ],
)
def test_images_without_class_folders_are_refused(names, tmp_path):
    assert "holds no class folders" in refusal(write(tmp_path, *names))


def test_images_without_class_folders_beside_a_table_are_refused_with_the_table(tmp_path):
    message = refusal(write(tmp_path, "train/1.jpg", "test/1.jpg", "train.csv"))
    assert f"--data {tmp_path}/train.csv" in message


@pytest.mark.parametrize("test", ["test", "test/images", "test/test", "test/unknown"])
def test_a_test_folder_without_classes_is_left_out_and_counted(test, tmp_path):
    write(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", f"{test}/1.jpg", f"{test}/2.jpg")
    listing = listed(tmp_path)
    assert [row[2] for row in rows(listing)] == ["train/cat/1.jpg", "train/dog/1.jpg"]
    assert listing.ignored == {"unlabelled test": 2}
    assert describe(listing) == ["2 images in 2 classes; 2 files ignored: 2 unlabelled test"]


def test_a_folder_of_images_to_predict_is_left_out_and_counted(tmp_path):
    write(tmp_path, "seg_train/a/1.jpg", "seg_train/b/1.jpg", "seg_pred/seg_pred/1.jpg")
    assert listed(tmp_path).ignored == {"unlabelled seg_pred": 1}


def test_splits_without_training_images_are_refused(tmp_path):
    write(tmp_path, "train/1.jpg", "test/cat/1.jpg", "test/dog/1.jpg")
    assert "no class folders in train" in refusal(tmp_path)


def test_a_class_may_be_called_train(tmp_path):
    listing = listed(write(tmp_path, "bus/1.jpg", "car/1.jpg", "train/1.jpg"))
    assert listing.classes == ("bus", "car", "train")
    assert "train is read as a class" in listing.notes[0]


JUNK = {
    ".DS_Store": ".DS_Store",
    "cat/.DS_Store": ".DS_Store",
    "cat/Thumbs.db": "Thumbs.db",
    "cat/._1.jpg": "._*",
    "cat/.ipynb_checkpoints/1-checkpoint.jpg": ".ipynb_checkpoints/",
    "__MACOSX/cat/._1.jpg": "__MACOSX/",
    "dog/@eaDir/1.jpg/thumb.jpg": "@eaDir/",
    "cat/.hidden.jpg": "hidden",
    ".git/objects/1.jpg": "hidden",
    "cat/notes.txt": ".txt",
    "README": "without suffix (README)",
}


def test_files_that_are_no_images_are_ignored_and_counted_by_kind(tmp_path):
    listing = listed(write(tmp_path, "cat/1.jpg", "dog/1.jpg", *JUNK))
    assert [row[2] for row in rows(listing)] == ["cat/1.jpg", "dog/1.jpg"]
    assert listing.ignored == {k: list(JUNK.values()).count(k) for k in JUNK.values()}


@pytest.mark.parametrize("suffix", [".jfif", ".pgm", ".PNG", ".webp", ".tif", ".jpe", ".pnm"])
def test_files_of_every_readable_format_are_images(suffix, tmp_path):
    assert len(listed(write(tmp_path, f"cat/1{suffix}", "dog/1.jpg")).images) == 2


@pytest.mark.parametrize("suffix", [".jxl", ".nef", ".psd"])
def test_images_that_cannot_be_read_here_are_counted_with_the_remedy(suffix, tmp_path):
    listing = listed(write(tmp_path, "cat/1.jpg", f"cat/2{suffix}", "dog/1.jpg"))
    assert listing.ignored == {suffix: 1}
    assert f"1 {suffix} images in 1 folders are left out" in listing.notes[0]
    assert "convert them" in listing.notes[0]


@pytest.mark.parametrize("part", ["", "train/", "test/"])
def test_a_class_that_would_lose_all_its_images_is_refused(part, tmp_path):
    names = [f"{p}{kind}/1.jpg" for p in {part, "train/" if part else ""} for kind in ("a", "b")]
    write(tmp_path, *names, f"{part}owl/1.jxl", f"{part}owl/2.jxl")
    if part == "test/":
        write(tmp_path, "train/owl/1.jpg")
    message = refusal(tmp_path)
    assert f"none of the 2 images of {tmp_path}/{part}owl can be read (.jxl)" in message


def test_an_empty_class_folder_is_refused_by_name(tmp_path):
    write(tmp_path, "cat/1.jpg", "dog/1.jpg", "owl/", "emu/notes.txt")
    message = refusal(tmp_path)
    assert f"{tmp_path}/emu, {tmp_path}/owl hold no images" in message
    assert "--min-per-class 1" in message


def test_small_and_empty_classes_are_left_out_on_request_and_said(tmp_path):
    write(tmp_path, "train/cat/1.jpg", "train/cat/2.jpg", "train/dog/1.jpg", "train/dog/2.jpg")
    write(tmp_path, "train/ant/1.jpg", "train/owl/", "test/ant/1.jpg", "test/emu/1.jpg")
    write(tmp_path, "test/dog/1.jpg")
    listing = listed(tmp_path, min_per_class=2)
    assert listing.classes == ("cat", "dog")
    assert [row[2] for row in rows(listing)] == [
        "train/cat/1.jpg", "train/cat/2.jpg", "train/dog/1.jpg", "train/dog/2.jpg",
        "test/dog/1.jpg",
    ]  # fmt: skip
    assert "ant (1), owl (0), emu (0)" in listing.notes[-1]
    assert listing.ignored == {"image of classes with fewer than 2 training images": 3}


def test_a_split_that_lacks_a_class_is_said(tmp_path):
    write(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg")
    assert listed(tmp_path).notes == ("test has no images of dog",)


def test_images_outside_the_class_folders_are_counted(tmp_path):
    write(tmp_path, "1.jpg", "train/2.jpg", "train/cat/1.jpg", "train/dog/1.jpg")
    assert listed(tmp_path).ignored == {"image outside the class folders": 2}


def test_links_to_folders_above_do_not_hang_and_other_links_are_followed(tmp_path):
    write(tmp_path, "data/cat/1.jpg", "elsewhere/2.jpg")
    (tmp_path / "data/cat/loop").symlink_to(tmp_path / "data")
    (tmp_path / "data/dog").symlink_to(tmp_path / "elsewhere")
    os.link(tmp_path / "data/cat/1.jpg", tmp_path / "elsewhere/1.jpg")
    assert [row[1:] for row in rows(listed(tmp_path / "data"))] == [
        ("cat", "data/cat/1.jpg"), ("dog", "data/cat/1.jpg"), ("dog", "elsewhere/2.jpg"),
    ]  # fmt: skip


def test_a_broken_link_is_an_image_that_cannot_be_read(tmp_path):
    write(tmp_path, "cat/1.jpg", "dog/1.jpg")
    (tmp_path / "cat/2.jpg").symlink_to("nothing.jpg")
    listing = listed(tmp_path)
    with pytest.raises(FileNotFoundError):
        listing.images.read(1)


def test_the_version_changes_with_a_file_and_survives_pickling(tmp_path):
    write(tmp_path, "cat/1.jpg", "dog/1.jpg")
    first, again = listed(tmp_path).images, listed(tmp_path).images
    copy = pickle.loads(pickle.dumps(first))
    assert first.version() == again.version() == copy.version()
    assert copy.read(1) == b"dog/1.jpg"
    assert copy.origin(1) == str(tmp_path / "dog/1.jpg")
    (tmp_path / "dog/1.jpg").write_bytes(b"longer than before")
    assert listed(tmp_path).images.version() != first.version()


def test_folders_in_class_folders_are_parts_of_the_class_and_said(tmp_path):
    names = ["cat/p1/1.jpg", "cat/p2/1.jpg", "dog/p3/1.jpg", "dog/p4/1.jpg"]
    listing = listed(write(tmp_path, *names), group_by=r"/(p\d)/")
    assert listing.classes == ("cat", "dog")
    assert listing.groups == ("p1", "p2", "p3", "p4")
    assert "cat, dog" in listing.notes[0]


@pytest.mark.parametrize("option", ["image_column", "label_column", "group_column"])
def test_columns_of_a_folder_are_refused(option, tmp_path):
    write(tmp_path, "cat/1.jpg", "dog/1.jpg")
    assert "has no columns" in refusal(tmp_path, **{option: "kind"})


def test_a_file_that_would_fill_the_memory_is_refused(tmp_path):
    write(tmp_path, "cat/1.jpg", "dog/1.jpg")
    os.truncate(tmp_path / "dog" / "1.jpg", 2**40)  # of holes alone, which take no space
    assert "dog/1.jpg has 1,099,511,627,776 bytes" in refusal(tmp_path)
