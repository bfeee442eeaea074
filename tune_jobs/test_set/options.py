"""The options of a comparison. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

import tyro

from trainables.config import check_range
from trainables.errors import InputError
from tune_jobs.command_line.options import check_price


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Options of the job."""

    runs: tyro.conf.Positional[tuple[str, ...]] = ()
    """Folders of runs, local or s3://… or gs://…; the best model of each kind in them, on
    validation images, takes part."""
    seeds: int = 0
    """Train each winner again with so many other seeds first, through Ray Tune."""
    every_trial: bool = False
    """Score every trial on the test images, for the report's tables; nothing is chosen by that."""
    partial: bool = False
    """Compare what is there of runs that are not finished."""
    output: str = "comparison"
    """Folder or URI that the report, tables and model are written to."""
    data: str | None = None
    """Where the images are now, if not where the runs had them."""
    address: str | None = None
    """Of a Ray cluster that trains the seeds: auto, HOST or HOST:PORT; a local Ray without it."""
    price_per_hour: float | None = None
    """Dollars of one machine."""


def check_options(options: CompareOptions) -> None:
    """Raise InputError where an option is out of its range."""
    check_range("--seeds", options.seeds, 0, 1000)
    if options.seeds == 1:
        raise InputError("--seeds is 1, and one training shows no spread: give 2 or more, or none")
    check_price(options.price_per_hour)
