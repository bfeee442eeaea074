"""Run a job and turn errors into messages and exit codes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from trainables.errors import InputError
from tune_jobs.command_line.escaping import printable
from tune_jobs.command_line.faults import caused_by_machine, report_fault
from tune_jobs.ray_runtime.environment import configure_ray
from tune_jobs.ray_runtime.ray_up import cluster_config, remind


def main(job: Callable[[], int]) -> None:
    """Run a job and exit with the exit code that it returns.

    InputError, and what disk, network or memory cause, become a message on stderr and exit code 2,
    Ctrl-C and SIGTERM become exit code 130. A fault of bakeoff is one line that says so, and exit
    code 3; its traceback is in a file.
    """
    configure_ray()
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        code = job()
    except InputError as error:
        code = fail(str(error))
    except SystemExit as ended:  # from the parser
        if ended.code:
            remind(cluster_config())
        raise
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        code = 130
    except Exception as error:
        message = caused_by_machine(error)
        code = fail(report_fault(error), 3) if message is None else fail(message)
    finally:
        signal.signal(signal.SIGTERM, before)
    sys.exit(code)


def fail(message: str, code: int = 2) -> int:
    """Print an error, and return the exit code."""
    print(f"error: {printable(message)}", file=sys.stderr)  # noqa: T201
    remind(cluster_config())
    return code


def interrupt(*_: object) -> None:
    """Handle SIGTERM as Ctrl-C."""
    signal.raise_signal(signal.SIGINT)
