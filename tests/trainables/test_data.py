import dataclasses

import numpy as np
import pytest

from trainables import image_rows
from trainables.data import (
    TEST,
    TRAIN,
    VALIDATION,
    ImageDataset,
    ImageRows,
    Split,
    image_digests,
    pixel_statistics,
    split,
)
from trainables.errors import InputError


def make_dataset(train=(50, 30, 20), validation=(0, 0, 0), test=(0, 0, 0), name="photos"):
    """Random images in random order, with a count per class for each split of the source."""
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.repeat(np.arange(len(c)), c) for c in (train, validation, test)])
    parts = np.repeat([TRAIN, VALIDATION, TEST], [sum(c) for c in (train, validation, test)])
    order = rng.permutation(len(labels))
    images = rng.integers(0, 256, (len(labels), 4, 4, 3), dtype=np.uint8)
    return ImageDataset(
        name=name,
        labels=labels[order].astype(np.int64),
        classes=tuple("abc"[: len(train)]),
        parts=parts[order].astype(np.int8),
        digests=image_digests(images),
    )


def own(dataset, code):
    return np.flatnonzero(dataset.parts == code).tolist()


def class_counts(dataset, index):
    return tuple(np.bincount(dataset.labels[index], minlength=len(dataset.classes)))


# Splits


@pytest.mark.parametrize(
    ("fractions", "train", "validation", "test"),
    [
        (None, (30, 18, 12), (10, 6, 4), (10, 6, 4)),
        ((0.6, 0.2, 0.2), (30, 18, 12), (10, 6, 4), (10, 6, 4)),
        ((0.7, 0.2, 0.1), (35, 21, 14), (10, 6, 4), (5, 3, 2)),
        ((0.1, 0.1, 0.8), (5, 3, 2), (5, 3, 2), (40, 24, 16)),
    ],
)
def test_each_class_is_split_in_the_fractions_asked_for(fractions, train, validation, test):
    dataset = make_dataset()
    parts = split(dataset, fractions)
    assert class_counts(dataset, parts.train) == train
    assert class_counts(dataset, parts.validation) == validation
    assert class_counts(dataset, parts.test) == test


@pytest.mark.parametrize("fractions", [None, (0.6, 0.2, 0.2), (0.34, 0.33, 0.33)])
@pytest.mark.parametrize("counts", [(50, 30, 20), (7, 101, 13), (5, 5, 5)])
def test_splits_are_disjoint_ascending_and_cover_all_images(fractions, counts):
    parts = split(make_dataset(counts), fractions)
    together = np.concatenate([parts.train, parts.validation, parts.test])
    assert sorted(together) == list(range(sum(counts)))
    for part in (parts.train, parts.validation, parts.test):
        assert (np.diff(part) > 0).all()


@pytest.mark.parametrize("counts", [(5, 5, 5), (5, 400, 6), (5, 6, 7), (9, 1000, 5)])
def test_each_split_gets_an_image_of_each_class(counts):
    dataset = make_dataset(counts)
    for seed in range(5):
        parts = split(dataset, seed=seed)
        for part in (parts.train, parts.validation, parts.test):
            assert min(class_counts(dataset, part)) > 0


def test_the_split_follows_the_seed():
    first, again, other = (split(make_dataset(), seed=seed) for seed in (1, 1, 2))
    for part in ("train", "validation", "test"):
        assert getattr(first, part).tolist() == getattr(again, part).tolist()
        assert getattr(first, part).tolist() != getattr(other, part).tolist()


def test_the_fingerprint_of_a_split_covers_validation_and_test():
    first, again, other = (split(make_dataset(), seed=seed) for seed in (1, 1, 2))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    fewer = Split(first.train[:5], first.validation, first.test)
    assert fewer.fingerprint == first.fingerprint
    assert Split(first.train, first.test, first.validation).fingerprint != first.fingerprint
    moved = Split(first.train, first.validation[:-1], np.r_[first.validation[-1:], first.test])
    assert moved.fingerprint != first.fingerprint


def test_the_sources_test_split_is_the_test_split():
    dataset = make_dataset(test=(9, 8, 7))
    parts = split(dataset)
    assert parts.test.tolist() == own(dataset, TEST)
    assert class_counts(dataset, parts.validation) == (10, 6, 4)
    assert sorted([*parts.train, *parts.validation]) == own(dataset, TRAIN)


def test_the_sources_validation_split_is_the_validation_split():
    dataset = make_dataset(validation=(9, 8, 7))
    parts = split(dataset)
    assert parts.validation.tolist() == own(dataset, VALIDATION)
    assert class_counts(dataset, parts.test) == (10, 6, 4)
    assert sorted([*parts.train, *parts.test]) == own(dataset, TRAIN)


def test_a_source_with_all_three_splits_is_kept():
    dataset = make_dataset(train=(1, 1, 1), validation=(2, 2, 2), test=(3, 3, 3))
    parts = split(dataset)
    assert parts.train.tolist() == own(dataset, TRAIN)
    assert parts.validation.tolist() == own(dataset, VALIDATION)
    assert parts.test.tolist() == own(dataset, TEST)


