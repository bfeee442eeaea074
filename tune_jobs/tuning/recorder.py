"""Keep the tables of a run folder up to date while Ray Tune runs."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from typing import Any, cast

from pyarrow.fs import FileSelector
from ray.tune.experiment import Trial

from trainables.checkpoint import BEST_FILE
from trainables.config import TrialConfig
from trainables.metrics import EPOCH_METRICS
from trainables.patience import is_trained
from trainables.status import TrialStatus
from trainables.target import TARGETS, Target
from tune_jobs.ray_runtime.tune_internals import release_trial
from tune_jobs.run_folder.checkpoints import newest_checkpoint
from tune_jobs.run_folder.constraints import Constraint, is_feasible
from tune_jobs.run_folder.folder import EPOCHS_FILE, TRACEBACK_FILE, TRIALS_FILE, RunFolder
from tune_jobs.run_folder.records import EpochRow, TrialRow
from tune_jobs.run_folder.schema import (
    EPOCH_SCHEMA,
    TRIAL_SCHEMA,
    config_columns,
    config_of,
    is_soup,
    stopped_by,
    summary_columns,
)
from tune_jobs.tuning.callbacks import DriverCallback, trial_name

REPORTED = ("status", "error", "device", "precision", "latency_ms")
"""Columns of trials.parquet that are copied from the reports of trials."""
WEIGHTS = ("checkpoint", "weights_sha256")
"""Columns of trials.parquet on the weights of the best epoch."""
WRITE_EVERY_S = 2.0
"""Minimum number of seconds between two writes of the tables."""
WRITE_SHARE = 0.05
"""Maximum fraction of the driver's time that is spent on writing tables."""


