"""What the callbacks of Ray Tune have in common."""

from __future__ import annotations

from ray import tune
from ray.tune.experiment import Trial


class DriverCallback(tune.Callback):
    """A callback that stays in the driver's process.

    Ray pickles all callbacks into a file to restore them from. We never do, and terminals and
    open files cannot be pickled.
    """

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        return tune.Callback, ()


def trial_name(trial: Trial) -> str:
    """Return our name of a trial, which Ray and the trial's folder have too."""
    name: str = trial.config["trial"]["name"]
    return name
