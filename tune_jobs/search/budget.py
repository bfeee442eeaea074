"""Limits of a search: wall time, and the total number of epochs over all trials."""

from __future__ import annotations

import time
from typing import Any

from ray import tune
from ray.tune.stopper import NoopStopper

from tune_jobs.tuning.recorder import Recorder


class Budget(tune.Stopper):
    """Stopper that ends a search when its wall time or its total number of epochs is used up.

    Args:
        recorder: tables of the run, from which the epochs are counted.
        max_seconds: limit of the wall time in seconds, startup included; None for no limit.
        max_epochs: limit of the total number of epochs over all trials; None for no limit.
        started: start of the search on the clock of time.monotonic, moved back by the time that
            earlier drivers of the run have used.
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
        """Name of the option whose limit was reached; None until then."""

    def __reduce__(self) -> tuple[type[NoopStopper], tuple[()]]:
        return NoopStopper, ()  # Ray pickles it for its own restore, which we never use

    @property
    def seconds(self) -> float:
        """Wall time used so far, in seconds."""
        return time.monotonic() - self.started

    @property
    def epochs(self) -> int:
        """Total number of epochs trained so far, over all trials."""
        return sum(map(len, self.recorder.epochs.values()))

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return False: a budget never stops a single trial."""
        return False

    def stop_all(self) -> bool:
        """Return whether the search must end, and set `reason` to the option that ends it."""
        if self.max_seconds is not None and self.seconds >= self.max_seconds:
            self.reason = "--max-time"
        elif self.max_epochs is not None and self.epochs >= self.max_epochs:
            self.reason = "--max-epochs-total"
        return self.reason is not None