def test_fractions_split_the_sources_training_split_alone():
    dataset = make_dataset(validation=(9, 8, 7), test=(9, 8, 7))
    parts = split(dataset, (0.6, 0.2, 0.2))
    assert sorted([*parts.train, *parts.validation, *parts.test]) == own(dataset, TRAIN)
    assert class_counts(dataset, parts.test) == (10, 6, 4)


@pytest.mark.parametrize(
    ("counts", "fractions", "message"),
    [
        ((20,), None, "photos has one class, 'a', .* subfolders"),
        ((20, 4, 20), None, "'b' of photos has 4 training images .* needs 5"),
        ((20, 20, 1), None, "'c' of photos has 1 training images .* needs 5"),
        ((0, 20, 20), None, "'a' of photos has 0 training images .* needs 5"),
        ((20, 20, 9), (0.8, 0.1, 0.1), "'c' of photos has 9 training images .* needs 1[01] "),
    ],
)
def test_a_class_too_small_to_split_is_refused_by_name(counts, fractions, message):
    with pytest.raises(InputError, match=message):
        split(make_dataset(counts), fractions)


def test_the_least_number_of_images_does_not_suffer_from_rounding():
    assert len(split(make_dataset((5, 5, 5)), (0.2, 0.4, 0.4)).train) == 3


def test_a_class_of_the_test_split_that_cannot_be_learned_is_refused_by_name():
    with pytest.raises(InputError, match="class 'c'"):
        split(make_dataset(train=(20, 20, 0), test=(3, 3, 3)))


def test_a_dataset_without_images_is_refused():
    with pytest.raises(InputError, match="photos holds no image"):
        make_dataset(train=(0, 0, 0))


# Groups


def grouped(dataset, images_per_group):
    """The same dataset, with consecutive images of a class in groups."""
    order = np.argsort(dataset.labels, kind="stable")
    groups = np.empty(len(dataset), dtype=object)
    for i, row in enumerate(order):
        groups[row] = f"patient {dataset.labels[row]}-{i // images_per_group}"
    return dataclasses.replace(dataset, groups=tuple(groups))


@pytest.mark.parametrize("fractions", [None, (0.6, 0.2, 0.2), (0.7, 0.15, 0.15)])
@pytest.mark.parametrize("seed", range(3))
def test_a_group_is_in_one_split(fractions, seed):
    dataset = grouped(make_dataset((200, 120, 80)), 2)
    parts = split(dataset, fractions, seed)
    groups = [{dataset.groups[i] for i in index} for index in (parts.train, parts.validation,
                                                               parts.test)]  # fmt: skip
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]
    together = np.concatenate([parts.train, parts.validation, parts.test])
    assert sorted(together) == list(range(400))
    expected = fractions or (0.6, 0.2, 0.2)
    for index, fraction in zip((parts.train, parts.validation, parts.test), expected, strict=True):
        assert len(index) / 400 == pytest.approx(fraction, abs=0.05)
        assert min(class_counts(dataset, index)) > 0


def test_a_class_of_too_few_groups_is_refused_by_name():
    with pytest.raises(InputError, match="'a' of photos has images of 4 groups, but needs 5"):
        split(grouped(make_dataset((200, 120, 80)), 60))


# The fingerprint


def changed(array, index, value):
    array = array.copy()
    assert (array[index] != value).any()
    array[index] = value
    return array


def test_equal_content_has_an_equal_fingerprint_whatever_its_name():
    assert make_dataset(name="here").fingerprint == make_dataset(name="there").fingerprint


@pytest.mark.parametrize(
    "change",
    [
        lambda d: {"digests": changed(d.digests, (-1, -1), d.digests[-1, -1] ^ 1)},
        lambda d: {"labels": changed(d.labels, 0, (d.labels[0] + 1) % 3)},
        lambda d: {"parts": changed(d.parts, 0, TEST)},
        lambda d: {"classes": ("a", "b", "d")},
        lambda d: {"classes": ("a", "b", "c", "d")},
        lambda d: {"digests": d.digests[::-1]},
    ],
    ids=["image", "label", "split", "class name", "more classes", "image order"],
)
def test_other_content_has_another_fingerprint(change):
    dataset = make_dataset()
    assert dataclasses.replace(dataset, **change(dataset)).fingerprint != dataset.fingerprint


# Training data of a trial


def test_pixel_statistics_equal_numpys(monkeypatch):
    monkeypatch.setattr(image_rows, "BLOCK_BYTES", 20_000)
    rng = np.random.default_rng(0)
    # More images than one block, and channels that differ.
    images = rng.integers(0, [50, 150, 256], (5000, 3, 2, 3)).astype(np.uint8)
    mean, std = pixel_statistics(ImageRows(images))
    assert mean == pytest.approx((images / 255).mean((0, 1, 2)), rel=1e-9)
    assert std == pytest.approx((images / 255).std((0, 1, 2)), rel=1e-9)


def test_a_constant_channel_can_be_divided_by_its_std():
    images = np.zeros((3, 2, 2, 3), dtype=np.uint8)
    images[..., 1] = 77
    mean, std = pixel_statistics(ImageRows(images))
    assert mean == pytest.approx((0, 77 / 255, 0))
    assert std == (1, 1, 1)
