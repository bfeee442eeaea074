"""Pareto front of the trials, and its figure for two objectives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from trainables.errors import InputError
from tune_jobs.analysis.search_figures.history import SCORED, axis_label, check_mode, scores
from tune_jobs.analysis.search_figures.limits import Mode
from tune_jobs.analysis.style import COLOURS, GREY, Points, finish_axes, message_figure


def pareto_front(trials: pd.DataFrame, objectives: Mapping[str, Mode]) -> pd.DataFrame:
    """Return the trials that no other trial dominates, in ascending order of the first objective.

    A trial dominates another if it is at least as good in every objective and better in one
    (Deb 2001, Multi-Objective Optimization Using Evolutionary Algorithms, section 2.4). Equal
    trials do not dominate each other, so all of them are kept; a trial that lacks a finite value
    is left out.

    Args:
        trials: one row per trial.
        objectives: column of `trials` -> whether "min" or "max" of it is better.

    Raises:
        InputError: `trials` has no such column, or a mode is neither "min" nor "max".
    """
    for objective, mode in objectives.items():
        check_mode(objective, mode)
    signs = [1 if mode == "min" else -1 for mode in objectives.values()]
    # trials × objectives, lower is better
    costs = np.stack([scores(trials, objective) for objective in objectives], axis=1) * signs
    finite = np.isfinite(costs).all(axis=1)
    costs = costs[finite]
    no_worse = (costs[:, None] <= costs).all(axis=2)
    better = (costs[:, None] < costs).any(axis=2)
    dominated = (no_worse & better).any(axis=0)
    front = trials.iloc[np.flatnonzero(finite)[~dominated]]
    return front.sort_values(list(objectives), kind="stable")


@dataclass(frozen=True)
class ParetoInfo:
    """Data of the Pareto figure of two objectives."""

    others: Points
    """Objectives of the dominated trials."""
    front: Points
    """Objectives of the trials on the front."""
    names: list[str]
    """Names of the trials on the front."""
    step: Literal["pre", "post"]
    """Side of the steps of the front line, so that it bounds the dominated region."""
    labels: tuple[str, str]
    """Labels of the x- and y-axis."""
    log: tuple[bool, bool]
    """Whether the x- and y-axis are logarithmic."""


def pareto_info(trials: pd.DataFrame, objectives: Mapping[str, Mode]) -> ParetoInfo:
    """Return the Pareto front of the finished and stopped trials for two objectives.

    An axis is logarithmic if its values are positive and span more than a factor of 30.

    Args:
        trials: one row per trial, as `load_trials` returns it.
        objectives: column of `trials` -> whether "min" or "max" of it is better, x then y.

    Raises:
        InputError: the number of objectives is not two, `trials` has no such column, or a mode is
            neither "min" nor "max".
    """
    if len(objectives) != 2:
        raise InputError(f"objectives {list(objectives)} must be two, one per axis")
    x, y = objectives
    ended = trials[trials["status"].isin(SCORED)].reset_index(drop=True)
    front = pareto_front(ended, objectives)
    points = np.stack([scores(ended, x), scores(ended, y)])
    others = points[:, np.isfinite(points).all(axis=0) & ~ended.index.isin(front.index)]
    return ParetoInfo(
        Points(*others.tolist()),
        Points(scores(front, x).tolist(), scores(front, y).tolist()),
        front["trial"].astype(str).tolist(),
        "post" if objectives[x] == "min" else "pre",
        (axis_label(x), axis_label(y)),
        (_spans_decades(points[0]), _spans_decades(points[1])),
    )


def plot_pareto(info: ParetoInfo) -> Figure:
    """Draw all trials, and the front as a numbered step line with a key of trial names."""
    if not info.names:
        return message_figure("no finished or stopped trial has both scores")
    figure = Figure(figsize=(7.6, max(4, 0.17 * len(info.names) + 1)), layout="constrained")
    ax = figure.subplots()
    if info.others.x:
        ax.plot(info.others.x, info.others.y, "o", color=GREY, alpha=0.6, label="dominated")
    ax.step(info.front.x, info.front.y, where=info.step, color=COLOURS[0], linewidth=1)
    ax.plot(info.front.x, info.front.y, "o", color=COLOURS[0], markersize=10.5,
            markeredgecolor="white", label="Pareto front")  # fmt: skip
    # Trial names would overlap where the front is crowded; numbers increase along it.
    for i, point in enumerate(zip(info.front.x, info.front.y, strict=True)):
        ax.annotate(
            str(i + 1), point, ha="center", va="center_baseline", color="white", fontsize=6.5
        )
    key = "\n".join(f"{i + 1:>3} {name}" for i, name in enumerate(info.names))
    ax.text(1.02, 1, key, transform=ax.transAxes, va="top", fontsize=8, linespacing=1.4)
    for set_scale, axis, log in zip((ax.set_xscale, ax.set_yscale), (ax.xaxis, ax.yaxis), info.log,
                                    strict=True):  # fmt: skip
        set_scale("log" if log else "linear")
        if not log and max(map(abs, axis.get_data_interval())) >= 1000:
            axis.set_major_formatter("{x:,.0f}")
    ax.set_xlabel(info.labels[0])
    ax.set_ylabel(info.labels[1])
    finish_axes(ax)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    return figure


def _spans_decades(values: NDArray[np.float64]) -> bool:
    finite = values[np.isfinite(values)]
    return bool(len(finite) and finite.min() > 0 and finite.max() > 30 * finite.min())
