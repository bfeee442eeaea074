"""A run folder -> data frames. Works while the run is going, and after it was killed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.errors import InputError
from trainables.status import TrialStatus
from tune_jobs.run_folder.folder import EPOCHS_FILE, RUN_FILE, TRIALS_FILE, RunFolder
from tune_jobs.run_folder.schema import FORMAT, objective_column
from tune_jobs.search_space.space import Space, is_among

COMPARISON_FILE = "comparison.parquet"
PREDICTIONS_FILE = "predictions.parquet"
COMPARISON_FORMAT = 1
"""Of both files, in the metadata of their schema; a reader refuses what it does not know."""
FORMAT_KEY = b"bakeoff.format"


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


def load_front(path: str | Path) -> pd.DataFrame:
    """The trials of a search that no other one beats in every objective, by the first of them.

    Args:
        path: a run folder, local or s3://… or gs://….

    Raises:
        InputError: there is no search at that path or URI, or a newer version wrote it.
    """
    from tune_jobs.analysis.search_figures.pareto import pareto_front  # imports matplotlib

    objectives = load_run(path)["search"].get("objectives")
    if objectives is None:
        raise InputError(f"{path} is no search but a grid, which has no objectives: check the path")
    columns = {objective_column(name): mode for name, mode in objectives.items()}
    trials = load_trials(path)
    return pareto_front(trials[trials["status"] == TrialStatus.FINISHED], columns)


def load_comparison(path: str | Path) -> pd.DataFrame:
    """The frame of `comparison_frame`, from the folder of a comparison.

    Args:
        path: the folder, local or s3://… or gs://….

    Raises:
        InputError: it holds no comparison, or one of another version.
    """
    return _load_table(path, COMPARISON_FILE)


def load_predictions(path: str | Path) -> pd.DataFrame:
    """The frame of `predictions_table`; args and errors are those of `load_comparison`."""
    return _load_table(path, PREDICTIONS_FILE)


def _load_table(path: str | Path, name: str) -> pd.DataFrame:
    folder = RunFolder.at(path)
    if not folder.has(name):
        raise InputError(f"{path} holds no {name}: give the folder that compare.py wrote")
    try:
        table = pq.read_table(io.BytesIO(folder.read(name)))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}/{name} is damaged ({error}): compare the runs again") from error
    version = (table.schema.metadata or {}).get(FORMAT_KEY, b"none").decode()
    if version != str(COMPARISON_FORMAT):
        raise InputError(
            f"{path}/{name} has format {version}, and this version reads {COMPARISON_FORMAT}: "
            "compare the runs again"
        )
    frame: pd.DataFrame = table.to_pandas()
    return frame


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
