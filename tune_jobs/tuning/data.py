"""Load and split the dataset of a run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from trainables.data import ImageDataset, Split, TrainingData, split
from trainables.errors import InputError
from trainables.sources import load_dataset
from tune_jobs.command_line.options import DataOptions

SMOKE_TRAIN, SMOKE_VALIDATION = 512, 256
"""Maximum numbers of training and validation images with --smoke-test."""


@dataclass(frozen=True)
class RunData:
    """The dataset of a run, its split, and the images that trials may see."""

    dataset: ImageDataset
    """All images and labels, with the test split."""
    split: Split
    """Indices of the training, validation and test splits."""
    training: TrainingData
    """Training and validation images, without the test split."""


def load_data(
    options: DataOptions, fractions: tuple[float, float, float] | None, smoke_test: bool
) -> RunData:
    """Load a dataset and split it.

    The test split stays in the result's `dataset` and `split`; `training` does not contain it.

    Args:
        options: the source of the images and the seed of the split.
        fractions: fractions of the training, validation and test splits, as `split` takes them.
        smoke_test: keep only a few training and validation images.

    Raises:
        InputError: the source cannot be read, or is too small to be split.
    """
    size = None if options.image_size == "native" else options.image_size
    dataset = load_dataset(options.data, size, options.image_column, options.label_column)
    splits = split(dataset, fractions, options.split_seed)
    if smoke_test:
        splits = dataclasses.replace(
            splits,
            train=splits.train[:: -(-len(splits.train) // SMOKE_TRAIN)],
            validation=splits.validation[:: -(-len(splits.validation) // SMOKE_VALIDATION)],
        )
    return RunData(dataset, splits, TrainingData.of(dataset, splits))


def data_options(record: dict[str, Any], source: str | None = None) -> DataOptions:
    """Return the data options of a run.

    Args:
        record: run.json of the run.
        source: replaces the option --data, for images that were moved; None keeps it.
    """
    options = DataOptions(**record["options"]["data"])
    return options if source is None else dataclasses.replace(options, data=source)


def load_data_of_run(record: dict[str, Any], source: str | None = None) -> RunData:
    """Load the images of an existing run with the split it used.

    Args:
        record: run.json of the run.
        source: replaces the option --data, for images that were moved; None keeps it.

    Raises:
        InputError: the images cannot be read, or the images or their split have changed.
    """
    options = record["options"]
    fractions = options["training"]["split"]
    source_options = data_options(record, source)
    data = load_data(
        source_options, tuple(fractions) if fractions else None, options["run"]["smoke_test"]
    )
    for name, before, after in (
        ("fingerprint", record["dataset"]["fingerprint"], data.dataset.fingerprint),
        ("split fingerprint", record["split"].get("fingerprint"), data.split.fingerprint),
    ):
        if before not in (None, after):
            raise InputError(
                f"{source_options.data} has {name} {after}, and the run was trained on images "
                f"with {name} {before}: give the images of the run with --data"
            )
    return data
