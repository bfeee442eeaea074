"""The images of a run, cut as it says."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from trainables.data import ImageDataset, Split, TrainingData, split
from trainables.errors import InputError
from trainables.sources import load_dataset
from tune_jobs.command_line.options import DataOptions

SMOKE_TRAIN, SMOKE_VALIDATION = 512, 256


@dataclass(frozen=True)
class RunData:
    """A dataset, how it is cut, and what trials see of it."""

    dataset: ImageDataset
    split: Split
    training: TrainingData


def load_data(
    given: DataOptions, shares: tuple[float, float, float] | None, smoke_test: bool
) -> RunData:
    """Read and cut a dataset; the test part goes no further than to the one who asks.

    Args:
        given: the source and the seed of the cut.
        shares: of the cut, as `split` takes them.
        smoke_test: leave only a few images to train on and to validate with.

    Raises:
        InputError: the source cannot be used, or is too small to be cut.
    """
    size = None if given.image_size == "native" else given.image_size
    dataset = load_dataset(given.data, size, given.image_column, given.label_column)
    parts = split(dataset, shares, given.split_seed)
    if smoke_test:
        parts = dataclasses.replace(
            parts,
            train=parts.train[:: -(-len(parts.train) // SMOKE_TRAIN)],
            validation=parts.validation[:: -(-len(parts.validation) // SMOKE_VALIDATION)],
        )
    return RunData(dataset, parts, TrainingData.of(dataset, parts))


def data_options(record: dict[str, Any], source: str | None = None) -> DataOptions:
    """Which images a run was on.

    Args:
        record: run.json.
        source: where they are now; where they were when none is given.
    """
    given = DataOptions(**record["options"]["data"])
    return given if source is None else dataclasses.replace(given, data=source)


def load_data_again(record: dict[str, Any], source: str | None = None) -> RunData:
    """The images of a run that is in its folder; args are those of `data_options`.

    Raises:
        InputError: they cannot be read, or are others, or are cut differently by now.
    """
    options = record["options"]
    shares = options["training"]["split"]
    given = data_options(record, source)
    data = load_data(given, tuple(shares) if shares else None, options["run"]["smoke_test"])
    for what, before, after in (
        ("fingerprint", record["dataset"]["fingerprint"], data.dataset.fingerprint),
        ("split fingerprint", record["split"].get("fingerprint"), data.split.fingerprint),
    ):
        if before not in (None, after):
            raise InputError(
                f"{given.data} has {what} {after}, and the run was on {before}: say with --data "
                "where its images are"
            )
    return data
