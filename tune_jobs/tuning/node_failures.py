"""Workers whose machine was lost: nothing that their trial did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.exceptions import ActorDiedError, ActorUnavailableError
from ray.tune.experiment import Trial

from tune_jobs.tuning.callbacks import DriverCallback

NODE_DIED = "its node has died"
"""In the message of Ray's ActorDiedError, which has no other sign of it."""


class NodeFailures(DriverCallback):
    """Takes the loss of a machine off the retries of a trial.

    Ray itself spares those alone that were drained before, which the spot market and a power cut
    do not. A trial that has no retry left fails with its machine all the same: Ray counts first.
    """

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial is about to go on elsewhere; its worker's error lies in its folder here."""
        file = trial.pickled_error_file
        if file is None:
            return
        # Ray leaves it there for failures that have none.
        trial.run_metadata.pickled_error_filename = None
        if machine_was_lost(cloudpickle.loads(Path(file).read_bytes())):
            trial.run_metadata.num_failures -= 1


def machine_was_lost(error: Exception) -> bool:
    """Whether Ray has counted the loss of a machine as a failure of its trial.

    When the machine goes with all its processes, the worker cannot be reached for seconds before
    Ray notices the loss; of a worker that died alone it is told at once.
    """
    if isinstance(error, ActorDiedError):
        return NODE_DIED in str(error) and not error.preempted
    return isinstance(error, ActorUnavailableError)
