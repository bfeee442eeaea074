"""Compare the best model of each model family on the sealed test set, and recommend one."""

from __future__ import annotations

from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.parser import parse_plain
from tune_jobs.test_set.options import CompareOptions, check_options


def compare() -> int:
    """Run the job, and return its exit code."""
    command = parse_plain(CompareOptions, "compare", description=__doc__)
    with command.located():
        check_options(command.options)
    # Torch takes seconds to import, and bad options are reported without it.
    from tune_jobs.test_set.job import run

    return run(command)


if __name__ == "__main__":
    main(compare)
