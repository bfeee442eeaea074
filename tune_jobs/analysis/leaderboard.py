"""One row per run: its data set, models, best trial, effort and status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import pandas as pd

from trainables.target import TARGETS
from tune_jobs.analysis.datasets import dataset_labels, metric_of, together
from tune_jobs.run_folder.constraints import may_be_chosen
from tune_jobs.run_folder.schema import has_scores, merit, training_seconds
from tune_jobs.run_folder.settings import eligible_stored

DAMAGED = "damaged"
"""Status of a run that cannot be read."""


class RunRow(TypedDict, total=False):
    """A row of the leaderboard; a run that cannot be read has `run`, `status` and `error` alone."""

    run: str
    """Name of the run folder."""
    job: str
    """Job that started the run."""
    dataset: str
    """Data set as --data named it, with what tells it from others of that name."""
    group: int
    """Number from 1 that is equal for runs which one comparison may have: those of the same images,
    split and metric."""
    models: str
    """Networks of its trials, joined by ", "."""
    metric: str
    """Metric that epochs and trials were selected by."""
    score: float
    """That metric of the best trial on the validation images; NaN without a scored trial."""
    best: str
    """Name of the best trial, with --seeds of the best seed of the best setting; None without a
    scored trial."""
    trials: int
    """Number of trials that have scores."""
    epochs: int
    """Epochs of all trials together."""
    seconds: float
    """Training time of all trials together, in seconds."""
    started: str
    """Start in UTC, ISO 8601."""
    ended: str
    """End in UTC, ISO 8601; None until then."""
    status: str
    """Status as in run.json; interrupted where the driver was killed; failed where the run has
    finished and no trial has a score; or damaged."""
    error: str
    """Why the run cannot be read; None for one that can."""


def leaderboard(
    records: Mapping[str, dict[str, Any]],
    trials: Mapping[str, Sequence[dict[str, Any]]],
    damaged: Mapping[str, str],
) -> pd.DataFrame:
    """Return one row per run, the runs of one group together, the best first.

    Args:
        records: run.json by name of the run.
        trials: rows of trials.parquet by name of the run.
        damaged: reasons by name of the runs that cannot be read; they come last.

    Returns:
        One row per run; the columns are those of `RunRow`.
    """
    names, known = list(records), list(records.values())
    labels = dataset_labels(known)
    groups = {i: number for number, group in enumerate(together(known), 1) for i in group}
    rows: list[RunRow] = [
        {"dataset": labels[i], "group": groups[i], **_row(name, records[name], trials[name])}
        for i, name in enumerate(names)
    ]
    rows += [{"run": name, "status": DAMAGED, "error": text} for name, text in damaged.items()]
    frame = pd.DataFrame(rows, columns=list(RunRow.__annotations__))
    frame = frame.astype(dict.fromkeys(("group", "trials", "epochs"), "Int64"))
    worse = [
        -TARGETS[row["metric"]].merit(row["score"]) if "metric" in row else 0.0 for row in rows
    ]
    order = frame.assign(worse=worse).sort_values(["group", "worse"], kind="stable").index
    return frame.loc[order].reset_index(drop=True)


def _row(name: str, record: Mapping[str, Any], trials: Sequence[dict[str, Any]]) -> RunRow:
    target = TARGETS[metric_of(record)]
    scored = [row for row in trials if has_scores(row)]
    choosable = [row for row in eligible_stored(scored, record, target) if may_be_chosen(row)]
    best = max(choosable, key=lambda row: merit(row, target), default=None)
    return {
        "run": name,
        "job": record["job"],
        "models": ", ".join(dict.fromkeys(row["config/model"] for row in trials)),
        "metric": target.name,
        "score": float("nan") if best is None else best[target.best],
        "best": None if best is None else best["trial"],  # type: ignore[typeddict-item]
        "trials": len(scored),
        "epochs": sum(row["epochs"] or 0 for row in trials),
        "seconds": sum(training_seconds(trials)),
        "started": record["started"],
        "ended": record.get("ended"),  # type: ignore[typeddict-item]
        "status": "failed" if record["status"] == "finished" and not scored else record["status"],
        "error": None,  # type: ignore[typeddict-item]
    }
