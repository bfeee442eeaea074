"""What a job checks before it starts Ray. This module imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.source_options import NAMED_SOURCES
from tune_jobs.command_line.options import JobOptions

if TYPE_CHECKING:
    from tune_jobs.tuning.found_images import FoundImages


def find_before_ray(options: JobOptions) -> FoundImages | None:
    """Find the images of a job, so that a source that cannot be used is refused at once.

    Named datasets are right, and load while Ray starts: for them, return None.

    Raises:
        InputError: the source cannot be read.
    """
    if options.data.data in NAMED_SOURCES:
        return None
    from tune_jobs.tuning.found_images import find_images_of_job

    return find_images_of_job(options)
