"""A run folder -> data frames. Works while the run is going, and after it was killed."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pandas as pd
import pyarrow as pa

from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.metrics import EPOCH_METRICS, TARGET
from tune_jobs.spaces import Space, is_among
from tune_jobs.storage import EPOCHS_FILE, RUN_FILE, TRIALS_FILE, RunFolder

FORMAT = 1
"""Of run.json and the two tables; a reader refuses what is newer than it knows."""

STATUSES = {
    "pending": "not started",
    "running": "training, or cut off by a kill of the driver",
    "interrupted": "stopped by Ctrl-C; --resume goes on with it",
    "finished": "trained for all its epochs",
    "stopped": "ended early by the scheduler",
    "diverged": "its loss stopped being a finite number",
    "failed": "an error, or its worker died too often; --resume tries again",
}
ENDED = ("finished", "stopped", "diverged")
"""Statuses that --resume leaves alone."""
OPEN = ("pending", "running", "interrupted")
"""Statuses of trials that have no end yet."""

SCORE = f"best/{TARGET}"
"""Column of the trials that they are compared by."""

_ARROW_TYPES: dict[Any, pa.DataType] = {
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
}


def _config_type(name: str, hint: Any) -> pa.DataType:
    if name == "split":
        return pa.list_(pa.float64())
    for type_ in (hint, *get_args(hint)):  # of `float | None` the float counts
        if type_ in _ARROW_TYPES:
            return _ARROW_TYPES[type_]
    return pa.string()


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
            for name in EPOCH_METRICS
            if name.startswith(("train_", "val_"))
        ),
        ("seconds", pa.float64()),
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
    ]
)


# Made once, as every row of a run has them.
_CONFIG = {name: f"config/{name}" for name in CONFIG_TYPES}
_BEST, _LAST = ({name: f"{which}/{name}" for name in EPOCH_METRICS} for which in ("best", "last"))


def config_columns(config: TrialConfig) -> dict[str, Any]:
    """A trial's settings as columns of trials.parquet; `model_args` as JSON."""
    values = config.to_dict()
    values["model_args"] = json.dumps(values["model_args"])
    return {_CONFIG[name]: value for name, value in values.items()}


def config_of(row: dict[str, Any]) -> TrialConfig:
    """The inverse of `config_columns`."""
    # A run of an earlier version lacks the settings that came later.
    names = [name for name in CONFIG_TYPES if f"config/{name}" in row]
    values = {name: _setting(row[f"config/{name}"], CONFIG_TYPES[name]) for name in names}
    return TrialConfig.from_dict(values | {"model_args": json.loads(values["model_args"])})


def _setting(value: Any, type_: pa.DataType) -> Any:
    """A setting as the config has it; pandas has NaN for None, and floats beside it."""
    if isinstance(value, float) and math.isnan(value):
        return None
    return int(value) if type_ == pa.int64() and value is not None else value


def merit(row: Mapping[str, Any]) -> tuple[float, float]:
    """What trials are chosen by; higher is better, and of equals the one with the lower loss."""
    return row[SCORE], -row["best/val_loss"]


def objective_column(objective: str) -> str:
    """The column of trials.parquet that an objective of a search stands in."""
    return SCORE if objective == "accuracy" else objective


def summary_columns(epochs: list[dict[str, Any]]) -> dict[str, Any]:
    """What trials.parquet says of a trial's epochs; the best is the first of the highest."""
    if not epochs:
        return {"epochs": 0, "seconds": 0.0}
    best, last = max(epochs, key=lambda row: row[TARGET]), epochs[-1]
    seconds = sum(row["seconds"] for row in epochs)
    images = sum(row["seconds"] * row["images_per_second"] for row in epochs)
    return {
        "epochs": len(epochs),
        "best/epoch": best["epoch"],
        **{column: best[name] for name, column in _BEST.items()},
        **{column: last[name] for name, column in _LAST.items()},
        "seconds": seconds,
        "images_per_second": images / seconds,
        "peak_memory_mb": max(row["peak_memory_mb"] for row in epochs),
        "micro_batch": last["micro_batch"],
    }


def load_run(path: str | Path) -> dict[str, Any]:
    """What run.json says of a run.

    Raises:
        InputError: there is no run at that path or URI, or a newer version wrote it.
    """
    folder = RunFolder.at(path)
    if not folder.has(RUN_FILE):
        raise InputError(f"{path} is no run folder, it holds no {RUN_FILE}: check the path")
    run = folder.read_json(RUN_FILE)
    if run["format"] > FORMAT:
        raise InputError(
            f"{path} has format {run['format']}, and this version reads up to {FORMAT}: "
            "upgrade bakeoff"
        )
    return run


def load_trials(path: str | Path) -> pd.DataFrame:
    """One row a trial: settings (`config/*`), status, scores of its best and last epoch, costs.

    Every argument of a model is a column `config/model.ARG` too, missing where a trial has none.

    Args:
        path: a run folder, local or s3://… or gs://….

    Raises:
        InputError: there is no run at that path or URI, or a newer version wrote it.
    """
    load_run(path)
    trials = RunFolder.at(path).read_frame(TRIALS_FILE)
    return trials.join(_model_columns(trials["config/model_args"]))


def _model_columns(model_args: pd.Series[str]) -> pd.DataFrame:
    """A column for each key of the JSON texts; lists and objects stay JSON, as in the study."""
    rows = [json.loads(text) if isinstance(text, str) else {} for text in model_args]
    return pd.DataFrame(
        {
            # Nullable types, as an integer that some trials lack stays one.
            f"config/model.{name}": pd.Series(
                [_plain(row.get(name)) for row in rows], index=model_args.index
            ).convert_dtypes()
            for name in dict.fromkeys(name for row in rows for name in row)
        },
        index=model_args.index,
    )


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def load_epochs(path: str | Path) -> pd.DataFrame:
    """One row a trial and epoch: the metrics of `trainables.metrics.EPOCH_METRICS`.

    Args and errors are those of `load_trials`.
    """
    load_run(path)
    return RunFolder.at(path).read_frame(EPOCHS_FILE)


def search_frame(trials: pd.DataFrame, space: Space) -> pd.DataFrame:
    """The settings that were searched, missing in trials that they do not exist for.

    Args:
        trials: those of `load_trials`.
        space: what was searched.

    Returns:
        One row a trial, with its index in `trials`; one column a parameter, by its name.

    Raises:
        InputError: a parameter is no setting of a trial.
    """
    searched = pd.DataFrame(index=trials.index)
    for name, parameter in space.items():
        # No trial may have got an argument of the model yet.
        if f"config/{name}" not in trials and not name.startswith("model."):
            known = [name[7:] for name in trials.columns if name.startswith("config/")]
            raise InputError(f"{name!r} is no setting of these trials: take one of {known}")
        column = trials.get(f"config/{name}", pd.Series(pd.NA, trials.index))
        for other, allowed in parameter.when.items():
            holds = [is_among(value, allowed) for value in searched[other]]
            column = column.where(pd.Series(holds, trials.index, dtype=bool))
        searched[name] = column
    return searched
