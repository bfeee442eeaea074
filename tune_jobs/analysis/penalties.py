"""Scores of linear probes by penalty: `penalties_info` has the data, `plot_penalties` draws it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from trainables.target import Target
from tune_jobs.analysis.style import Points, finish_axes, model_styles, wrapped


@dataclass(frozen=True)
class PenaltiesInfo:
    """Data of the figure: one regularisation path per backbone."""

    paths: dict[str, Points]
    """Name of the trials without the penalty -> penalties, ascending, and scores."""
    ylabel: str
    """Label of the y-axis."""
    xlabel: str = "L2 penalty of the head"
    """Label of the x-axis."""


def penalties_info(trials: pd.DataFrame, target: Target) -> PenaltiesInfo | None:
    """Return the scores of linear probes by penalty; None without two of one backbone.

    Args:
        trials: one row per trial, as `load_trials` returns it.
        target: metric of the scores.
    """
    if trials.empty:
        return None
    probes = trials[(trials["config/mode"] == "probe") & trials[target.best].notna()]
    names = probes["trial"].map(lambda name: re.sub(r",penalty=[^,]+", "", name))
    scale = 100 if target.digits.endswith("%") else 1
    paths = {}
    for name, rows in probes.sort_values("config/penalty").groupby(names, sort=False):
        if len(rows) > 1:
            scores = scale * rows[target.best]
            paths[str(name)] = Points(rows["config/penalty"].tolist(), scores.tolist())
    unit = " (%)" if scale == 100 else ""
    return PenaltiesInfo(paths, f"validation {target.label}{unit}") if paths else None


def plot_penalties(info: PenaltiesInfo) -> Figure:
    """Draw one line per backbone on a logarithmic axis of penalties."""
    figure = Figure(figsize=(4, 2.8), layout="constrained")
    ax = figure.subplots()
    styles = model_styles(list(info.paths))
    for name, path in info.paths.items():
        colour, marker = styles[name]
        ax.plot(path.x, path.y, marker=marker, color=colour, label=wrapped(name))
    ax.set_xscale("log")
    penalties = sorted({x for path in info.paths.values() for x in path.x})
    shown = penalties[:: -(-len(penalties) // 6)]
    ax.set_xticks(shown, [f"{x:g}" for x in shown])
    ax.set_xticks([], minor=True)
    ax.set_xlabel(info.xlabel, fontsize=9)
    ax.set_ylabel(info.ylabel, fontsize=9)
    finish_axes(ax)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8.5)
    return figure
