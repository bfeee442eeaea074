"""Figures of the course of a search: optimisation history and pruning.

For each figure, *_info() prepares the data, which tests check, and plot_*() draws it. Figures of
the parameters are in `parameters`, of two objectives in `pareto`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from trainables.errors import InputError
from trainables.metrics import EPOCH_METRICS
from trainables.status import TrialStatus
from trainables.target import ACCURACY, TARGETS, Target
from tune_jobs.analysis.curves import Curve
from tune_jobs.analysis.formatting import Interval
from tune_jobs.analysis.search_figures.limits import Mode, at_edge, outside, score_limits
from tune_jobs.analysis.style import (
    COLOURS,
    GREY,
    Points,
    finish_axes,
    message_figure,
    whole_numbers,
)

SCORE = ACCURACY.best
"""Objective of a search by default."""
SCORED = (TrialStatus.FINISHED, TrialStatus.STOPPED)
"""Statuses of the trials whose scores reflect their parameters."""
STATUS_STYLES = {
    TrialStatus.FINISHED: (COLOURS[0], "o"),
    TrialStatus.STOPPED: (GREY, "x"),
    TrialStatus.DIVERGED: (COLOURS[1], "v"),
    TrialStatus.FAILED: (COLOURS[3], "s"),
    TrialStatus.INTERRUPTED: (COLOURS[4], "D"),
    TrialStatus.RUNNING: (COLOURS[5], "^"),
    TrialStatus.PENDING: (COLOURS[2], "P"),
}
"""Status -> colour and marker, distinct without colour too; black is for the best trial."""
_LABELS = {
    **{
        target.best: f"best validation {target.label} ({EPOCH_METRICS[target.column].unit})"
        for target in TARGETS.values()
    },
    "seconds": "training time (s)",
    "images_per_second": "training speed (images/s)",
    "peak_memory_mb": "peak memory (MB)",
    "parameters": "parameters (count)",
    "macs": "multiply-accumulates per image (count)",
    "latency_ms": "latency of one image (ms)",
}


@dataclass(frozen=True)
class HistoryInfo:
    """Data of the optimisation history: scores in trial order, and the best so far."""

    points: dict[TrialStatus, Points]
    """Status -> trial numbers (x) and scores (y)."""
    best: Points
    """Trial numbers (x) and the best score up to each (y), whatever the status, of the trials that
    violate no constraint."""
    unscored: int
    """Number of trials without a finite score, which are not drawn."""
    ylabel: str
    """Label of the y-axis."""
    limits: Interval | None = None
    """Limits of the y-axis; scores outside are drawn at its edge. None without a score."""


def history_info(trials: pd.DataFrame, objective: str = SCORE, mode: Mode = "max") -> HistoryInfo:
    """Return the optimisation history of a search.

    Args:
        trials: one row per trial, as `load_trials` returns it, in the order they were proposed.
        objective: column of `trials` with the score.
        mode: whether low ("min") or high ("max") scores are better.

    Raises:
        InputError: `trials` has no such column, or `mode` is neither "min" nor "max".
    """
    check_mode(objective, mode)
    y, x = scores(trials, objective), trial_numbers(trials)
    scored = np.isfinite(y)
    points = {}
    for status in TrialStatus:
        rows = scored & (trials["status"] == status).to_numpy(bool)
        if rows.any():
            points[status] = Points(x[rows].tolist(), y[rows].tolist())
    chosen = scored & allowed(trials)
    best = (np.maximum if mode == "max" else np.minimum).accumulate(y[chosen])
    return HistoryInfo(
        points,
        Points(x[chosen].tolist(), best.tolist()),
        int((~scored).sum()),
        axis_label(objective),
        score_limits(y, mode),
    )


def plot_history(info: HistoryInfo) -> Figure:
    """Draw the scores as markers, and the best so far as a step line."""
    if not info.points:
        return message_figure("no trial has a score yet")
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    ax = figure.subplots()
    for status, points in info.points.items():
        draw_markers(ax, points.x, at_edge(points.y, info.limits), status)
    best = at_edge(info.best.y, info.limits)
    ax.step(info.best.x, best, where="post", color="black", label="best so far", zorder=1)
    beyond = sum(outside(points.y, info.limits) for points in info.points.values())
    notes = [f"{info.unscored} without a score"] * bool(info.unscored)
    notes += [f"{beyond} beyond the edge"] * bool(beyond)
    ax.set_xlabel("trial" + (f" ({', '.join(notes)})" if notes else ""))
    ax.set_ylabel(info.ylabel)
    if info.limits:
        ax.set_ylim(*info.limits)
    ax.xaxis.set_major_locator(whole_numbers())
    finish_axes(ax)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure


@dataclass(frozen=True)
class PruningInfo:
    """Data of the pruning figure: validation metric by epoch, and where trials were stopped."""

    curves: dict[TrialStatus, list[Curve]]
    """Status -> the curves of its trials."""
    crosses: Points
    """Last epoch (x) and its validation metric (y) of each stopped trial."""
    best: Curve | None
    """Curve of the trial with the best metric, ties broken by lower loss, of those that violate no
    constraint; None without any."""
    mode: Mode = "max"
    """Whether low ("min") or high ("max") values are better."""
    ylabel: str = "validation accuracy (fraction)"
    """Label of the y-axis."""


def pruning_info(
    trials: pd.DataFrame, epochs: pd.DataFrame, target: Target = ACCURACY
) -> PruningInfo:
    """Return the learning curves of all trials, and where the scheduler stopped trials.

    Args:
        trials: one row per trial, as `load_trials` returns it.
        epochs: one row per trial and epoch, as `load_epochs` returns it.
        target: metric that the scheduler stopped trials by.
    """
    column = target.column
    measured = epochs[np.isfinite(scores(epochs, column))]
    lines = {
        str(trial): Curve(str(trial), rows["epoch"].tolist(), rows[column].tolist())
        for trial, rows in measured.groupby("trial", sort=False)
    }
    curves = {}
    for status in TrialStatus:
        names = trials.loc[trials["status"] == status, "trial"]
        if drawn := [lines[name] for name in names if name in lines]:
            curves[status] = drawn
    stopped = trials.loc[trials["status"] == TrialStatus.STOPPED, "trial"]
    ends = measured[measured["trial"].isin(stopped)].groupby("trial", sort=False).last()
    crosses = Points(ends["epoch"].tolist(), ends[column].tolist())
    ranked = measured[measured["trial"].isin(trials.loc[allowed(trials), "trial"])]
    ranked = ranked.sort_values([column, "val_loss"], ascending=[target.mode == "min", True])
    best = lines[str(ranked["trial"].iloc[0])] if len(ranked) else None
    label = f"validation {target.label} ({EPOCH_METRICS[column].unit})"
    return PruningInfo(curves, crosses, best, target.mode, label)


def plot_pruning(info: PruningInfo) -> Figure:
    """Draw stopped trials in grey ending in a cross, others in colour, and the best in black."""
    if info.best is None:
        return message_figure("no trial has completed an epoch yet")
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    ax = figure.subplots()
    # Stopped trials are drawn first, below the others.
    for status in sorted(info.curves, key=lambda status: status != TrialStatus.STOPPED):
        for i, curve in enumerate(info.curves[status]):
            label = f"{status} ({len(info.curves[status])})" if i == 0 else None
            _draw_curve(ax, curve, status, label)
    ax.plot(info.crosses.x, info.crosses.y, "x", color="#404040", markersize=5, zorder=5)
    score = (max if info.mode == "max" else min)(info.best.values)
    ax.plot(info.best.epochs, info.best.values, color="black", linewidth=2.4, zorder=4,
            marker="o" if len(info.best.epochs) == 1 else None,
            label=f"best: {info.best.label} ({score:.4f})")  # fmt: skip
    ax.set_xlabel("epoch")
    ax.set_ylabel(info.ylabel)
    ax.xaxis.set_major_locator(whole_numbers())
    finish_axes(ax)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return figure


def _draw_curve(ax: Axes, curve: Curve, status: TrialStatus, label: str | None) -> None:
    colour = STATUS_STYLES[status][0]
    style = "-" if status in (TrialStatus.FINISHED, TrialStatus.STOPPED) else ":"
    # A line through a single epoch is invisible; a stopped trial has its cross.
    marker = "o" if len(curve.epochs) == 1 and status != TrialStatus.STOPPED else None
    ax.plot(curve.epochs, curve.values, style, color=colour, label=label, marker=marker,
            linewidth=0.8 if status == TrialStatus.STOPPED else 1.2, alpha=0.6)  # fmt: skip


def check_mode(objective: str, mode: str) -> None:
    """Raise InputError unless `mode` is "min" or "max"."""
    if mode not in ("min", "max"):
        raise InputError(f'the mode of {objective} is {mode!r} and must be "min" or "max"')


def scores(trials: pd.DataFrame, objective: str) -> NDArray[np.float64]:
    """Return a column of the trials as float64, NaN where missing and for trials without epochs.

    Args:
        trials: one row per trial (or per trial and epoch).
        objective: name of the column.

    Returns:
        One value per row, float64.

    Raises:
        InputError: there is no such column.
    """
    if objective not in trials:
        raise InputError(
            f"objective {objective!r} is not a column of the trials: use one of {list(trials)}"
        )
    values = trials[objective].to_numpy(dtype=np.float64, na_value=np.nan)
    # A trial that failed before its first epoch took 0 seconds, but is not the fastest.
    return np.where(trials.get("epochs", 1) == 0, np.nan, values)


def allowed(trials: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which trials violate no constraint of their search, one value per trial."""
    if "feasible" not in trials:
        return np.ones(len(trials), dtype=bool)
    return np.array([value not in (False,) for value in trials["feasible"]], dtype=bool)


def trial_numbers(trials: pd.DataFrame) -> NDArray[np.int64]:
    """Return the numbers in names like trial-007, or 1, 2, … if any trial has another name.

    Args:
        trials: one row per trial.

    Returns:
        One number per trial, int64.
    """
    numbers = trials["trial"].astype("string").str.extract(r"^trial-(\d+)$", expand=False)
    if numbers.isna().any():
        return np.arange(1, len(trials) + 1)
    return numbers.to_numpy(dtype=np.int64)


def axis_label(column: str) -> str:
    """Return the axis label of a column of the trials, with its unit."""
    which, _, metric = column.rpartition("/")
    if column in _LABELS or metric not in EPOCH_METRICS:
        return _LABELS.get(column, column)
    words = metric.replace("val_", "validation_").replace("train_", "training_").replace("_", " ")
    return f"{words} of the {which} epoch ({EPOCH_METRICS[metric].unit})"


def draw_markers(ax: Axes, x: list[float], y: list[float], status: TrialStatus) -> None:
    """Draw the trials of one status, with a legend entry."""
    colour, marker = STATUS_STYLES[status]
    ax.plot(x, y, marker, color=colour, markersize=5, alpha=0.85, label=status)
