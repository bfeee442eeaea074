"""Base class of our Ray Tune callbacks, and the name of a trial."""

from __future__ import annotations

from ray import tune
from ray.tune.experiment import Trial


class DriverCallback(tune.Callback):
    """A callback that is never pickled.

    Ray pickles all callbacks into a file so that it can restore an experiment. We never restore
    from that file, and terminals and open files cannot be pickled.
    """

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        return tune.Callback, ()


def trial_name(trial: Trial) -> str:
    """Return the name of a trial, which is also its name in Ray and the name of its folder."""
    name: str = trial.config["trial"]["name"]
    return name
