"""Options of the check of a source. This module imports nothing heavy."""

from __future__ import annotations

import dataclasses
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from trainables.config import check_range, check_split
from trainables.errors import InputError
from tune_jobs.command_line.options import SEEDS, DataOptions, check_data


@dataclass(frozen=True, kw_only=True)
class CheckOptions(DataOptions):
    """Options of the check: those of the training jobs that decide which images they read."""

    first_options = (
        "photos", "image_column", "label_column", "group_column", "duplicates", "split", "output",
    )  # fmt: skip
    photos: tyro.conf.Positional[Annotated[str | None, tyro.conf.arg(metavar="[SOURCE]")]] = None
    """Source of the images, in place of --data."""
    split: tuple[float, float, float] | None = None
    """Fractions of the training, validation and test splits, as the training
    jobs take them. None: the source's own splits; one that it lacks is 20% of
    its training split."""
    output: str = "check-data.html"
    """File for the page. Nothing but an earlier page of this job is
    overwritten."""

    @property
    def page(self) -> Path:
        """Path of the page."""
        return Path(self.output)


def check_options(options: CheckOptions, given: Container[str]) -> CheckOptions:
    """Return the options with the source as `data`.

    Args:
        options: options as parsed.
        given: names of the options that were given.

    Raises:
        InputError: an option is out of its range, or there are two sources.
    """
    if options.photos is not None:
        if "data" in given:
            raise InputError(
                f"{options.photos} and --data {options.data} are two sources: leave one of them out"
            )
        options = dataclasses.replace(options, data=options.photos)
    check_data(options)
    check_range("--split-seed", options.split_seed, 0, SEEDS)
    if options.split is not None:
        check_split(options.split)
    if options.page.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--output {options.output} must end in .html: try check-data.html")
    return options
