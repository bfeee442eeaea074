"""Adapters between Ray Tune and a study: proposed trials to Ray, results to Optuna."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from tune_jobs.search.study import Study
from tune_jobs.tuning.callbacks import DriverCallback, trial_name
from tune_jobs.tuning.tuner import ray_config


class StudySearcher(Searcher):
    """Ray Tune searcher that asks the study for a trial when a slot is free.

    It replaces Ray's OptunaSearch, which tells Optuna that a trial is complete when a scheduler
    has stopped it, and which proposes one trial at a time. Here `StudyCallback` tells the outcome,
    and as many trials are proposed as there are slots.

    Args:
        study: study of the run.
        unfinished: trials to resume before new ones are asked for, each with the checkpoint that
            it resumes from, or None.
        slots: returns the number of trials that may run at a time.
    """

    def __init__(self, study: Study, unfinished: dict[str, str | None], slots: Callable[[], int]):
        super().__init__(metric=study.run.target.column, mode=study.run.target.mode)
        self.study, self.unfinished, self.slots = study, dict(unfinished), slots
        self.running: set[str] = set()

    def __reduce__(self) -> tuple[type[Searcher], tuple[()]]:
        # Ray pickles it for its own restore, which we never use.
        return Searcher, ()

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Return the Ray configuration of the next trial; None while every slot is taken.

        FINISHED, a text, if the constraints leave none to train.
        """
        if len(self.running) >= self.slots():
            return None
        study = self.study
        if self.unfinished:
            name, checkpoint = self.unfinished.popitem()
        else:
            asked, checkpoint = (None if study.exhausted else study.ask()), None
            if asked is None:
                return cast("dict[str, Any]", Searcher.FINISHED)
            name = asked
        self.running.add(trial_id)
        latency = "latency_ms" in study.run.options.costs
        return ray_config(study.run, name, checkpoint, latency, study.latency_limit)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Free a slot."""
        self.running.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the study is in its database."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: runs are resumed without Ray's state."""


class StudyCallback(DriverCallback):
    """Callback that passes results to the study, after the recorder has stored them."""

    def __init__(self, study: Study):
        self.study = study

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Report the metric of an epoch to Optuna."""
        if "epoch" in result:
            score = result[self.study.run.target.column]
            self.study.report(trial_name(trial), result["epoch"], score)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Tell Optuna how a trial ended."""
        self.study.tell(trial_name(trial))

    on_trial_error = on_trial_complete
