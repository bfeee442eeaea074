import dataclasses
import itertools

import numpy as np
import pytest

from tests.images import digits_at
from trainables.config import TrialConfig
from trainables.data import ImageRows
from trainables.errors import InputError
from trainables.subsets import nested_subset, subset_sizes
from trainables.trial_images import TrialImages

LABELS = np.repeat([0, 1, 2], [320, 160, 32])
CLASSES = ("cat", "dog", "hen")
GROUPS = np.repeat(np.arange(128), 4)
"""Four images each, all of one class."""


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_smaller_subsets_are_parts_of_larger_ones_and_have_the_classes_in_proportion(groups):
    before = np.array([], dtype=int)
    for size in (32, 64, 128, 256, 512):
        subset = nested_subset(LABELS, groups, size, seed=5)
        assert np.isin(before, subset).all()
        assert len(subset) == pytest.approx(size, abs=0 if groups is None else 2)
        counts = np.bincount(LABELS[subset], minlength=3)
        unit = 1 if groups is None else 4
        assert np.abs(counts - np.array([320, 160, 32]) * size / 512).max() <= unit
        if groups is not None:
            assert np.isin(groups, groups[subset]).sum() == len(subset)
        before = subset
    assert before.tolist() == list(range(512))


def test_seeds_draw_different_subsets():
    first, second = (nested_subset(LABELS, None, 64, seed) for seed in (1, 2))
    assert first.tolist() != second.tolist()
    assert first.tolist() == nested_subset(LABELS, None, 64, 1).tolist()


def test_a_rare_class_is_in_every_subset_of_a_learning_curve():
    labels = np.repeat([0, 1], [3000, 20])
    sizes = subset_sizes(labels, None, ("cat", "dog"))
    assert len(sizes) == 6
    assert sizes[-1] == 3020
    assert all(2.5 > b / a > 1.2 for a, b in itertools.pairwise(sizes))
    for seed in range(20):
        assert (labels[nested_subset(labels, None, sizes[0], seed)] == 1).any()


def test_sizes_are_halves_where_classes_are_large_enough():
    assert subset_sizes(np.repeat([0, 1], 1600), None, ("a", "b")) == [
        100, 200, 400, 800, 1600, 3200,
    ]  # fmt: skip


@pytest.mark.parametrize(("groups", "word"), [(None, "7 images"), (np.zeros(307), "1 groups")])
def test_a_class_with_too_few_images_is_refused(groups, word):
    labels = np.repeat([0, 1], [300, 7])
    with pytest.raises(InputError, match=f"has {word}.* 8 or more"):
        subset_sizes(labels, groups, ("cat", "dog"))


@pytest.fixture
def images(digits):
    """Digits as a trial gets them, of which 400 are to train on."""
    train, validation = np.arange(400), np.arange(400, 500)

    class Source:
        def store(self, view):
            return ImageRows(digits_at(view.size).images).store

    return TrialImages(
        Source(), digits.classes, train, digits.labels[train], validation,
        digits.labels[validation],
    )  # fmt: skip


def test_a_training_on_a_subset_takes_as_many_steps_as_one_on_all_images(images):
    config = TrialConfig(lr=1e-3, image_size=8, train_size=50, seed=3)
    data = images.training_data(config)
    assert len(data.train_images) == len(data.train_labels) == 400
    rows, counts = np.unique(data.train_images.rows, return_counts=True)
    assert rows.tolist() == images.subset(50, 3).tolist()
    assert set(counts) == {8}
    assert (data.train_labels == images.train_labels[data.train_images.rows]).all()
    assert data.val_labels is images.val_labels


def test_a_head_is_fitted_to_each_image_of_a_subset_once(images):
    config = TrialConfig(
        lr=1e-3, image_size=8, train_size=50, model="resnet18", weights="default"
    ).as_probe()
    data = images.training_data(config)
    assert data.train_images.rows.tolist() == data.chosen.tolist() == images.subset(50, 0).tolist()
    assert len(data.whole.train_images) == 400


def test_all_images_are_used_unless_a_size_is_given(images):
    config = TrialConfig(lr=1e-3, image_size=8)
    data = images.training_data(config)
    assert data.train_images.rows.tolist() == list(range(400))
    assert data.whole is None
    with pytest.raises(InputError, match="train_size is 0"):
        dataclasses.replace(config, train_size=0)
