"""Other splits of the training and validation images of a trial."""

from __future__ import annotations

import numpy as np

from trainables.arrays import Ints
from trainables.data import TrainingData
from trainables.errors import InputError


def resampled_splits(data: TrainingData, count: int) -> list[tuple[Ints, Ints]]:
    """Split the training and validation images anew, stratified by class, in the same proportion.

    Images of a group stay together. The splits depend on the labels and groups alone, so that they
    are the same for every network.

    Args:
        data: Training and validation data.
        count: Number of splits.

    Returns:
        Pairs of ascending indices into the training images followed by the validation images:
        those to fit to, and those to score on.

    Raises:
        InputError: A class has a single image, or is in fewer groups than the images are divided
            into.
    """
    labels = np.concatenate([data.train_labels, data.val_labels])
    fraction = len(data.val_labels) / len(labels)
    check_resampling(labels, data.groups, data.classes, fraction)
    rows = np.zeros(len(labels))
    if data.groups is None:
        from sklearn.model_selection import StratifiedShuffleSplit

        splitter = StratifiedShuffleSplit(count, test_size=fraction, random_state=0)
        found = splitter.split(rows, labels)
    else:
        from sklearn.model_selection import StratifiedGroupKFold

        found = (
            next(
                StratifiedGroupKFold(round(1 / fraction), shuffle=True, random_state=seed).split(
                    rows, labels, data.groups
                )
            )
            for seed in range(count)
        )
    return [(np.sort(fitted), np.sort(scored)) for fitted, scored in found]


def check_resampling(
    labels: Ints, groups: Ints | None, classes: tuple[str, ...], fraction: float
) -> None:
    """Raise InputError unless every class can be on both sides of a split.

    Args:
        labels: Labels of the images, N, int64.
        groups: Group of each image, N, int64; None if there are no groups.
        classes: Class name of each label.
        fraction: Fraction of the images to score on.
    """
    least = 2 if groups is None else round(1 / fraction)
    unit = "images" if groups is None else "groups of images"
    for label, name in enumerate(classes):
        own = labels == label
        number = int(own.sum()) if groups is None else len(np.unique(groups[own]))
        if number < least:
            raise InputError(
                f"class {name!r} has {number} {unit} outside of the test split, but needs {least} "
                f"or more to be split again: add images, or leave it out with --min-per-class"
            )
