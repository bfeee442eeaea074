"""A grid: the strategy that knows all its trials from the start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray import tune

from trainables.config import TrialConfig
from tune_jobs.run_folder.records import RunRecord
from tune_jobs.tuning.schedulers import build_scheduler
from tune_jobs.tuning.strategy import Run, Strategy, TunerSettings
from tune_jobs.tuning.tuner import ray_config


class Grid(Strategy):
    """Trials that are all known from the start.

    Args:
        known: the trials by name, in the order they start.
    """

    def __init__(self, known: dict[str, TrialConfig]):
        self.known, self.trials = known, len(known)

    def examples(self, count: int) -> list[TrialConfig]:
        """Return every k-th trial, as the trials of a network stand together."""
        every = -(-len(self.known) // count)
        return list(self.known.values())[::every]

    def models(self) -> dict[str, str]:
        """Return the networks of the trials, and the initial weights of each."""
        return {config.model: config.weights for config in self.known.values()}

    def open(self, run: Run, record: RunRecord) -> dict[str, TrialConfig]:
        """Return all trials."""
        return self.known

    def describe(self) -> dict[str, Any]:
        """Return the trials, for run.json."""
        return {
            "search": {"algorithm": "grid"},
            "budget": {
                "trials": len(self.known),
                "epochs": sum(config.epochs for config in self.known.values()),
            },
            "trials": {name: config.to_dict() for name, config in self.known.items()},
        }

    def tuner_settings(
        self, run: Run, unfinished: dict[str, str | None], slots: Callable[[], int]
    ) -> TunerSettings:
        """Return Ray's own grid search, over one setting that is the whole trial."""
        trials = [ray_config(run, name, resume)["trial"] for name, resume in unfinished.items()]
        return TunerSettings(
            param_space={"trial": tune.grid_search(trials)},
            scheduler=build_scheduler(run.options, run.recorder.epochs),
            max_concurrent_trials=run.options.run.max_concurrent,
        )
