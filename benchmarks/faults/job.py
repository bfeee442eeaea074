"""A job that can be injured, and what became of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil

from tune_jobs.analysis.results import load_epochs, load_trials

HERE = Path(__file__).parents[2]
GRID = ["tune_jobs/lr_grid.py", "--lr", "1e-3", "3e-3", "--epochs", "20", "--name", "grid"]
TIMES = ["seconds", "images_per_second", "peak_memory_mb", "finished", "checkpoint", "timestamp",
         "latency_ms", "features_s"]  # fmt: skip
LIMIT_S = 240
REFERENCE: list[pd.DataFrame] = []
"""Tables of an unharmed grid."""


@dataclass
class Outcome:
    """What became of an injured job."""

    how: str
    """How it ended, in words."""
    injected: int = 1
    """Number of injuries."""
    survived: int = 0
    """Number of injuries after which the results are those of an unharmed job, to the bit."""
    lost: str = "nothing"
    """What has to be done again, or is gone."""
    seconds: float | None = None
    """Longest time until there was another epoch; None if there was none to come."""

    def cells(self) -> list[str]:
        """Return the cells of its line."""
        seconds = "" if self.seconds is None else f"{self.seconds:.0f}"
        return [str(self.injected), str(self.survived), self.lost, seconds, self.how]


class Job:
    """A grid in a folder of its own, as a process that can be killed with all that it started."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.run, self.log = folder, folder / "grid", folder / "job.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.seen: set[tuple[object, ...]] = set()
        self.slowest = 0.0

    def start(
        self,
        *words: str,
        job: list[str] = GRID,
        wrapper: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        """Start a job, with more options, in a wrapper such as unshare."""
        command = [*wrapper, sys.executable, *job, "--storage-path", str(self.folder), *words]
        self.launch(command, environment or {})

    def launch(self, command: list[str], environment: dict[str, str]) -> None:
        """Start a command."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command, cwd=HERE, stdout=log, stderr=log, start_new_session=True,
                env=os.environ | {"PYTHONPATH": str(HERE)} | environment,
            )  # fmt: skip

    def is_running(self) -> bool:
        """Return whether the job has not ended."""
        return self.process is not None and self.process.poll() is None

    def epochs(self) -> int:
        """Return the number of epochs in the tables."""
        with contextlib.suppress(Exception):  # a table that is being replaced
            return len(load_epochs(self.run))
        return 0

    def until(self, epochs: int) -> None:
        """Wait until so many epochs are in the tables, or the job has ended."""
        self.wait(lambda: self.epochs() >= epochs)

    def wait(self, holds: Callable[[], bool], every: float = 0.1) -> None:
        """Wait until something holds, or the job has ended."""
        end = time.monotonic() + LIMIT_S
        while not holds() and self.is_running() and time.monotonic() < end:
            time.sleep(every)

    def recover(self, start: float) -> None:
        """Wait for another epoch, and note the seconds since the start."""
        before = self.epochs()
        self.until(before + 1)
        if self.epochs() > before:
            self.slowest = max(self.slowest, time.monotonic() - start)

    def end(self) -> int:
        """Wait for the end of the job, and return its exit code; -1 if it did not end."""
        assert self.process is not None
        try:
            return self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return -1

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the driver and all that it started."""
        self.note_epochs()
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def note_epochs(self) -> None:
        """Note which trainings of epochs are in the tables."""
        self.seen |= trainings(self.run)

    def processes(self, name: str) -> list[psutil.Process]:
        """Return the processes below the driver whose command has a word."""
        assert self.process is not None
        found = []
        with contextlib.suppress(psutil.Error):
            for each in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if name in " ".join(each.cmdline()):
                        found.append(each)
        return found

    def resume(self, *words: str) -> str:
        """Resume the grid, and describe its end."""
        self.note_epochs()
        start = time.monotonic()
        self.start("--resume", *words)
        self.recover(start)
        return self.ending(self.end())

    def said(self) -> str:
        """Return the last error or instruction in the log."""
        lines = [line.strip() for line in self.log.read_text().splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("error:")]
        if any("Traceback" in line for line in lines):
            return "A TRACEBACK"
        if errors:
            return errors[-1][:200]
        return (
            "the command that resumes" if any("--resume" in each for each in lines) else "nothing"
        )

    def ending(self, code: int) -> str:
        """Describe how the job ended; compare its tables with those of the unharmed grid."""
        if code != 0:
            return f"exit code {code}, says {self.said()}"
        same = [
            table.equals(other) for table, other in zip(tables(self.run), REFERENCE, strict=True)
        ]
        return "identical" if all(same) else "DIFFERENT"

    def outcome(self, how: str, injected: int = 1) -> Outcome:
        """Return what became of the job, whose injuries it survived if its end is `identical`."""
        survived = injected if how.endswith("identical") else 0
        lost = len(self.seen - trainings(self.run))
        what = f"{lost} recorded epochs" if lost else "the current epoch"
        return Outcome(how, injected, survived, what, self.slowest or None)


def trainings(run: Path) -> set[tuple[object, ...]]:
    """Return trial, epoch and seconds of each row of a table of epochs."""
    with contextlib.suppress(Exception):  # there is none, or it is being replaced
        rows = load_epochs(run)[["trial", "epoch", "seconds"]]
        return set(rows.itertuples(index=False, name=None))
    return set()


def tables(run: Path) -> list[pd.DataFrame]:
    """Return trials and epochs of a run, without times."""
    frames = []
    for frame, keys in ((load_trials(run), ["trial"]), (load_epochs(run), ["trial", "epoch"])):
        kept = [name for name in frame if not any(each in str(name) for each in TIMES)]
        frames.append(frame[kept].sort_values(keys).reset_index(drop=True))
    return frames
