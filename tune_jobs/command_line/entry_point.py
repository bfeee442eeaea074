"""Run a job and turn errors into messages and exit codes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from trainables.errors import InputError
from tune_jobs.command_line.escaping import printable
from tune_jobs.command_line.faults import caused_by_machine, report_fault
from tune_jobs.command_line.pipes import unbreakable_output
from tune_jobs.ray_runtime.environment import configure_ray
from tune_jobs.ray_runtime.ray_up import cluster_config, remind


def main(job: Callable[[], int]) -> None:
    """Run a job and exit with the exit code that it returns.

    InputError, and what disk, network or memory cause, become a message on stderr and exit code 2,
    Ctrl-C and SIGTERM become exit code 130. A fault of bakeoff is one line that says so, and exit
    code 3; its traceback is in a file. A reader of the output that goes away changes nothing.
    """
    with unbreakable_output():
        sys.exit(exit_code_of(job))


def exit_code_of(job: Callable[[], int]) -> int:
    """Run a job, print the message of an error, and return the exit code."""
    configure_ray()
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        try:
            return job()
        finally:
            sys.stdout.flush()  # a full disk below stdout is an error like others
    except InputError as error:
        return fail(str(error))
    except SystemExit as ended:  # from the parser
        if ended.code:
            remind(cluster_config())
        raise
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        return 130
    except Exception as error:
        message = caused_by_machine(error)
        return fail(report_fault(error), 3) if message is None else fail(message)
    finally:
        signal.signal(signal.SIGTERM, before)


def fail(message: str, code: int = 2) -> int:
    """Print an error, and return the exit code."""
    print(f"error: {printable(message)}", file=sys.stderr)  # noqa: T201
    remind(cluster_config())
    return code


def interrupt(*_: object) -> None:
    """Handle SIGTERM as Ctrl-C, which processes in the background of a script ignore."""
    raise KeyboardInterrupt
