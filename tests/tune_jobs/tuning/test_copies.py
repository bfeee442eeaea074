"""Copies of a picture within a dataset: --duplicates keep, drop and fail."""

import io

import pytest

from tests.images import pictures
from tests.tune_jobs.runs import QUIET
from trainables.errors import InputError
from tune_jobs.command_line.options import DataOptions
from tune_jobs.tuning.copies import describe_copies
from tune_jobs.tuning.data import read_images
from tune_jobs.tuning.found_images import find_images

PARTS = ("train", "val", "test")


@pytest.fixture
def folder(tmp_path):
    """Folders of three splits and two classes, with different pictures."""
    images = iter(pictures(18))
    for part in PARTS:
        for kind in ("cat", "dog"):
            (tmp_path / part / kind).mkdir(parents=True)
            for i in range(3):
                next(images).save(tmp_path / part / kind / f"{i}.png")
    return tmp_path


def copy(folder, source, *targets):
    """Save an image of the folder again, under other names."""
    from PIL import Image

    with Image.open(folder / source) as image:
        for target in targets:
            image.save(folder / target)


def read(folder, duplicates):
    options = DataOptions(data=str(folder), duplicates=duplicates)
    return read_images(find_images(options), [], None, smoke_test=False, console=QUIET)


def names(folder, data):
    """Images of each split, as paths below the folder."""
    origin = data.found.listing.images.origin
    indices = data.split.train, data.split.validation, data.split.test
    return [
        {origin(int(row)).removeprefix(f"{folder}/") for row in data.rows[own]} for own in indices
    ]


def everything(folder):
    return [
        {str(path.relative_to(folder)) for path in (folder / part).rglob("*.*")} for part in PARTS
    ]


@pytest.mark.parametrize("duplicates", ["keep", "drop", "fail"])
def test_different_pictures_all_stay_and_nothing_is_said(duplicates, folder):
    data = read(folder, duplicates)
    assert names(folder, data) == everything(folder)
    assert describe_copies(data.copies, data.dropped) == []


COPIES = [
    # Source, copies, and what goes when copies are dropped.
    ("train/cat/0.png", ["train/cat/a.png"], {"train/cat/a.png"}),
    ("train/cat/0.png", ["train/cat/a.jpg"], {"train/cat/a.jpg"}),  # saved again
    ("train/cat/0.png", ["val/cat/a.jpg"], {"train/cat/0.png"}),
    ("train/cat/0.png", ["test/cat/a.jpg"], {"train/cat/0.png"}),
    ("val/cat/0.png", ["test/cat/a.png"], {"val/cat/0.png"}),
    (
        "train/cat/0.png",
        ["train/cat/a.jpg", "val/cat/a.jpg", "test/cat/a.jpg"],
        {"train/cat/0.png", "train/cat/a.jpg", "val/cat/a.jpg"},
    ),
    # Nobody knows the right label.
    ("train/cat/0.png", ["train/dog/a.jpg"], {"train/cat/0.png", "train/dog/a.jpg"}),
    ("train/cat/0.png", ["test/dog/a.png"], {"train/cat/0.png", "test/dog/a.png"}),
    (
        "test/cat/0.png",
        ["train/cat/a.png", "val/dog/a.png"],
        {"test/cat/0.png", "train/cat/a.png", "val/dog/a.png"},
    ),
]


@pytest.mark.parametrize(("source", "targets", "gone"), COPIES)
def test_one_of_each_picture_stays_in_the_split_that_counts_most(source, targets, gone, folder):
    copy(folder, source, *targets)
    data = read(folder, "drop")
    assert names(folder, data) == [part - gone for part in everything(folder)]
    assert data.dropped == len(gone)
    assert describe_copies(data.copies, data.dropped) == [
        f"{len(gone)} images left out as copies of others (--duplicates drop)"
    ]


@pytest.mark.parametrize(("source", "targets", "gone"), COPIES)
def test_copies_are_kept_by_default_and_counted(source, targets, gone, folder):
    copy(folder, source, *targets)
    data = read(folder, "keep")
    assert names(folder, data) == everything(folder)
    assert data.copies.images == 1 + len(targets)
    (line,) = describe_copies(data.copies, data.dropped)
    for name in (source, *targets):
        assert f"{folder}/{name}" in line
    assert "--duplicates drop" in line


@pytest.mark.parametrize(
    ("copies", "across", "conflicts"),
    [
        ({"train/cat/0.png": ["train/cat/a.png"]}, 0, 0),
        ({"train/cat/0.png": ["val/cat/a.png"]}, 1, 0),
        ({"train/cat/0.png": ["val/cat/a.png", "test/cat/a.png", "test/cat/b.png"]}, 3, 0),
        ({"train/cat/0.png": ["train/dog/a.png"]}, 0, 2),
        ({"train/cat/0.png": ["test/dog/a.png"], "val/dog/1.png": ["test/dog/b.png"]}, 2, 2),
    ],
)
def test_only_copies_that_make_a_comparison_wrong_end_the_job(copies, across, conflicts, folder):
    for source, targets in copies.items():
        copy(folder, source, *targets)
    counts = read(folder, "keep").copies
    assert (counts.across, counts.conflicts) == (across, conflicts)
    if not across and not conflicts:
        assert read(folder, "fail").dropped == 0
        return
    with pytest.raises(InputError) as error:
        read(folder, "fail")
    source = next(iter(copies))
    counted = f"{across} of them test or validation", f"{conflicts} of them under different"
    for words, number in zip(counted, (across, conflicts), strict=True):
        assert (words in str(error.value)) == bool(number)
    for words in (f"{folder}/{source}", "--duplicates drop", "--duplicates keep"):  # fmt: skip
        assert words in str(error.value)


def test_a_few_pairs_are_named_and_conflicts_come_first(folder):
    for i in range(3):
        copy(folder, f"train/cat/{i}.png", f"train/cat/a{i}.png")
    copy(folder, "val/dog/0.png", "test/dog/b.png")
    copy(folder, "train/dog/0.png", "train/cat/c.png")
    (line,) = describe_copies(read(folder, "keep").copies, 0)
    pairs = line.split(": ", 1)[1].split(". --")[0].split("; ")
    assert len(pairs) == 3
    assert "c.png" in pairs[0]
    assert "b.png" in pairs[1]


def test_copies_are_counted_where_a_split_is_drawn(tmp_path):
    """Without splits of the source, any two copies may be on two sides."""
    for i, image in enumerate(pictures(20)):
        for name in (f"{i}.png", f"{i}.bmp"):
            (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
            buffer = io.BytesIO()
            image.save(buffer, name[-3:])
            (tmp_path / "ab"[i % 2] / name).write_bytes(buffer.getvalue())
    kept, dropped = read(tmp_path, "keep"), read(tmp_path, "drop")
    assert (kept.copies.images, kept.copies.conflicts) == (40, 0)
    split = kept.split.codes(40)
    pairs = kept.facts.copies.pairs
    assert kept.copies.across == (split[pairs[:, 0]] != split[pairs[:, 1]]).sum() > 0
    assert (len(dropped.dataset), dropped.dropped, dropped.copies.images) == (20, 20, 0)
