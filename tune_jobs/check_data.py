"""Say what a source of images holds, what is wrong with it, and what that means for a comparison.

Exit code 1 if a comparison would be wrong, 0 if not, 2 if the source cannot be read.
"""

from __future__ import annotations

from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.parser import parse_plain
from tune_jobs.data_check.options import CheckOptions, check_options


def check_data() -> int:
    """Run the job, and return its exit code."""
    command = parse_plain(CheckOptions, "check_data", description=__doc__)
    command = command.with_options(check_options(command.options, command.given_options))
    # Pillow and matplotlib take time to import, and bad options are reported without them.
    from tune_jobs.data_check.job import run

    return run(command)


if __name__ == "__main__":
    main(check_data)
