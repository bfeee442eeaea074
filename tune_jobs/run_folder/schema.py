"""Columns of trials.parquet and epochs.parquet, and the order that trials are ranked in."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast, get_args, get_type_hints

import pyarrow as pa

from trainables.config import TrialConfig
from trainables.metrics import EPOCH_METRICS
from trainables.status import TrialStatus
from trainables.target import ACCURACY, TARGETS, Target
from tune_jobs.run_folder.records import EpochRow, TrialRow

ADDED_METRICS = (
    "val_balanced_accuracy", "val_macro_f1", "val_log_loss", "val_auroc", "penalty", "features_s",
)  # fmt: skip
"""Metrics that runs of version 0.1 lack."""
ADDED_COLUMNS = ("macs", "feasible", "members", "stopped_by")
"""Other columns of the trials that runs of version 0.1 lack, where they are null."""
ADDED_SETTINGS = {"metric": "accuracy", "class_weights": "none", "penalty": math.nan}
"""Settings that runs of version 0.1 lack, with the values that they had there."""


_ARROW_TYPES: dict[Any, pa.DataType] = {
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
}


def _config_type(name: str, hint: Any) -> pa.DataType:
    if name == "split":
        return pa.list_(pa.float64())
    for type_ in (hint, *get_args(hint)):  # float for `float | None`
        if type_ in _ARROW_TYPES:
            return _ARROW_TYPES[type_]
    return pa.string()


SPLIT_METRICS = [name for name in EPOCH_METRICS if name.startswith(("train_", "val_"))]
"""Metrics that trials.parquet has for the best and the last epoch."""
CONFIG_TYPES = {
    field.name: _config_type(field.name, get_type_hints(TrialConfig)[field.name])
    for field in dataclasses.fields(TrialConfig)
}
EPOCH_SCHEMA = pa.schema(
    [
        ("trial", pa.string()),
        ("epoch", pa.int64()),
        *((name, pa.float64()) for name in EPOCH_METRICS),
    ]
)
TRIAL_SCHEMA = pa.schema(
    [
        ("trial", pa.string()),
        ("status", pa.string()),
        ("error", pa.string()),
        *((f"config/{name}", type_) for name, type_ in CONFIG_TYPES.items()),
        ("epochs", pa.int64()),
        ("best/epoch", pa.int64()),
        *(
            (f"{which}/{name}", pa.float64())
            for which in ("best", "last")
            for name in SPLIT_METRICS
        ),
        ("seconds", pa.float64()),
        ("features_s", pa.float64()),
        ("images_per_second", pa.float64()),
        ("peak_memory_mb", pa.float64()),
        ("micro_batch", pa.float64()),
        ("parameters", pa.int64()),
        ("latency_ms", pa.float64()),
        ("device", pa.string()),
        ("precision", pa.string()),
        ("copied", pa.string()),
        ("checkpoint", pa.string()),
        ("weights_sha256", pa.string()),
        ("macs", pa.int64()),
        ("feasible", pa.bool_()),
        ("members", pa.string()),
        ("stopped_by", pa.string()),
    ]
)


# Built once, as every row of a run needs these names.
_CONFIG = {name: f"config/{name}" for name in CONFIG_TYPES}


def config_columns(config: TrialConfig) -> dict[str, Any]:
    """Return the settings of a trial as columns of trials.parquet, with `model_args` as JSON."""
    values = config.to_dict()
    values["model_args"] = json.dumps(values["model_args"])
    return {_CONFIG[name]: value for name, value in values.items()}


def config_of(row: dict[str, Any]) -> TrialConfig:
    """Return the configuration of a trial from its row: the inverse of `config_columns`."""
    # Runs of earlier versions lack the settings that were added since.
    names = [name for name in CONFIG_TYPES if f"config/{name}" in row]
    values = {name: _setting(row[f"config/{name}"], CONFIG_TYPES[name]) for name in names}
    return TrialConfig.from_dict(values | {"model_args": json.loads(values["model_args"])})


def _setting(value: Any, type_: pa.DataType) -> Any:
    """Convert a value from pandas, which has NaN for None and floats in columns with NaN."""
    if isinstance(value, float) and math.isnan(value):
        return None
    return int(value) if type_ == pa.int64() and value is not None else value


def merit(row: Mapping[str, Any] | TrialRow, target: Target) -> tuple[float, float]:
    """Return the key that trials are ranked by: their metric, then lower validation loss."""
    return target.merit(row[target.best]), -row["best/val_loss"]  # type: ignore[literal-required]


def training_seconds(rows: Iterable[Mapping[str, Any] | TrialRow]) -> list[float]:
    """Return the training time of each trial in seconds, with the features of probes counted once.

    Trials that share cached features have the same `features_s`, to the last digit: the time that
    computing them took, on whichever trial's account. The first of them has it added. Trials of
    earlier versions have none; the one of them that computed the features has it in `seconds`.

    Args:
        rows: rows of trials.parquet, possibly of several runs.
    """
    counted: set[float] = set()
    seconds = []
    for row in rows:
        features = features_seconds(row)
        seconds.append((row["seconds"] or 0.0) + (0.0 if features in counted else features))
        counted.add(features)
    return seconds


def features_seconds(row: Mapping[str, Any] | TrialRow) -> float:
    """Return how long the features of a probe took to compute, in seconds; 0 if not known."""
    seconds = row.get("features_s")
    return 0.0 if seconds is None or math.isnan(seconds) else float(seconds)


def has_scores(row: Mapping[str, Any] | TrialRow) -> bool:
    """Return whether a trial has scores of validation images: it trained an epoch, or is a soup."""
    return bool(row["epochs"]) or is_soup(row)


def is_soup(row: Mapping[str, Any] | TrialRow) -> bool:
    """Return whether a row is of an average of the weights of trials, which nothing trained."""
    return isinstance(row.get("members"), str)


def stopped_by(row: TrialRow, config: TrialConfig) -> str | None:
    """Return what ended a trial before its last epoch: patience or scheduler; None if neither did.

    A trial whose patience has run out has finished: unlike one that a scheduler stops, it is not
    expected to become better. Where a budget or a constraint has stopped it, `error` says so.
    """
    if row["status"] == TrialStatus.STOPPED:
        return None if row.get("error") else "scheduler"
    early = row["epochs"] < config.epochs and config.mode != "probe" and not is_soup(row)
    return "patience" if row["status"] == TrialStatus.FINISHED and early else None


def ending(status: str, stopped_by: Any) -> str:
    """Return how a trial ended as tables show it: its status, or e.g. stopped (patience).

    Args:
        status: column `status`.
        stopped_by: column `stopped_by`, which may be null.
    """
    return f"stopped ({stopped_by})" if isinstance(stopped_by, str) else str(status)


def join_members(trials: Sequence[str]) -> str:
    """Return the column `members` of a soup: the names of its trials, the best first."""
    return " + ".join(trials)


def members_of(row: Mapping[str, Any] | TrialRow) -> list[str]:
    """Return the names of the trials whose weights a soup averages; none for a trial."""
    members = row.get("members")
    return members.split(" + ") if isinstance(members, str) else []


def added_columns(schema: pa.Schema) -> dict[str, Any]:
    """Return the columns of a table that runs of earlier versions lack, with their values there."""
    settings = {f"config/{name}": value for name, value in ADDED_SETTINGS.items()}
    return {
        name: settings.get(name, math.nan)
        for name in schema.names
        if name in settings or name.rpartition("/")[2] in ADDED_METRICS
    }


def objective_column(objective: str) -> str:
    """Return the column of trials.parquet that has an objective of a search."""
    return TARGETS[objective].best if objective in TARGETS else objective


def summary_columns(epochs: Sequence[EpochRow], target: Target = ACCURACY) -> TrialRow:
    """Return the columns of trials.parquet that summarise the epochs of a trial.

    The best epoch is the first one with the best value of the metric that the trial is selected by.
    """
    if not epochs:
        return {"epochs": 0, "seconds": 0.0, "features_s": math.nan}
    best = max(epochs, key=lambda row: target.merit(row[target.column]))  # type: ignore[literal-required]
    last = epochs[-1]
    seconds = sum(row["seconds"] for row in epochs)
    images = sum(row["seconds"] * row["images_per_second"] for row in epochs)
    columns: dict[str, Any] = {
        "epochs": len(epochs),
        "best/epoch": best["epoch"],
        **{f"best/{name}": best.get(name, math.nan) for name in SPLIT_METRICS},
        **{f"last/{name}": last.get(name, math.nan) for name in SPLIT_METRICS},
        "seconds": seconds,
        "features_s": last.get("features_s", math.nan),
        "images_per_second": images / seconds,
        "peak_memory_mb": max(row["peak_memory_mb"] for row in epochs),
        "micro_batch": last["micro_batch"],
    }
    return cast("TrialRow", columns)
