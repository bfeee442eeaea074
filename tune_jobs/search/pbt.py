"""Population-based training (Jaderberg et al. 2017) over the trials of a search."""

from __future__ import annotations

import dataclasses
import json
import random
import tempfile
from pathlib import Path
from typing import Any

from pyarrow.fs import copy_files
from ray import tune
from ray.train._internal.session import _TrainingResult
from ray.tune.experiment import Trial
from ray.tune.schedulers import PopulationBasedTraining, TrialScheduler
from ray.tune.schedulers.pbt import _PBTTrialState

from trainables.checkpoint import changed, save_checkpoint
from trainables.config import CHANGEABLE, TrialConfig
from trainables.metrics import TARGET
from tune_jobs.run_folder.checkpoints import newest_checkpoint
from tune_jobs.search_space.space import Parameter, Space
from tune_jobs.tuning.recorder import Recorder, trial_name

STEPS = 5
"""So many times, at most, a trial is compared with the others."""
FACTORS = (0.8, 1.2)
RESAMPLE = 0.25
"""Chance that a setting is drawn anew, instead of multiplied by one of the factors."""
COPY = "checkpoint_copy"


class Population(PopulationBasedTraining):
    """Ray's, over a study's trials: the worst quarter goes on as changed copies of the best.

    Ray's own refuses searchers and gives a copy the whole configuration of its donor, name
    included; and its donor's checkpoint may be gone before the copy starts. Here the copy gets a
    checkpoint of its own, with the changed settings in it, so that a killed driver goes on right.

    Args:
        recorder: of the run.
        space: that settings are changed within.
        epochs: of every trial.
        seed: of what is drawn.
    """

    def __init__(self, recorder: Recorder, space: Space, epochs: int, seed: int):
        super().__init__(
            time_attr="epoch",
            metric=TARGET,
            mode="max",
            perturbation_interval=max(1, epochs // STEPS),
            custom_explore_fn=lambda config: config,  # not used, but asked for
            log_config=False,
        )
        self.recorder, self.epochs = recorder, epochs
        self.searched = [space[name] for name in CHANGEABLE if name in space]
        self.random = random.Random(seed)

    def __reduce__(self) -> tuple[type[TrialScheduler], tuple[()]]:
        # Ray pickles it into a file to restore it from, which we never do.
        return TrialScheduler, ()

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Enter a trial; Ray's own refuses those of a searcher."""
        self._trial_state[trial] = _PBTTrialState(trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Go on, make room for those that wait, or become a copy of a better one."""
        if not 0 < result.get("epoch", 0) < self.epochs:
            return TrialScheduler.CONTINUE  # it says how it ended, or is about to
        action: str = super().on_trial_result(tune_controller, trial, result)
        return action

    def _quantiles(self) -> tuple[list[Trial], list[Trial]]:
        """The worst and the best quarter, once every trial that lives has a score."""
        if any(s.last_score is None and not t.is_finished() for t, s in self._trial_state.items()):
            return [], []
        worst, best = super()._quantiles()
        return worst, best

    def _checkpoint_or_exploit(
        self,
        trial: Trial,
        tune_controller: Any,
        upper_quantile: list[Trial],
        lower_quantile: list[Trial],
    ) -> None:
        """Turn one of the worst into a copy of one of the best, from its newest checkpoint."""
        if trial not in lower_quantile:
            return
        donor = self.random.choice(upper_quantile)
        name, donor_name = trial_name(trial), trial_name(donor)
        config = self.recorder.configs[donor_name]
        folder = self.recorder.folder
        found = newest_checkpoint(folder.child(donor_name), config)
        if found is None or len(found[1]["history"]) >= self.epochs:
            return
        config = explore(config, self.searched, self.random)
        tune_controller.pause_trial(trial, should_checkpoint=False)
        own = folder.child(name).child(COPY)
        own.make()
        with tempfile.TemporaryDirectory() as local:
            save_checkpoint(Path(local), changed(found[1], config))
            copy_files(local, own.path, destination_filesystem=own.fs)
        given_to_ray = {**trial.config["trial"], "config": json.dumps(config.to_dict())}
        trial.set_config({"trial": given_to_ray})
        manager = trial.run_metadata.checkpoint_manager
        assert manager is not None
        # As Ray's own does it: this is what the trial is started from again.
        manager._latest_checkpoint_result = _TrainingResult(
            checkpoint=tune.Checkpoint(own.path, own.fs), metrics=dict(found[1]["history"][-1])
        )
        state, given = self._trial_state[trial], self._trial_state[donor]
        state.last_perturbation_time = given.last_perturbation_time
        state.last_train_time = given.last_train_time
        self.recorder.inherit(name, donor_name, config, found[1]["history"], COPY)


def explore(config: TrialConfig, searched: list[Parameter], rng: random.Random) -> TrialConfig:
    """A config with each of the searched settings changed a little, within its range.

    A setting that the config has not, such as dropout where the model's own is taken, stays so.
    """
    values: dict[str, Any] = {}
    for parameter in searched:
        name, low, high = parameter.name, parameter.low, parameter.high
        value = getattr(config, name)
        anew = rng.random() < RESAMPLE
        if parameter.kind == "categorical":
            if anew:
                values[name] = rng.choice(parameter.choices)
            continue
        assert low is not None
        assert high is not None
        if anew:
            value = low * (high / low) ** rng.random() if parameter.log else rng.uniform(low, high)
        elif value is not None:
            value = min(max(value * rng.choice(FACTORS), low), high)
        if value is not None and parameter.step:
            value = low + parameter.step * round((value - low) / parameter.step)
        values[name] = value
    return dataclasses.replace(config, **values)
