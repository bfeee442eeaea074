"""All uses of private names of Ray Tune, each with its reason; those of Ray are beside it.

They were checked against the sources of ray 2.60.0. Check them again before raising the upper
bound in pyproject.toml.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from ray import tune
from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.train._internal.checkpoint_manager import _CheckpointManager
from ray.train._internal.session import _TrainingResult
from ray.tune import tune as tune_module
from ray.tune.execution import class_cache, tune_controller
from ray.tune.experiment import Trial
from ray.tune.schedulers import HyperBandScheduler, PopulationBasedTraining, TrialScheduler
from ray.tune.schedulers.hyperband import _Bracket
from ray.tune.schedulers.pbt import _PBTTrialState

from tune_jobs.ray_runtime.ray_internals import replaced

OUT_OF_MEMORY = "memory ran out; a smaller --batch-size or --max-concurrent 1 takes less"


def release_trial(trial: Trial, first: Trial, last_result: dict[str, Any]) -> None:
    """Free the memory, 30 KB and more, that Ray keeps for an ended trial until the run ends.

    Args:
        trial: a trial that has ended.
        first: any trial of the run, maybe the same; objects that are equal are shared with it.
        last_result: replaces the trial's last result. Without a last result Ray prints a line on
            the trial, whatever its verbosity.
    """
    metadata = trial.run_metadata
    metadata.last_result = last_result
    metadata.metric_analysis, metadata.metric_n_steps = {}, {}
    metadata.checkpoint_manager = _CheckpointManager(None)
    # The worker's first result, which keeps the whole call in memory. last_result replaces it.
    trial._default_result_or_future = None
    trial.evaluated_params = {}
    trial.set_experiment_tag("")
    # All trials have equal copies of these objects.
    trial.placement_group_factory = first.placement_group_factory
    assert trial.storage is not None  # the trial has run
    assert first.storage is not None
    trial.storage.syncer = first.storage.syncer
    trial.storage.sync_config = first.storage.sync_config


def set_latest_checkpoint(
    trial: Trial, checkpoint: tune.Checkpoint, metrics: dict[str, float]
) -> None:
    """Make Ray start a paused trial from a checkpoint, as Ray's own PBT does.

    Ray has no public way to start a trial from the checkpoint of another one.
    """
    manager = trial.run_metadata.checkpoint_manager
    assert manager is not None  # the trial has run
    manager._latest_checkpoint_result = _TrainingResult(checkpoint=checkpoint, metrics=metrics)


class TrialActors(RayActorManager):
    """Actors whose trial alone fails where memory ran out, and whose results are not all kept.

    Ray's own keeps every result in the driver until its actor ends: some 10 KB an epoch.
    """

    def _schedule_tracked_actor_task(
        self, tracked_actor_task: Any, *arguments: Any, **options: Any
    ) -> Any:
        futures = self._tracked_actors_to_task_futures[tracked_actor_task._tracked_actor]
        futures &= self._actor_task_events.get_futures()  # those that it waits for
        return super()._schedule_tracked_actor_task(tracked_actor_task, *arguments, **options)

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, OutOfMemoryError):
            exception = RayActorError(error_msg=f"{OUT_OF_MEMORY}\n{exception}")
        super()._actor_task_failed(tracked_actor_task, exception)


def trial_actors() -> AbstractContextManager[None]:
    """Have Tune use TrialActors."""
    return replaced(tune_controller, RayActorManager=TrialActors)


class _Controller(tune_controller.TuneController):
    """Controller that does not describe every trial for a restore by Ray, which no run uses.

    Ray's own keeps a text of each trial in the driver, and writes all of them time and again.
    """

    def _get_trial_checkpoints(self) -> dict[str, str]:
        self._trials_to_cache.clear()
        return {}


def lean_controller() -> AbstractContextManager[None]:
    """Have Tune use a controller that keeps no texts of trials."""
    return replaced(tune_module, TuneController=_Controller)


def actors_in_idle_workers() -> AbstractContextManager[None]:
    """Have Tune start its actors in idle workers of a local Ray.

    Tune gives each actor a runtime environment with variables of the driver, which the workers of a
    local Ray have anyway. For an actor with a runtime environment Ray starts a new process, which
    takes seconds, instead of using an idle worker.
    """
    return replaced(class_cache, DEFAULT_ENV_VARS={}, ENV_VARS_TO_PROPAGATE=set())


class HyperBand(HyperBandScheduler):
    """Ray's HyperBand, for trials that may end before the scheduler stops them.

    Our trials report a last result without an epoch when they diverge or fail, which Ray's own
    HyperBand does not expect.
    """

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Let a trial that reports its end continue to it."""
        if self._time_attr not in result:
            return TrialScheduler.CONTINUE
        action: str = super().on_trial_result(tune_controller, trial, result)
        return action

    def _create_bracket(self, s: int) -> Bracket:
        bracket: Bracket = super()._create_bracket(s)  # type: ignore[no-untyped-call]
        bracket.__class__ = Bracket
        return bracket


class Bracket(_Bracket):
    """HyperBand bracket that also stops trials that are just being paused.

    Ray's own bracket forgets these when the bracket is complete, and the run then never ends.
    """

    def cleanup_full(self, tune_controller: Any) -> None:
        """Stop the trials of the bracket that are paused or being paused."""
        for trial in self.current_trials():
            if trial.status == Trial.PAUSED or trial.is_saving:
                tune_controller.stop_trial(trial)


class ExploitScheduler(PopulationBasedTraining):
    """Ray's population-based training for trials of a searcher; subclasses implement `exploit`.

    Ray's own refuses searchers, compares trials before all have a score, and gives a trial the
    whole configuration of its donor, name included.
    """

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Add a trial of a searcher, which Ray's own scheduler refuses."""
        self._trial_state[trial] = _PBTTrialState(trial)

    def exploit(self, trial: Trial, best: list[Trial], tune_controller: Any) -> None:
        """Replace a trial of the worst quarter by a copy of one of the best."""
        raise NotImplementedError

    def take_schedule(self, trial: Trial, donor: Trial) -> None:
        """Schedule the next comparison of a trial at the same time as that of its donor."""
        state, donor_state = self._trial_state[trial], self._trial_state[donor]
        state.last_perturbation_time = donor_state.last_perturbation_time
        state.last_train_time = donor_state.last_train_time

    def _quantiles(self) -> tuple[list[Trial], list[Trial]]:
        """Return the worst and the best quarter, or nothing until all live trials have a score."""
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
        if trial in lower_quantile:
            self.exploit(trial, upper_quantile, tune_controller)
