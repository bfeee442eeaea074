"""Loaders of run folders and comparisons as data frames; they also work on unfinished runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from trainables.errors import InputError, first_line
from trainables.status import TrialStatus
from tune_jobs.analysis.comparison_results import (
    load_attribution as load_attribution,
)
from tune_jobs.analysis.comparison_results import (
    load_comparison as load_comparison,
)
from tune_jobs.analysis.comparison_results import (
    load_doubtful_labels as load_doubtful_labels,
)
from tune_jobs.analysis.comparison_results import (
    load_learning_curve as load_learning_curve,
)
from tune_jobs.analysis.comparison_results import (
    load_predictions as load_predictions,
)
from tune_jobs.analysis.comparison_results import (
    load_robustness as load_robustness,
)
from tune_jobs.analysis.leaderboard import leaderboard
from tune_jobs.run_folder.constraints import may_be_chosen
from tune_jobs.run_folder.folder import (
    EPOCHS_FILE,
    RUN_FILE,
    SHORTLIST_FILE,
    TRIALS_FILE,
    RunFolder,
)
from tune_jobs.run_folder.schema import (
    ADDED_COLUMNS,
    EPOCH_SCHEMA,
    TRIAL_SCHEMA,
    added_columns,
    is_soup,
    objective_column,
)
from tune_jobs.search_space.space import Space, is_among


def load_run(path: str | Path) -> dict[str, Any]:
    """Load run.json of a run.

    Args:
        path: a run folder, local or s3://… or gs://….

    Raises:
        InputError: there is no run at that path or URI, or a newer version wrote it.
    """
    folder = RunFolder.at(path)
    if not folder.has(RUN_FILE):
        raise InputError(f"{path} is not a run folder, it has no {RUN_FILE}: check the path")
    return folder.read_record()


def load_runs(path: str | Path = "runs") -> pd.DataFrame:
    """Load one row per run below a folder, the runs that one comparison may have together.

    A run that cannot be read keeps its row: its status is damaged, and `error` has the reason.

    Args:
        path: folder that holds run folders, or a run folder, local or s3://… or gs://….

    Returns:
        The columns are those of `tune_jobs.analysis.leaderboard.RunRow`.

    Raises:
        InputError: there is no run at or below that path or URI.
    """
    storage = RunFolder.at(path)
    records, trials, damaged = {}, {}, {}
    for name in [None] if storage.has(RUN_FILE) else sorted(storage.names()):
        folder = storage if name is None else storage.child(name)
        if folder.name.startswith(".") or not any(map(folder.has, (RUN_FILE, TRIALS_FILE))):
            continue
        try:
            record, frame = load_run(folder.uri), load_trials(folder.uri)
        except (InputError, OSError, pa.ArrowException, KeyError, ValueError) as error:
            damaged[folder.name] = first_line(error)
        else:
            records[folder.name] = record
            trials[folder.name] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    if not records and not damaged:
        raise InputError(
            f"{path} holds no run: give the folder in which run folders are, e.g. runs"
        )
    return leaderboard(records, trials, damaged)  # type: ignore[arg-type]  # names are texts


def load_trials(path: str | Path) -> pd.DataFrame:
    """Load one row per trial: configuration (`config/*`), status, best and last scores, costs.

    Each model argument also has a column `config/model.ARG`, missing for trials without it.

    Args:
        path: a run folder, local or s3://… or gs://….

    Raises:
        InputError: there is no run at that path or URI, or a newer version wrote it.
    """
    record = load_run(path)
    trials = _completed(RunFolder.at(path).read_frame(TRIALS_FILE), TRIAL_SCHEMA)
    if record["status"] != "running":  # a driver that was killed has left its trials running
        ended = {TrialStatus.RUNNING.value: TrialStatus.INTERRUPTED.value}
        trials = trials.assign(status=trials["status"].replace(ended))
    return trials.join(_model_columns(trials["config/model_args"]))


def _completed(frame: pd.DataFrame, schema: pa.Schema) -> pd.DataFrame:
    """Return a table with the columns that runs of earlier versions lack, in today's order."""
    missing = {name: v for name, v in added_columns(schema).items() if name not in frame}
    absent = [name for name in ADDED_COLUMNS if name in schema.names and name not in frame]
    if not missing and not absent:
        return frame
    nulls = pa.table({name: pa.nulls(len(frame), schema.field(name).type) for name in absent})
    frame = frame.assign(**missing, **nulls.to_pandas())
    known = [name for name in schema.names if name in frame]
    return frame[[*known, *(name for name in frame if name not in known)]]


