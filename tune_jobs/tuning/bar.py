"""Progress for a caller in Python: one bar, in a notebook or a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial

from trainables.target import TARGETS
from tune_jobs.analysis.formatting import duration
from tune_jobs.command_line.terminal import open_bar
from tune_jobs.ray_runtime.epoch_progress import forget_progress
from tune_jobs.run_folder.schema import has_scores
from tune_jobs.tuning.callbacks import DriverCallback, trial_name
from tune_jobs.tuning.recorder import Recorder
from tune_jobs.tuning.time_left import TimeLeft


class BarProgress(DriverCallback):
    """Callback that shows the epochs of all trials as one bar, with the best score so far.

    It reads the rows of the recorder, so it comes after the recorder in the list of callbacks.

    Args:
        recorder: tables of the run.
        slots: returns the number of trials that may run concurrently.
        trials: number of trials of the run, those not proposed yet included.
    """

    def __init__(self, recorder: Recorder, slots: Callable[[], int], trials: int):
        self.recorder = recorder
        self.time_left = TimeLeft(recorder, slots, trials)
        self.running: set[str] = set()
        # tqdm's own estimate takes all epochs to be alike, and of probes one computes the features.
        self.live = open_bar(
            desc="training",
            bar_format="{desc}: {bar} {n_fmt}/{total_fmt} epochs [{elapsed}{postfix}]",
        )

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Update the bar."""
        if "epoch" in result:
            features_s = result.get("features_s", 0.0)
            self.time_left.add_epoch(trial_name(trial), result["seconds"], features_s)
        self._update()

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Count the trial among the running ones."""
        self.running.add(trial_name(trial))

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Update the bar."""
        self.running.discard(trial_name(trial))
        self.time_left.forget(trial_name(trial))
        self._update()

    on_trial_error = on_trial_complete

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Show how far trials are within their epochs."""
        if not self.live.disable and self.time_left.look([*self.running]):
            self._update()

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Delete what the workers have sent."""
        forget_progress()

    def _update(self) -> None:
        if self.live.disable:
            return
        estimate = self.time_left.estimate()
        rows = [row for row in self.recorder.rows.values() if has_scores(row)]
        done = round(estimate.done, 1)
        self.live.total, self.live.n = round(done + estimate.left), done
        notes = []
        if estimate.seconds is not None:
            notes.append(f"about {duration(estimate.seconds)} left")
        if rows:
            target = TARGETS[next(iter(self.recorder.configs.values())).metric]
            best = max(rows, key=lambda row: target.merit(row[target.best]))  # type: ignore[literal-required]
            score = target.show(best[target.best])  # type: ignore[literal-required]
            notes.append(f"best {target.label} {score} ({best['trial']})")
        self.live.set_postfix_str(", ".join(notes), refresh=False)
        self.live.refresh()
