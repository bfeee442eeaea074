"""Population-based training (Jaderberg et al. 2017) of the trials of a search."""

from __future__ import annotations

import dataclasses
import json
import random
import tempfile
from pathlib import Path
from typing import Any

from pyarrow.fs import copy_files
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from trainables.checkpoint import changed, save_checkpoint
from trainables.config import MUTABLE_SETTINGS, TrialConfig
from trainables.target import Target
from tune_jobs.ray_runtime.tune_internals import ExploitScheduler, set_latest_checkpoint
from tune_jobs.run_folder.checkpoints import newest_checkpoint
from tune_jobs.search_space.space import Parameter, Space
from tune_jobs.tuning.callbacks import trial_name
from tune_jobs.tuning.recorder import Recorder

STEPS = 5
"""Trials are compared at intervals of the epochs divided by this, of at least one epoch."""
FACTORS = (0.8, 1.2)
"""A perturbed setting is multiplied by one of these."""
RESAMPLE = 0.25
"""Probability that a setting is resampled instead of multiplied by one of the factors."""
COPY = "checkpoint_copy"
"""Name of the folder of the checkpoint that a trial takes from another."""


class PopulationBasedSearch(ExploitScheduler):
    """Population-based training over the trials of a study.

    At each comparison the trials of the worst quarter exploit (continue from a copy of one of the
    best) and explore (with changed settings). The copy gets a checkpoint of its own that holds the
    changed settings, so that it also resumes correctly after the driver was killed.

    Args:
        recorder: tables of the run.
        space: search space, within which settings are changed.
        epochs: number of epochs of every trial.
        seed: random seed of the choice of donors and of the changes.
        target: metric that trials are compared by.
    """

    def __init__(self, recorder: Recorder, space: Space, epochs: int, seed: int, target: Target):
        super().__init__(
            time_attr="epoch",
            metric=target.column,
            mode=target.mode,
            perturbation_interval=max(1, epochs // STEPS),
            custom_explore_fn=lambda config: config,  # unused, but required
            log_config=False,
        )
        self.recorder, self.epochs = recorder, epochs
        self.searched = [space[name] for name in MUTABLE_SETTINGS if name in space]
        self.random = random.Random(seed)  # noqa: S311  reproducible

    def __reduce__(self) -> tuple[type[TrialScheduler], tuple[()]]:
        # Ray pickles it for its own restore, which we never use.
        return TrialScheduler, ()

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Continue the trial, pause it for waiting ones, or let it exploit and explore."""
        if not 0 < result.get("epoch", 0) < self.epochs:
            return TrialScheduler.CONTINUE  # a final result, or one of a trial about to end
        action: str = super().on_trial_result(tune_controller, trial, result)
        return action

    def exploit(self, trial: Trial, best: list[Trial], tune_controller: Any) -> None:
        """Continue a trial from the newest checkpoint of one of the best, with changed settings."""
        donor = self.random.choice(best)
        name, donor_name = trial_name(trial), trial_name(donor)
        config = self.recorder.configs[donor_name]
        folder = self.recorder.folder
        found = newest_checkpoint(folder.child(donor_name), config)
        if found is None or len(found[1]["history"]) >= self.epochs:
            return
        _, state = found
        config = explore(config, self.searched, self.random)
        tune_controller.pause_trial(trial, should_checkpoint=False)
        own = folder.child(name).child(COPY)
        own.make()
        with tempfile.TemporaryDirectory() as local:
            save_checkpoint(Path(local), changed(state, config))
            copy_files(local, own.path, destination_filesystem=own.fs)
        trial_argument = {**trial.config["trial"], "config": json.dumps(config.to_dict())}
        trial.set_config({"trial": trial_argument})
        last = dict(state["history"][-1])
        set_latest_checkpoint(trial, tune.Checkpoint(own.path, own.fs), last)
        self.take_schedule(trial, donor)
        self.recorder.inherit(name, donor_name, config, state["history"], COPY)


def explore(config: TrialConfig, searched: list[Parameter], rng: random.Random) -> TrialConfig:
    """Return a configuration with every searched setting perturbed or resampled in its range.

    A setting that is None in `config` (dropout, where the model's default is used) stays None
    unless it is resampled.
    """
    values: dict[str, Any] = {}
    for parameter in searched:
        name, low, high = parameter.name, parameter.low, parameter.high
        value = getattr(config, name)
        resample = rng.random() < RESAMPLE
        if parameter.kind == "categorical":
            if resample:
                values[name] = rng.choice(parameter.choices)
            continue
        assert low is not None
        assert high is not None
        if resample:
            value = low * (high / low) ** rng.random() if parameter.log else rng.uniform(low, high)
        elif value is not None:
            value = min(max(value * rng.choice(FACTORS), low), high)
        if value is not None and parameter.step:
            value = low + parameter.step * round((value - low) / parameter.step)
        values[name] = value
    return dataclasses.replace(config, **values)
