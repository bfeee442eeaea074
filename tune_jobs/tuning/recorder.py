"""Keeps the tables of a run folder up to date while Ray Tune works."""

from __future__ import annotations

import hashlib
import time
from typing import Any, cast

from pyarrow.fs import FileSelector
from ray.tune.experiment import Trial

from trainables.checkpoint import BEST_FILE
from trainables.config import TrialConfig
from trainables.metrics import EPOCH_METRICS
from trainables.status import TrialStatus
from tune_jobs.ray_runtime.ray_internals import release_trial
from tune_jobs.run_folder.checkpoints import newest_checkpoint
from tune_jobs.run_folder.folder import EPOCHS_FILE, TRACEBACK_FILE, TRIALS_FILE, RunFolder
from tune_jobs.run_folder.records import EpochRow, TrialRow
from tune_jobs.run_folder.schema import (
    EPOCH_SCHEMA,
    TRIAL_SCHEMA,
    config_columns,
    config_of,
    summary_columns,
)
from tune_jobs.tuning.callbacks import DriverCallback, trial_name

REPORTED = ("status", "error", "device", "precision", "latency_ms")
"""Columns of trials.parquet that a trial reports as they are."""
WEIGHTS = ("checkpoint", "weights_sha256")
"""Columns of trials.parquet on the weights of the best epoch."""
WRITE_EVERY_S = 2.0
# Of the driver's time, at most, goes into writing tables.
WRITE_SHARE = 0.05


