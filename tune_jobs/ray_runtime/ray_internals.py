"""Every use of a private name of Ray's, each with the reason for it.

All were read in the sources of ray 2.60.0; read them again before the bound in pyproject.toml is
raised.
"""

from __future__ import annotations

from typing import Any

from ray import tune
from ray.train._internal.checkpoint_manager import _CheckpointManager
from ray.train._internal.session import _TrainingResult
from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    HyperBandScheduler,
    PopulationBasedTraining,
    TrialScheduler,
)
from ray.tune.schedulers.hyperband import _Bracket
from ray.tune.schedulers.pbt import _PBTTrialState


def release_trial(trial: Trial, first: Trial, last_result: dict[str, Any]) -> None:
    """Free what Ray keeps of an ended trial until the run ends: 30 KB and more.

    Args:
        trial: one that has ended.
        first: another trial of the run, or the same, whose shared settings it takes.
        last_result: what the trial's last result is replaced by. Ray prints a line on a trial that
            has none, whatever its verbosity.
    """
    metadata = trial.run_metadata
    metadata.last_result = last_result
    metadata.metric_analysis, metadata.metric_n_steps = {}, {}
    metadata.checkpoint_manager = _CheckpointManager(None)
    # The worker's first answer, which holds the call itself too. The result above replaces it.
    trial._default_result_or_future = None
    trial.evaluated_params = {}
    trial.set_experiment_tag("")
    # Of these all trials have the same, each in an object of its own.
    trial.placement_group_factory = first.placement_group_factory
    assert trial.storage is not None  # as it has run
    assert first.storage is not None
    trial.storage.syncer = first.storage.syncer
    trial.storage.sync_config = first.storage.sync_config


def set_latest_checkpoint(
    trial: Trial, checkpoint: tune.Checkpoint, metrics: dict[str, float]
) -> None:
    """Make Ray start a paused trial from a checkpoint, as Ray's own PBT does.

    Ray has no public way to give a trial the checkpoint of another one.
    """
    manager = trial.run_metadata.checkpoint_manager
    assert manager is not None  # as it has run
    manager._latest_checkpoint_result = _TrainingResult(checkpoint=checkpoint, metrics=metrics)


class HyperBand(HyperBandScheduler):
    """Ray's HyperBand, which expects that a trial ends only when the scheduler stops it.

    Ours end themselves: with a last result that has no epoch, when they diverge or fail.
    """

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Let a trial that reports its end go on to it."""
        if self._time_attr not in result:
            return TrialScheduler.CONTINUE
        action: str = super().on_trial_result(tune_controller, trial, result)
        return action

    def _create_bracket(self, s: int) -> Bracket:
        bracket: Bracket = super()._create_bracket(s)  # type: ignore[no-untyped-call]
        bracket.__class__ = Bracket
        return bracket


class Bracket(_Bracket):
    """Ray's bracket, which forgets a trial that is being paused when all are done.

    The run then never ends.
    """

    def cleanup_full(self, tune_controller: Any) -> None:
        """Stop the trials that wait."""
        for trial in self.current_trials():
            if trial.status == Trial.PAUSED or trial.is_saving:
                tune_controller.stop_trial(trial)


class ExploitScheduler(PopulationBasedTraining):
    """Ray's PBT, with the exploit step left to `exploit`, for trials of a searcher.

    Ray's own refuses searchers, compares trials before all have a score, and gives a copy the
    whole configuration of its donor, name included.
    """

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Enter a trial of a searcher, which Ray's own refuses."""
        self._trial_state[trial] = _PBTTrialState(trial)

    def exploit(self, trial: Trial, best: list[Trial], tune_controller: Any) -> None:
        """Make a trial of the worst quarter a copy of one of the best."""
        raise NotImplementedError

    def take_schedule(self, trial: Trial, donor: Trial) -> None:
        """Have a trial compared with the others next when its donor is."""
        state, given = self._trial_state[trial], self._trial_state[donor]
        state.last_perturbation_time = given.last_perturbation_time
        state.last_train_time = given.last_train_time

    def _quantiles(self) -> tuple[list[Trial], list[Trial]]:
        """Return the worst and the best quarter, once every trial that lives has a score."""
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


def check_autoscaler_config(config: dict[str, Any]) -> None:
    """Validate a cluster configuration as `ray up` does; raises what Ray raises."""
    from ray.autoscaler._private.util import prepare_config, validate_config  # takes a second

    validate_config(prepare_config(config))
