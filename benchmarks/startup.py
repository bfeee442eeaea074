"""Benchmark of the wall time of a job, against another checkout of this project.

    python -m benchmarks.startup OTHER [--pairs 5] [--options="--epochs 1"]

Runs lr_grid.py of the other checkout and of this one, one after the other, in temporary folders,
with the same options, by default none. With one epoch most of the time is start-up and shutdown.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.lr_grid import spread

HERE = Path(__file__).parents[1]


def wall_time(checkout: Path, options: list[str]) -> float:
    """Return the wall time in seconds of lr_grid.py of a checkout, from start to exit."""
    command = [sys.executable, str(checkout / "tune_jobs" / "lr_grid.py"), *options]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run(
            command, cwd=folder, check=True, stdout=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(checkout)},
        )  # fmt: skip
        return time.perf_counter() - start


def main() -> None:
    """Time pairs of runs and print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--options", type=shlex.split, default=[])
    arguments = parser.parse_args()
    other, here = [], []
    for _ in range(arguments.pairs):
        other.append(wall_time(arguments.other.resolve(), arguments.options))
        here.append(wall_time(HERE, arguments.options))
        print(f"{other[-1]:.1f} s, here {here[-1]:.1f} s", flush=True)
    print("other, seconds:", spread(other))
    print("here, seconds:", spread(here))
    print("ratio:", spread([ours / theirs for ours, theirs in zip(here, other, strict=True)]))


if __name__ == "__main__":
    main()
