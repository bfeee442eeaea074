"""Rank pretrained networks by a logistic regression on their features, in minutes."""

from __future__ import annotations

from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.parser import parse
from tune_jobs.ranking.options import ShortlistOptions, check_shortlist
from tune_jobs.ray_runtime.early_start import ray_while_importing
from tune_jobs.tuning.before_ray import find_before_ray


def shortlist() -> int:
    """Run the job, and return its exit code."""
    command = parse(ShortlistOptions, description=__doc__)
    check_shortlist(command)
    options = command.options
    found = find_before_ray(options)
    with ray_while_importing(options.run.address, preload=options.run.fills_machine):
        from tune_jobs.ranking.shortlist import Shortlist
        from tune_jobs.tuning.job import run

        return run(command, lambda images: Shortlist(options, images), found)


if __name__ == "__main__":
    main(shortlist)
