"""Workers whose machine was lost: nothing that their trial did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.tune.experiment import Trial

from tune_jobs.recorder import DriverCallback

NODE_DIED = "its node has died"
"""In the message of Ray's ActorDiedError, which has no other sign of it."""


class LostMachines(DriverCallback):
    """Takes the loss of a machine off the retries of a trial.

    Ray itself spares those alone that were drained before, which the spot market and a power cut
    do not.
    """

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial is about to go on elsewhere; its worker's error lies in its folder here."""
        file = trial.pickled_error_file
        if file and NODE_DIED in str(cloudpickle.loads(Path(file).read_bytes())):
            trial.run_metadata.num_failures -= 1
