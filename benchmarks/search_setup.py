"""Setup that all searchers of the comparison share: training configuration and images."""

from __future__ import annotations

import dataclasses

from trainables.config import RECIPES, TrialConfig
from trainables.data import TrainingData, split

EPOCHS = 12
"""Number of epochs of a trial that no scheduler stops."""
BASE = dataclasses.replace(
    TrialConfig(**dataclasses.asdict(RECIPES["standard"]), lr=1e-3), epochs=EPOCHS
)
"""Configuration of the parameters that are not searched."""


def load(source: str, images: int) -> TrainingData:
    """Load the images of every searcher: every k-th image of the training split.

    Args:
        source: name or path of the dataset.
        images: approximate number of training images.
    """
    from trainables.sources import load_dataset

    dataset = load_dataset(source)
    data = TrainingData.of(dataset, split(dataset))
    every = max(1, len(data.train_labels) // images)
    return dataclasses.replace(
        data, train_images=data.train_images[::every], train_labels=data.train_labels[::every]
    )
