"""The images of compared runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from rich.console import Console

from trainables.arrays import Ints
from trainables.errors import InputError
from trainables.views import View
from tune_jobs.analysis.comparison.candidates import Candidate, LoadedRun, check_same
from tune_jobs.analysis.comparison.scored import TestSet
from tune_jobs.tuning.data import RunData, load_data_of_run

RunImages: TypeAlias = dict[str, RunData]
"""Images of each run, by the URI of its run folder."""


def images_of_runs(runs: list[LoadedRun], source: str | None, console: Console) -> RunImages:
    """Read the images of each run, once for all runs with the same data options.

    Args:
        runs: compared runs.
        source: value of --data, if the images have moved.
        console: terminal or log file.

    Raises:
        InputError: the images cannot be read, or the runs differ in their images or split.
    """
    images: RunImages = {}
    read: RunImages = {}
    for run in runs:
        options = run.record["options"]
        key = str((options["data"], options["training"]["split"], options["run"]["smoke_test"]))
        if key not in read:
            read[key] = load_data_of_run(run.record, console, source)
        images[run.folder.uri] = read[key]
        both = images[runs[0].folder.uri], read[key]
        check_same(
            runs[0].name,
            run.name,
            [data.dataset.fingerprint for data in both],
            [data.split.fingerprint for data in both],
        )
    for name in images[runs[0].folder.uri].dataset.classes:
        if any("\udc80" <= letter <= "\udcff" for letter in name):  # undecodable bytes
            raise InputError(
                f"class name {name!r} is not UTF-8: rename its folder, and train again"
            )
    return images


def data_of(candidate: Candidate, images: RunImages) -> RunData:
    """Return the images of a candidate's run."""
    return images[candidate.run.folder.uri]


def test_set_of(data: RunData, views: Sequence[View]) -> TestSet:
    """Return the sealed test set, with its images in the largest view that a model reads.

    Args:
        data: data of one of the runs, which all have the same images and the same split.
        views: views that the models read.
    """
    dataset, split = data.dataset, data.split
    view = max(views, key=lambda each: each.size)
    return TestSet(
        images=data.images(split.test, view),
        labels=dataset.labels[split.test],
        indices=split.test,
        files=files_of(data, split.test),
        classes=dataset.classes,
        source_fingerprint=dataset.fingerprint,
        split_fingerprint=split.fingerprint,
        duplicates=copied_test_images(data),
    )


def files_of(data: RunData, rows: Ints) -> list[str]:
    """Return where images are in the source, by their indices in the dataset."""
    return [data.found.listing.images.origin(row) for row in data.rows[rows]]


def copied_test_images(data: RunData) -> int:
    """Return the number of test images that show the same picture as one that models learn from."""
    test = np.zeros(len(data.found.listing.labels), dtype=bool)
    learnt = test.copy()
    test[data.rows[data.split.test]] = True
    learnt[data.rows[np.union1d(data.split.train, data.split.validation)]] = True
    pictures = data.facts.copies.components(len(test))
    return int((test & np.isin(pictures, pictures[learnt])).sum())
