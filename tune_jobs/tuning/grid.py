"""Grid search: the strategy whose trials are all known at the start."""

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
    """Grid search over trials that are all known at the start.

    Args:
        known: trial configurations by name, in the order in which they start.
    """

    def __init__(self, known: dict[str, TrialConfig]):
        self.known, self.num_trials = known, len(known)

    def examples(self, count: int) -> list[TrialConfig]:
        """Return every k-th trial: trials of a model are adjacent, so all models are among them."""
        every = -(-len(self.known) // count)
        return list(self.known.values())[::every]

    def models(self) -> dict[str, str]:
        """Return the initial weights (none, default or a file) by model."""
        return {config.model: config.weights for config in self.known.values()}

    def open(self, run: Run, record: RunRecord) -> dict[str, TrialConfig]:
        """Return all trial configurations by name."""
        return self.known

    def describe(self) -> dict[str, Any]:
        """Return the entries of run.json on the search, its budget and its trials."""
        return {
            "search": {"algorithm": "grid"},
            "budget": {
                "trials": len(self.known),
                "epochs": sum(config.epochs for config in self.known.values()),
            },
            "trials": {name: config.to_dict() for name, config in self.known.items()},
        }

    def tuner_settings(
        self,
        run: Run,
        unfinished: dict[str, str | None],
        proposals: int,
        slots: Callable[[], int],
    ) -> TunerSettings:
        """Return a grid search by Ray over one parameter, the complete trial."""
        trials = [ray_config(run, name, resume)["trial"] for name, resume in unfinished.items()]
        return TunerSettings(
            param_space={"trial": tune.grid_search(trials)},
            scheduler=build_scheduler(run.options, run.recorder.epochs),
            max_concurrent_trials=run.options.run.max_concurrent,
        )
