"""Rank pretrained networks by a logistic regression on their features, in minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.parser import CommandLine, parse
from tune_jobs.ranking.options import ShortlistOptions, check_shortlist
from tune_jobs.tuning.before_ray import PreparedJob, start

if TYPE_CHECKING:
    from tune_jobs.tuning.found_images import FoundImages
    from tune_jobs.tuning.strategy import Strategy


def prepare(command: CommandLine[ShortlistOptions]) -> PreparedJob:
    """Check the options, and return the job; errors are those of `check_shortlist`."""
    check_shortlist(command)

    def strategy(images: FoundImages) -> Strategy:
        from tune_jobs.ranking.shortlist import Shortlist

        return Shortlist(command.options, images)

    return PreparedJob(command, strategy)


def shortlist() -> int:
    """Run the job, and return its exit code."""
    return start(prepare, parse(ShortlistOptions, description=__doc__))


if __name__ == "__main__":
    main(shortlist)
