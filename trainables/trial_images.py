"""Images of a run as its trials see them: training and validation, without the test set."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from trainables.arrays import Ints
from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.image_cache import SquareImages
from trainables.image_rows import ImageRows
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

        Raises:
            InputError: The images cannot be read on this machine, or the cache has no room.
        """
        view = self.view(config)
        train, validation = map(self.images.store, (config.train_view or view, view))
        return TrainingData(
            train_images=ImageRows(train, self.train_rows),
            train_labels=self.train_labels,
            val_images=ImageRows(validation, self.val_rows),
            val_labels=self.val_labels,
            classes=self.classes,
            groups=self.groups,
        )

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
