import pytest

from tests.trainables.sources.files import listed, refusal, write
from trainables.sources import describe

NAMES = ["cat/p1_1.jpg", "cat/p1_2.jpg", "cat/p22_1.jpg", "dog/p3_1.jpg"]


@pytest.mark.parametrize(
    ("expression", "groups"),
    [
        (r"p\d+", ("p1", "p1", "p22", "p3")),
        (r"/p(\d+)_", ("1", "1", "22", "3")),
        (r"^\w+", ("cat", "cat", "cat", "dog")),
    ],
)
def test_groups_are_found_in_the_paths_below_the_source(expression, groups, tmp_path):
    assert listed(write(tmp_path / "p9", *NAMES), group_by=expression).groups == groups


def test_paths_without_a_group_are_named_and_counted(tmp_path):
    message = refusal(write(tmp_path, *NAMES), group_by=r"p1_\d")
    assert "all but 2 of 4 images: cat/p22_1.jpg, dog/p3_1.jpg" in message


def test_an_optional_group_that_takes_no_part_is_no_group(tmp_path):
    assert "all but 1 of 4" in refusal(write(tmp_path, *NAMES), group_by=r"cat/(p\d)|dog")


def test_images_without_a_value_in_the_group_column_are_named(tmp_path):
    write(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "a.csv").write_text("file,label,who\n1.jpg,a,x\n2.jpg,b,\n")
    message = refusal(tmp_path / "a.csv", group_column="who")
    assert f"1 images have no value in --group-column who: {tmp_path}/2.jpg" in message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"group_by": "("}, "no regular expression"),
        ({"group_by": "a{99999999999}"}, "no regular expression"),
        ({"group_by": "a", "group_column": "b"}, "leave one of them out"),
        ({"min_per_class": 0}, "must be 1 or more"),
        ({"min_per_class": 4}, "the largest has 3"),
    ],
)
def test_contradictory_options_are_refused(options, words, tmp_path):
    assert words in refusal(write(tmp_path, *NAMES), **options)


def test_classes_that_are_left_out_take_their_groups_along(tmp_path):
    listing = listed(write(tmp_path, *NAMES), group_by=r"p\d+", min_per_class=2)
    assert listing.classes == ("cat",)
    assert listing.groups == ("p1", "p1", "p22")
    assert listing.images.read(2) == b"cat/p22_1.jpg"


def test_a_source_is_described_in_a_line_and_its_notes(tmp_path):
    names = [f"train/{kind}/{i}.jpg" for kind in ("cat", "dog") for i in range(600)]
    write(tmp_path, *names, "val/cat/1.jpg", "test/cat/1.jpg", "test/dog/1.jpg")
    write(tmp_path, ".DS_Store", "train/.DS_Store", "README.md")
    assert describe(listed(tmp_path)) == [
        "train 1,200 in 2 classes, validation 1, test 2; 3 files ignored: 2 .DS_Store, 1 .md",
        "validation has no images of dog",
    ]
