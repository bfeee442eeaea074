"""Run a job and turn errors into messages and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable

from trainables.errors import InputError
from tune_jobs.ray_runtime.environment import configure_ray
from tune_jobs.ray_runtime.ray_up import cluster_config, remind


def main(job: Callable[[], int]) -> None:
    """Run a job and exit with the exit code that it returns.

    InputError becomes a message on stderr and exit code 2, Ctrl-C becomes exit code 130.
    """
    configure_ray()
    try:
        code = job()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        remind(cluster_config())
        code = 2
    except SystemExit as ended:  # from the parser
        if ended.code:
            remind(cluster_config())
        raise
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        code = 130
    sys.exit(code)
