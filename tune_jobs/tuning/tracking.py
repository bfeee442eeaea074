"""Loggers: TensorBoard always, and MLflow or Weights & Biases with --track."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.logger import LoggerCallback
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary

from trainables.metrics import EPOCH_METRICS
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.tuning.callbacks import DriverCallback, trial_name

TAGS = {
    metric: f"{rest}/{split}" if split in ("train", "val") else metric
    for metric in EPOCH_METRICS
    for split, _, rest in [metric.partition("_")]
}
"""TensorBoard tags of our metrics, e.g. loss/train and loss/val, which it groups as loss."""


class TensorBoard(DriverCallback):
    """Callback that writes the metrics of each epoch as event files into the trial's folder.

    Events are written directly: a SummaryWriter would have two threads and a queue per trial, and
    stay in memory until the process ends.
    """

    def __init__(self) -> None:
        self.writers: dict[str, EventsWriter] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Write the metrics of an epoch."""
        if "epoch" not in result:
            return
        name = trial_name(trial)
        if name not in self.writers:
            # Ray copies this local folder into the run folder, on a disk or in an object store.
            assert trial.local_path is not None  # Ray sets it before a trial runs
            self.writers[name] = EventsWriter(str(Path(trial.local_path, "events")))
        values = [
            Summary.Value(tag=tag, simple_value=result[metric])
            for metric, tag in TAGS.items()
            if metric in result
        ]
        event = Event(
            wall_time=time.time(), step=int(result["epoch"]), summary=Summary(value=values)
        )
        self.writers[name].write_event(event)
        self.writers[name].flush()

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Close the event file of the trial."""
        if writer := self.writers.pop(trial_name(trial), None):
            writer.close()

    on_trial_error = on_trial_complete

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Close event files that an interruption left open."""
        for writer in self.writers.values():
            writer.close()


def with_settings(callback: type[LoggerCallback]) -> Callable[..., LoggerCallback]:
    """Return a subclass of a Ray logger that logs the settings of a trial one by one.

    Ray itself passes them as one JSON text, see `ray_config`.
    """

    class WithSettings(callback):  # type: ignore[misc, valid-type]
        def __init__(self, **arguments: Any):
            super().__init__(**arguments)
            self.started: set[str] = set()

        def log_trial_start(self, trial: Trial) -> None:
            # A trial starts again when it resumes, maybe with other settings, which MLflow refuses.
            if trial.trial_id in self.started:
                return
            self.started.add(trial.trial_id)
            original = trial.config
            trial.config = json.loads(original["trial"]["config"])
            try:
                super().log_trial_start(trial)
            finally:
                trial.config = original

    return WithSettings


def tracking_callbacks(
    track: Literal["mlflow", "wandb"] | None, folder: RunFolder
) -> list[Callback]:
    """Return the callbacks for TensorBoard and for the tracker of --track, which is installed."""
    callbacks: list[Callback] = [TensorBoard()]
    if track == "mlflow":
        from ray.air.integrations.mlflow import MLflowLoggerCallback

        callbacks.append(with_settings(MLflowLoggerCallback)(experiment_name=folder.name))
    elif track == "wandb":
        from ray.air.integrations.wandb import WandbLoggerCallback

        wandb_callback = with_settings(WandbLoggerCallback)
        callbacks.append(wandb_callback(project="bakeoff", group=folder.name))
    return callbacks
