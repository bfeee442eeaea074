"""How far a trial got."""

from __future__ import annotations

from enum import Enum


class TrialStatus(str, Enum):
    """Status of a trial, in the column `status` of trials.parquet."""

    PENDING = "pending"
    """Not started."""
    RUNNING = "running"
    """Training, or cut off when the driver was killed."""
    INTERRUPTED = "interrupted"
    """Stopped by Ctrl-C or SIGTERM; --resume continues it."""
    FINISHED = "finished"
    """Trained for all its epochs."""
    STOPPED = "stopped"
    """Stopped early by the scheduler, or by the budget of the search."""
    DIVERGED = "diverged"
    """Its loss stopped being a finite number."""
    FAILED = "failed"
    """Raised an error, or its worker process died too often; --resume retries it."""

    @property
    def is_ended(self) -> bool:
        """Whether --resume leaves the trial alone."""
        return self in (TrialStatus.FINISHED, TrialStatus.STOPPED, TrialStatus.DIVERGED)

    @property
    def is_open(self) -> bool:
        """Whether the trial has neither ended nor failed."""
        return self in (TrialStatus.PENDING, TrialStatus.RUNNING, TrialStatus.INTERRUPTED)

    def __str__(self) -> str:
        return self.value
