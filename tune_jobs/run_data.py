"""The images of a run, cut as its options say."""

from __future__ import annotations

from trainables.data import ImageDataset, Split, TrainingData, split
from trainables.sources import load_dataset
from tune_jobs.options import JobOptions

SMOKE_TRAIN, SMOKE_VALIDATION = 512, 256


def load_data(options: JobOptions) -> tuple[ImageDataset, Split, TrainingData]:
    """Read and cut the dataset; the test part goes no further than to the one who asks.

    Raises:
        InputError: the source cannot be used, or is too small to be cut.
    """
    given = options.data
    size = None if given.image_size == "native" else given.image_size
    dataset = load_dataset(given.data, size, given.image_column, given.label_column)
    parts = split(dataset, options.training.split, given.split_seed)
    if options.run.smoke_test:
        parts = Split(
            parts.train[:: -(-len(parts.train) // SMOKE_TRAIN)],
            parts.validation[:: -(-len(parts.validation) // SMOKE_VALIDATION)],
            parts.test,
        )
    return dataset, parts, TrainingData.of(dataset, parts)
