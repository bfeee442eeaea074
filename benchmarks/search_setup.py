"""Setup that all searchers of the comparison share: training configuration and images."""

from __future__ import annotations

import dataclasses

from trainables.config import RECIPES, TrialConfig
from trainables.data import TrainingData

EPOCHS = 12
"""Number of epochs of a trial that no scheduler stops."""
SIZE = 32
"""Height and width of the images in pixels."""
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
    from benchmarks.images import load

    return load(source, SIZE, train=images)
