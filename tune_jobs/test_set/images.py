"""The images of compared runs."""

from __future__ import annotations

from typing import TypeAlias

from rich.console import Console

from trainables.errors import InputError
from tune_jobs.analysis.comparison.candidates import Candidate, LoadedRun, check_same
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