class Recorder(DriverCallback):
    """The rows of trials.parquet and epochs.parquet, written at most every two seconds.

    A driver that is killed leaves tables up to that much behind its checkpoints. So every
    checkpoint holds the epochs that led to it, and `restore` takes them from there.
    """

    def __init__(self, folder: RunFolder):
        self.folder = folder
        self.configs: dict[str, TrialConfig] = {}
        self.rows: dict[str, TrialRow] = {}
        """Of trials.parquet, without the settings, which `configs` has."""
        self.epochs: dict[str, dict[int, EpochRow]] = {}
        self._next_write = 0.0
        self._first: Trial | None = None

    def add(self, name: str, config: TrialConfig, parameters: int) -> None:
        """Enter a trial that has not begun; `parameters` are its model's learnable ones."""
        self.configs[name] = config
        self.epochs[name] = {}
        self.rows[name] = {
            "trial": name,
            "status": TrialStatus.PENDING,
            **summary_columns([]),
            "parameters": parameters,
        }

    def inherit(
        self,
        name: str,
        donor: str,
        config: TrialConfig,
        history: list[dict[str, float]],
        checkpoint: str,
    ) -> None:
        """A trial goes on from a copy of another's checkpoint, with the epochs that led there."""
        row, given = self.rows[name], self.rows[donor]
        self.configs[name] = config
        self.epochs[name] = self._epoch_rows(name, history)
        copy = f"{donor} after epoch {len(history)}"
        row |= {
            "copied": f"{row['copied']}, {copy}" if row.get("copied") else copy,
            "parameters": given["parameters"],
            "latency_ms": given.get("latency_ms"),
        }
        row |= self._weights(f"{name}/{checkpoint}")
        self._summarise(name)
        self.write(force=True)

    def restore(self, changed: bool = False) -> dict[str, str | None]:
        """Take over what an earlier driver left of the trials that have been added.

        Args:
            changed: whether a scheduler may have changed the settings of a trial.

        Returns:
            The trials still to train, each with the checkpoint it goes on from. Workers of a
            killed driver live on for a moment and may write another one, so the choice is made
            once, here, and the tables agree with it.
        """
        if self.folder.has(TRIALS_FILE):
            for kept in self.folder.read_rows(TRIALS_FILE):
                name = kept["trial"]
                self.rows[name] |= {"copied": kept.get("copied"), "parameters": kept["parameters"]}
                if TrialStatus(kept["status"]).is_ended:
                    self.configs[name] = config_of(kept)
                    ended = {key: kept.get(key) for key in (*REPORTED, *WEIGHTS)}
                    self.rows[name] |= cast("TrialRow", ended)
            for kept in self.folder.read_rows(EPOCHS_FILE):
                self.epochs[kept["trial"]][kept["epoch"]] = cast("EpochRow", kept)
        left: dict[str, str | None] = {}
        for name, row in self.rows.items():
            if not TrialStatus(row["status"]).is_ended:
                left[name] = None
                self.epochs[name] = {}
                own = self.folder.child(name)
                if newest := newest_checkpoint(own, None if changed else self.configs[name]):
                    checkpoint, state = newest
                    left[name] = checkpoint.uri
                    row |= self._weights(f"{name}/{checkpoint.name}")
                    self.configs[name] = TrialConfig.from_dict(state["config"])
                    self.epochs[name] = self._epoch_rows(name, state["history"])
            self._summarise(name)
        return left

    # Hooks of Ray Tune

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial has a worker."""
        self._row(trial)["status"] = TrialStatus.RUNNING
        self.write()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial has reported an epoch, or how it ended."""
        row, name = self._row(trial), trial_name(trial)
        for key in REPORTED:
            if key in result:
                row[key] = result[key]  # type: ignore[literal-required]
        if "traceback" in result:
            self._write_traceback(trial, result["traceback"])
        # One that is paused by now went on as a copy of another, and this epoch is not of the copy.
        if "epoch" in result and trial.status != Trial.PAUSED:
            self.epochs[name][result["epoch"]] = self._epoch_row(name, result)
            self._summarise(name)
        self.write()

    def on_trial_save(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Ray knows a new checkpoint, so the ones before it can go: it holds the best weights."""
        saved, name = trial.latest_checkpoint_result, trial_name(trial)
        assert saved is not None  # this is what on_trial_save is about
        assert saved.checkpoint is not None
        parent, newest = saved.checkpoint.path.rsplit("/", 1)
        self.rows[name] |= {
            "checkpoint": f"{name}/{newest}",
            "weights_sha256": saved.metrics["weights_sha256"],
        }
        fs = self.folder.fs
        for other in fs.get_file_info(FileSelector(parent)):
            if other.base_name.startswith("checkpoint_") and other.base_name != newest:
                fs.delete_dir(other.path)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial has ended, by itself or by the scheduler."""
        row, name = self._row(trial), trial_name(trial)
        if row["status"] == TrialStatus.RUNNING:
            done = len(self.epochs[name]) >= self.configs[name].epochs
            row["status"] = TrialStatus.FINISHED if done else TrialStatus.STOPPED
        self._first = self._first or trial
        last = {"epoch": len(self.epochs[trial_name(trial)])}
        release_trial(trial, self._first, last)
        trial.config["trial"] = {"name": trial_name(trial)}
        self.write()

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial's worker has died more often than it is replaced."""
        row, error = self._row(trial), str(trial.get_error()).strip()
        row["status"] = TrialStatus.FAILED
        row["error"] = f"its worker process died too often: {error.splitlines()[0]}"
        self._write_traceback(trial, error)
        self.write()

    # Tables

    def close(self) -> None:
        """Write the tables for good; what still runs is interrupted."""
        for row in self.rows.values():
            if row["status"] == TrialStatus.RUNNING:
                row["status"] = TrialStatus.INTERRUPTED
        self.write(force=True)

    def write(self, force: bool = False) -> None:
        """Write both tables, unless they were written just now."""
        start = time.monotonic()
        if start < self._next_write and not force:
            return
        # Epochs first: a trial has its end in the tables only where they have all its epochs.
        rows = [row for epochs in self.epochs.values() for _, row in sorted(epochs.items())]
        self.folder.write_rows(EPOCHS_FILE, rows, EPOCH_SCHEMA)
        trials = [config_columns(self.configs[name]) | row for name, row in self.rows.items()]
        self.folder.write_rows(TRIALS_FILE, trials, TRIAL_SCHEMA)
        end = time.monotonic()
        self._next_write = end + max(WRITE_EVERY_S, (end - start) / WRITE_SHARE)

    def _weights(self, checkpoint: str) -> TrialRow:
        """Return the columns on a trial's weights."""
        content = self.folder.read(f"{checkpoint}/{BEST_FILE}")
        return {"checkpoint": checkpoint, "weights_sha256": hashlib.sha256(content).hexdigest()}

    def _write_traceback(self, trial: Trial, text: str) -> None:
        """Write what the one line in the tables leaves out into the trial's folder."""
        folder = self.folder.child(trial_name(trial))
        folder.fs.create_dir(folder.path)
        folder.write(TRACEBACK_FILE, (text.rstrip() + "\n").encode())

    def _row(self, trial: Trial) -> TrialRow:
        return self.rows[trial_name(trial)]

    def _summarise(self, name: str) -> None:
        epochs = [row for _, row in sorted(self.epochs[name].items())]
        self.rows[name] |= summary_columns(epochs)

    def _epoch_rows(self, name: str, history: list[dict[str, float]]) -> dict[int, EpochRow]:
        return {int(epoch["epoch"]): self._epoch_row(name, epoch) for epoch in history}

    @staticmethod
    def _epoch_row(name: str, result: dict[str, Any]) -> EpochRow:
        metrics = {metric: float(result[metric]) for metric in EPOCH_METRICS}
        return cast("EpochRow", {"trial": name, "epoch": int(result["epoch"]), **metrics})