class Recorder(DriverCallback):
    """Callback that writes trials.parquet and epochs.parquet, at most every two seconds.

    The tables of a killed driver may be that much older than its checkpoints. So every checkpoint
    contains the metrics of all epochs before it, and `restore` takes them from there.

    Args:
        folder: the run folder.
        constraints: constraints that the column `feasible` is about.
        timeout: seconds without an epoch after which a worker process ends itself; None for never.
    """

    def __init__(
        self,
        folder: RunFolder,
        constraints: Sequence[Constraint] = (),
        timeout: float | None = None,
    ):
        self.folder, self.constraints, self.timeout = folder, constraints, timeout
        self.configs: dict[str, TrialConfig] = {}
        self.rows: dict[str, TrialRow] = {}
        """Rows of trials.parquet by trial, without the settings, which are in `configs`."""
        self.epochs: dict[str, dict[int, EpochRow]] = {}
        """Rows of epochs.parquet by trial and epoch."""
        self._next_write, self._unwritten = 0.0, False
        self._first: Trial | None = None

    def add(self, name: str, config: TrialConfig, parameters: int) -> None:
        """Add a trial that has not started; `parameters` is its number of learnable parameters."""
        self.configs[name] = config
        self.epochs[name] = {}
        self.rows[name] = {
            "trial": name,
            "status": TrialStatus.PENDING,
            **summary_columns([]),
            "parameters": parameters,
        }

    def add_soup(self, row: TrialRow, config: TrialConfig) -> None:
        """Add an average of trials, which has no epochs; `config` is that of its best member."""
        name = row["trial"]
        self.rows[name], self.configs[name], self.epochs[name] = row, config, {}

    def target(self, name: str) -> Target:
        """Return the metric that a trial was selected by."""
        return TARGETS[self.configs[name].metric]

    def inherit(
        self,
        name: str,
        donor: str,
        config: TrialConfig,
        history: list[dict[str, float]],
        checkpoint: str,
    ) -> None:
        """Record that a trial continues from a copy of another trial's checkpoint.

        Args:
            name: the trial.
            donor: the trial that the checkpoint was copied from.
            config: complete configuration of the trial from now on.
            history: metrics of the donor's epochs up to the checkpoint.
            checkpoint: name of the copy in the trial's folder.
        """
        row, donor_row = self.rows[name], self.rows[donor]
        self.configs[name] = config
        self.epochs[name] = self._epoch_rows(name, history)
        copy = f"{donor} after epoch {len(history)}"
        row |= {
            "copied": f"{row['copied']}, {copy}" if row.get("copied") else copy,
            "parameters": donor_row["parameters"],
            "latency_ms": donor_row.get("latency_ms"),
        }
        row |= self._weights(f"{name}/{checkpoint}")
        self._summarise(name)
        self.write(force=True)

    def restore(self, changed: bool = False) -> dict[str, str | None]:
        """Restore the added trials from the tables and checkpoints of an earlier driver.

        Args:
            changed: whether a scheduler may have changed the settings of a trial.

        Returns:
            The trials still to train, each with the URI of the checkpoint it resumes from, or
            None. Worker processes of a killed driver live on for a moment and may write another
            checkpoint, so the checkpoint is chosen only here, and the tables agree with it.
        """
        if self.folder.has(TRIALS_FILE):
            for kept in self.folder.read_rows(TRIALS_FILE):
                name = kept["trial"]
                if is_soup(kept):
                    columns = {key: kept.get(key) for key in TrialRow.__annotations__}
                    known = {key: value for key, value in columns.items() if value is not None}
                    self.add_soup(cast("TrialRow", known), config_of(kept))
                    continue
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
            if not is_soup(row):
                self._summarise(name)
        return left

    # Hooks of Ray Tune

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Write what has come too soon after the last write."""
        if self._unwritten:
            self.write()

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Mark a trial as running."""
        self._row(trial)["status"] = TrialStatus.RUNNING
        self.write()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Record an epoch of a trial, or how the trial ended."""
        row, name = self._row(trial), trial_name(trial)
        for key in REPORTED:
            if key in result:
                row[key] = result[key]  # type: ignore[literal-required]
        if "traceback" in result:
            self._write_traceback(trial, result["traceback"])
        # A trial paused by now continues from another trial's checkpoint, without this epoch.
        if "epoch" in result and trial.status != Trial.PAUSED:
            self.epochs[name][result["epoch"]] = self._epoch_row(name, result)
            self._summarise(name)
        self.write()

    def on_trial_save(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Delete the older checkpoints of a trial: the new one contains the best weights too."""
        saved, name = trial.latest_checkpoint_result, trial_name(trial)
        assert saved is not None  # Ray calls this hook after a checkpoint
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
        """Record that a trial has ended or was stopped, and free its memory."""
        row, name = self._row(trial), trial_name(trial)
        if row["status"] == TrialStatus.RUNNING:
            epochs = [row for _, row in sorted(self.epochs[name].items())]
            done = is_trained(self.configs[name], epochs)
            row["status"] = TrialStatus.FINISHED if done else TrialStatus.STOPPED
        self._first = self._first or trial
        release_trial(trial, self._first, {"epoch": len(self.epochs[name])})
        trial.config["trial"] = {"name": name}
        self.write()

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Record that a worker process died and has no restart left."""
        row, found = self._row(trial), trial.get_error()  # None if the process said nothing
        error = "" if found is None else str(found).strip()
        row["status"] = TrialStatus.FAILED
        hung = "" if self.timeout is None else f", or had no epoch within {self.timeout:g} s,"
        reason = f": {error.splitlines()[0]}" if error else ""
        row["error"] = f"worker process died{hung} too often{reason}"
        if error:
            self._write_traceback(trial, error)
        self.write()

    # Tables

    def close(self) -> None:
        """Mark running trials as interrupted and write the tables a last time."""
        for row in self.rows.values():
            if row["status"] == TrialStatus.RUNNING:
                row["status"] = TrialStatus.INTERRUPTED
        self.write(force=True)

    def write(self, force: bool = False) -> None:
        """Write both tables; without `force` only if the last write is long enough ago."""
        start = time.monotonic()
        self._unwritten = start < self._next_write and not force
        if self._unwritten:
            return
        # Epochs first: after a kill, a trial marked as ended must have all its epochs.
        rows = [row for epochs in self.epochs.values() for _, row in sorted(epochs.items())]
        self.folder.write_rows(EPOCHS_FILE, rows, EPOCH_SCHEMA)
        trials = [
            config_columns(self.configs[name])
            | row
            | {"feasible": self.feasible(row), "stopped_by": self.stopped_by(row)}
            for name, row in self.rows.items()
        ]
        self.folder.write_rows(TRIALS_FILE, trials, TRIAL_SCHEMA)
        end = time.monotonic()
        self._next_write = end + max(WRITE_EVERY_S, (end - start) / WRITE_SHARE)

    def feasible(self, row: TrialRow) -> bool | None:
        """Return whether a trial satisfies the constraints; None without any, or if it may yet."""
        return is_feasible(row, self.constraints) if self.constraints else None

    def stopped_by(self, row: TrialRow) -> str | None:
        """Return what ended a trial before its last epoch, as the column of that name has it."""
        return stopped_by(row, self.configs[row["trial"]])

    def _weights(self, checkpoint: str) -> TrialRow:
        """Return the columns on the weights of a trial's best epoch."""
        content = self.folder.read(f"{checkpoint}/{BEST_FILE}")
        return {"checkpoint": checkpoint, "weights_sha256": hashlib.sha256(content).hexdigest()}

    def _write_traceback(self, trial: Trial, text: str) -> None:
        """Write a traceback into the trial's folder; the tables have only one line of it."""
        folder = self.folder.child(trial_name(trial))
        folder.fs.create_dir(folder.path)
        folder.write(TRACEBACK_FILE, (text.rstrip() + "\n").encode())

    def _row(self, trial: Trial) -> TrialRow:
        return self.rows[trial_name(trial)]

    def _summarise(self, name: str) -> None:
        epochs = [row for _, row in sorted(self.epochs[name].items())]
        self.rows[name] |= summary_columns(epochs, self.target(name))

    def _epoch_rows(self, name: str, history: list[dict[str, float]]) -> dict[int, EpochRow]:
        return {int(epoch["epoch"]): self._epoch_row(name, epoch) for epoch in history}

    @staticmethod
    def _epoch_row(name: str, result: dict[str, Any]) -> EpochRow:
        # Checkpoints of earlier versions lack the metrics that were added since.
        metrics = {metric: float(result.get(metric, math.nan)) for metric in EPOCH_METRICS}
        return cast("EpochRow", {"trial": name, "epoch": int(result["epoch"]), **metrics})
