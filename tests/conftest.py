import pytest

from trainables.data import ImageDataset, TrainingData
from trainables.sources import load_dataset


@pytest.fixture(scope="session")
def digits() -> ImageDataset:
    return load_dataset("digits", image_size=8)


@pytest.fixture(scope="session")
def tiny_data(digits) -> TrainingData:
    """Forty digits to train on, so that batches of 16 leave a smaller one, and 24 to validate."""
    return TrainingData(
        train_images=digits.images[:40],
        train_labels=digits.labels[:40],
        val_images=digits.images[40:64],
        val_labels=digits.labels[40:64],
        classes=digits.classes,
        mean=(0.3, 0.3, 0.3),
        std=(0.4, 0.4, 0.4),
    )
