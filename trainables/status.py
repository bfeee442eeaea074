"""Status of a trial."""

from __future__ import annotations

from enum import Enum


class TrialStatus(str, Enum):
    """Status of a trial, in the column `status` of trials.parquet."""

    PENDING = "pending"
    """Not started."""
    RUNNING = "running"
    """Training, or interrupted by a kill of the driver."""
    INTERRUPTED = "interrupted"
    """Stopped by Ctrl-C or SIGTERM; --resume continues it."""
    FINISHED = "finished"
    """Trained for all its epochs, or fewer if its patience ran out."""
    STOPPED = "stopped"
    """Stopped early by the scheduler, or by the budget of the search."""
    DIVERGED = "diverged"
    """Its loss became infinite or NaN."""
    FAILED = "failed"
    """Raised an error, or its worker process died too often; --resume retries it."""

    @property
    def is_ended(self) -> bool:
        """Return whether --resume leaves the trial as it is."""
        return self in (TrialStatus.FINISHED, TrialStatus.STOPPED, TrialStatus.DIVERGED)

    @property
    def is_open(self) -> bool:
        """Return whether the trial has neither ended nor failed."""
        return self in (TrialStatus.PENDING, TrialStatus.RUNNING, TrialStatus.INTERRUPTED)

    def __str__(self) -> str:
        return self.value
