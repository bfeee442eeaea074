"""Limits of a search: wall time, and epochs of all trials together."""

from __future__ import annotations

import time
from typing import Any

from ray import tune
from ray.tune.stopper import NoopStopper

from tune_jobs.tuning.recorder import Recorder


class Budget(tune.Stopper):
    """Ends a search when its time, its start included, or its epochs are spent.

    Args:
        recorder: counts the epochs.
        max_seconds: of wall time, None for no limit.
        max_epochs: of all trials together, None for no limit.
        started: when it began, on the clock of time.monotonic, less what earlier drivers took.
    """

    def __init__(
        self,
        recorder: Recorder,
        max_seconds: float | None,
        max_epochs: int | None,
        started: float,
    ):
        self.recorder, self.max_seconds, self.max_epochs = recorder, max_seconds, max_epochs
        self.started = started
        self.reason: str | None = None

    def __reduce__(self) -> tuple[type[NoopStopper], tuple[()]]:
        return NoopStopper, ()  # Ray pickles it into a file, which we never restore from

    @property
    def seconds(self) -> float:
        """Wall time used."""
        return time.monotonic() - self.started

    @property
    def epochs(self) -> int:
        """Epochs of all trials together."""
        return sum(map(len, self.recorder.epochs.values()))

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether one trial is to stop: never one alone."""
        return False

    def stop_all(self) -> bool:
        """Whether the search is to end; `reason` says why."""
        if self.max_seconds is not None and self.seconds >= self.max_seconds:
            self.reason = "--max-time"
        elif self.max_epochs is not None and self.epochs >= self.max_epochs:
            self.reason = "--max-epochs-total"
        return self.reason is not None
