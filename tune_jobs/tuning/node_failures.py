"""Do not count the loss of a node as a failure of its trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.exceptions import ActorDiedError, ActorUnavailableError
from ray.tune.experiment import Trial

from tune_jobs.tuning.callbacks import DriverCallback

NODE_DIED = "its node has died"
"""Text in the message of Ray's ActorDiedError, its only sign that the node was lost."""


class NodeFailures(DriverCallback):
    """Callback that gives a trial its retry back when its node was lost.

    Ray itself exempts only nodes that were drained before, which spot instances and power cuts
    are not. A trial without a retry left still fails with its node: Ray counts first.
    """

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Correct the failure count of a trial that is about to restart on another node."""
        file = trial.pickled_error_file
        if file is None:
            return
        # Ray would keep this error for a later failure that has none.
        trial.run_metadata.pickled_error_filename = None
        if node_was_lost(cloudpickle.loads(Path(file).read_bytes())):
            trial.run_metadata.num_failures -= 1


def node_was_lost(error: Exception) -> bool:
    """Return whether an error is the loss of a node that Ray counted as a failure of the trial.

    When a whole node is lost, the worker process is unreachable for seconds before Ray notices the
    loss. When only the worker process died, its node reports that to Ray at once.
    """
    if isinstance(error, ActorDiedError):
        return NODE_DIED in str(error) and not error.preempted
    return isinstance(error, ActorUnavailableError)