def _model_columns(model_args: pd.Series[str]) -> pd.DataFrame:
    """Return one column per key of the JSON texts; lists and objects stay JSON, as in the study."""
    rows = [json.loads(text) if isinstance(text, str) else {} for text in model_args]
    return pd.DataFrame(
        {
            # Nullable types keep integers that some trials lack.
            f"config/model.{name}": pd.Series(
                [_plain(row.get(name)) for row in rows], index=model_args.index
            ).convert_dtypes()
            for name in dict.fromkeys(name for row in rows for name in row)
        },
        index=model_args.index,
    )


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def load_shortlist(path: str | Path) -> pd.DataFrame:
    """Load the ranking of a shortlist, first network first.

    Returns:
        One row per network and trial of --with; the columns are those of
        `tune_jobs.analysis.shortlist.RankedRow`.

    Raises:
        InputError: there is no shortlist at that path or URI, or a newer version wrote it.
    """
    run = load_run(path)
    folder = RunFolder.at(path)
    if not folder.has(SHORTLIST_FILE):
        raise InputError(
            f"{path} is a run of {run['job']} without {SHORTLIST_FILE}: give the folder of a "
            "shortlist that has ended"
        )
    return folder.read_frame(SHORTLIST_FILE)


def load_epochs(path: str | Path) -> pd.DataFrame:
    """Load one row per trial and epoch, with the metrics of `trainables.metrics.EPOCH_METRICS`.

    Arguments and errors are the same as for `load_trials`.
    """
    load_run(path)
    return _completed(RunFolder.at(path).read_frame(EPOCHS_FILE), EPOCH_SCHEMA)


def load_front(path: str | Path) -> pd.DataFrame:
    """Load the Pareto front of a search, sorted by its first objective.

    Args:
        path: a run folder, local or s3://… or gs://….

    Raises:
        InputError: there is no search at that path or URI, or a newer version wrote it.
    """
    from tune_jobs.analysis.search_figures.pareto import pareto_front  # imports matplotlib

    objectives = load_run(path)["search"].get("objectives")
    if objectives is None:
        raise InputError(
            f"{path} is a grid and not a search, so it has no objectives: check the path"
        )
    columns = {objective_column(name): mode for name, mode in objectives.items()}
    trials = load_trials(path)
    return pareto_front(trials[choosable(trials)], columns)


def choosable(trials: pd.DataFrame) -> list[bool]:
    """Return which trials of a search may be on its Pareto front.

    They have finished and satisfy the constraints. A soup is none: its settings and costs are not
    those of a training.

    Args:
        trials: one row per trial, as `load_trials` returns it.
    """
    rows: list[dict[str, Any]] = trials.to_dict("records")  # type: ignore[assignment]
    return [
        row["status"] == TrialStatus.FINISHED and may_be_chosen(row) and not is_soup(row)
        for row in rows
    ]


def search_frame(trials: pd.DataFrame, space: Space) -> pd.DataFrame:
    """Return the values of the searched parameters, missing for trials that do not use them.

    Args:
        trials: one row per trial, as `load_trials` returns it.
        space: search space.

    Returns:
        One row per trial, with the index of `trials`; one column per parameter, by name.

    Raises:
        InputError: a parameter is not a setting of the trials.
    """
    searched = pd.DataFrame(index=trials.index)
    for name, parameter in space.items():
        # Possibly no trial has set a model argument yet, so its column may be missing.
        if f"config/{name}" not in trials and not name.startswith("model."):
            known = [name[7:] for name in trials.columns if name.startswith("config/")]
            raise InputError(f"{name!r} is not a setting of these trials: use one of {known}")
        column = trials.get(f"config/{name}", pd.Series(pd.NA, trials.index))
        for other, allowed in parameter.when.items():
            holds = [is_among(value, allowed) for value in searched[other]]
            column = column.where(pd.Series(holds, trials.index, dtype=bool))
        searched[name] = column
    return searched
