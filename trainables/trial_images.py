"""Images of a run as its trials see them: training and validation, without the test set."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from trainables.arrays import Ints
from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.image_cache import SquareImages
from trainables.image_rows import ImageRows
from trainables.subsets import nested_subset
from trainables.views import View


@dataclass(frozen=True)
class TrialImages:
    """Training and validation splits of a dataset. The sealed test set is not included.

    Small when pickled: a trial reads the images from the cache of its machine.
    """

    images: SquareImages
    """Images of the source."""
    classes: tuple[str, ...]
    """Class name of each label."""
    train_rows: Ints
    """Rows of the training split in the source, 1-D, int64."""
    train_labels: Ints
    """Labels of the training split, of the same length."""
    val_rows: Ints
    """Rows of the validation split in the source, 1-D, int64."""
    val_labels: Ints
    """Labels of the validation split, of the same length."""
    groups: Ints | None = None
    """Group of each training image, followed by those of the validation images, int64; None if
    there are no groups."""
    default_view: View | None = None
    """View of trials that name no image size, as those of earlier versions."""

    def view(self, config: TrialConfig) -> View:
        """Return the view in which a trial reads its images."""
        view = config.view or self.default_view
        assert view is not None, "trials get their sizes before they start"
        return view

    def network_size(self, config: TrialConfig) -> int:
        """Return the height and width in pixels of a trial's network inputs."""
        return config.network_size(self.view(config).size)

    def training_data(self, config: TrialConfig) -> TrainingData:
        """Return the images as a trial reads them.

        A subset (`train_size`) is repeated until it is as long as all training images. So a trial
        on few images takes as many optimiser steps as one on all of them, under the same schedule,
        and is scored as often: it shows what the images are worth, and not that few epochs of few
        images are few steps (with more data, generalisation depends on the number of updates:
        Hoffer et al. 2017, Train longer, generalize better). Heads of mode probe are fitted
        exactly, and take no steps.

        Raises:
            InputError: The images cannot be read on this machine, or the cache has no room.
        """
        view = self.view(config)
        train, validation = map(self.images.store, (config.train_view or view, view))
        data = TrainingData(
            train_images=ImageRows(train, self.train_rows),
            train_labels=self.train_labels,
            val_images=ImageRows(validation, self.val_rows),
            val_labels=self.val_labels,
            classes=self.classes,
            groups=self.groups,
        )
        if config.train_size is None:
            return data
        positions = self.subset(config.train_size, config.seed)
        steps = positions if config.mode == "probe" else np.resize(positions, len(self.train_rows))
        return dataclasses.replace(
            data,
            train_images=data.train_images.take(steps),
            train_labels=self.train_labels[steps],
            groups=None,  # a part of the images is not split again
            whole=data if config.mode == "probe" else None,
            chosen=positions if config.mode == "probe" else None,
        )

    def subset(self, size: int, seed: int) -> Ints:
        """Return the positions of a subset of the training images, as `nested_subset` does."""
        return nested_subset(self.train_labels, self.train_groups, size, seed)

    @property
    def train_groups(self) -> Ints | None:
        """Group of each training image, int64; None if there are no groups."""
        return None if self.groups is None else self.groups[: len(self.train_labels)]

    def subsample(self, count: int) -> tuple[TrialImages, float]:
        """Subsample to every k-th image.

        Args:
            count: Approximate number of training images to keep.

        Returns:
            The subset, and the fraction of the training images in it.
        """
        every = max(1, len(self.train_labels) // count)
        subset = dataclasses.replace(
            self,
            train_rows=self.train_rows[::every],
            train_labels=self.train_labels[::every],
            val_rows=self.val_rows[::every],
            val_labels=self.val_labels[::every],
            groups=None,  # a part of the images is not split again
        )
        return subset, len(subset.train_labels) / len(self.train_labels)
