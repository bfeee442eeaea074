"""Loggers beside our own tables: TensorBoard always, MLflow or Weights & Biases when asked for."""

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

from trainables.errors import InputError
from trainables.metrics import EPOCH_METRICS
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.tuning.callbacks import DriverCallback, trial_name

# What TensorBoard calls our metrics: a chart of a quantity shows all its parts.
TAGS = {
    metric: f"{rest}/{part}" if part in ("train", "val") else metric
    for metric in EPOCH_METRICS
    for part, _, rest in [metric.partition("_")]
}


class TensorBoard(DriverCallback):
    """Event files in each trial's folder: our metrics by epoch, without Ray's bookkeeping.

    They are written as they come: a SummaryWriter would have two threads and a queue a trial, and
    stay in memory until the process ends.
    """

    def __init__(self) -> None:
        self.writers: dict[str, EventsWriter] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Write an epoch."""
        if "epoch" not in result:
            return
        name = trial_name(trial)
        if name not in self.writers:
            # Ray copies this folder into the run's, on a disk or in an object store.
            assert trial.local_path is not None  # it has run
            self.writers[name] = EventsWriter(str(Path(trial.local_path, "events")))
        values = [
            Summary.Value(tag=tag, simple_value=result[metric]) for metric, tag in TAGS.items()
        ]
        event = Event(
            wall_time=time.time(), step=int(result["epoch"]), summary=Summary(value=values)
        )
        self.writers[name].write_event(event)
        self.writers[name].flush()

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Close the trial's file."""
        if writer := self.writers.pop(trial_name(trial), None):
            writer.close()

    on_trial_error = on_trial_complete

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Close what an interruption left open."""
        for writer in self.writers.values():
            writer.close()


def with_settings(callback: type[LoggerCallback]) -> Callable[..., LoggerCallback]:
    """A tracker of Ray's that logs a trial's settings, not the one text that Ray hands out."""

    class WithSettings(callback):  # type: ignore[misc, valid-type]
        def __init__(self, **arguments: Any):
            super().__init__(**arguments)
            self.told: set[str] = set()

        def log_trial_start(self, trial: Trial) -> None:
            # A trial that goes on, or as a copy of another, starts again: MLflow takes no changes.
            if trial.trial_id in self.told:
                return
            self.told.add(trial.trial_id)
            given = trial.config
            trial.config = json.loads(given["trial"]["config"])
            try:
                super().log_trial_start(trial)
            finally:
                trial.config = given

    return WithSettings


def tracking_callbacks(
    track: Literal["mlflow", "wandb"] | None, folder: RunFolder
) -> list[Callback]:
    """Callbacks for TensorBoard and for the tracker asked for.

    Raises:
        InputError: its package is not installed.
    """
    callbacks: list[Callback] = [TensorBoard()]
    try:
        if track == "mlflow":
            import mlflow  # noqa: F401  Ray's callback imports it late
            from ray.air.integrations.mlflow import MLflowLoggerCallback

            callbacks.append(with_settings(MLflowLoggerCallback)(experiment_name=folder.name))
        elif track == "wandb":
            import wandb  # noqa: F401
            from ray.air.integrations.wandb import WandbLoggerCallback

            wandb_callback = with_settings(WandbLoggerCallback)
            callbacks.append(wandb_callback(project="bakeoff", group=folder.name))
    except ImportError as error:
        raise InputError(
            f"--track {track} needs a package ({error}): pip install 'bakeoff[{track}]'"
        ) from error
    return callbacks
