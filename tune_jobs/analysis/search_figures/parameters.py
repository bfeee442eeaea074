"""Figures of the searched parameters and their scores: parallel coordinates and slices.

For each figure, *_info() prepares the data, which tests check, and plot_*() draws it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from trainables.status import TrialStatus
from tune_jobs.analysis.formatting import Interval, counted
from tune_jobs.analysis.search_figures.axes import ParameterAxis, parameter_axes
from tune_jobs.analysis.search_figures.history import (
    SCORE,
    SCORED,
    axis_label,
    check_mode,
    draw_markers,
    scores,
)
from tune_jobs.analysis.search_figures.limits import Mode, at_edge, outside, score_limits
from tune_jobs.analysis.style import finish_axes, message_figure
from tune_jobs.search_space.space import Space

LEAST_POINTS = 4
"""Trials that have a parameter from which on a panel shows it."""
PALEST = 0.3
"""Position of the palest line in the colour map "Blues", which begins with white."""
NOT_USED = -0.12
"""Height at which a trial crosses the axis of a parameter that it does not use; axes span 0..1."""


@dataclass(frozen=True)
class ParallelInfo:
    """Data of the parallel coordinates: one line per trial across one axis per parameter."""

    axes: list[ParameterAxis]
    """Axes of the parameters."""
    scores: list[float]
    """Score of each trial, shown as its colour."""
    mode: Mode
    """Whether low ("min") or high ("max") scores are better."""
    label: str
    """Axis label of the scores."""


def parallel_info(
    trials: pd.DataFrame,
    space: Space,
    objective: str = SCORE,
    mode: Mode = "max",
) -> ParallelInfo:
    """Return the parallel coordinates of the finished and stopped trials that have a score.

    Arguments and errors are the same as for `parameter_axes` and `history_info`.
    """
    check_mode(objective, mode)
    shown = trials[trials["status"].isin(SCORED) & np.isfinite(scores(trials, objective))]
    axes = parameter_axes(shown, space)
    return ParallelInfo(axes, scores(shown, objective).tolist(), mode, axis_label(objective))


def plot_parallel(info: ParallelInfo) -> Figure:
    """Draw the lines, better trials darker and on top; they pass below unused parameters."""
    if len(info.axes) < 2:
        return message_figure("no finished or stopped trial has a score and two parameters")
    ticks = [axis.ticks(0.04) for axis in info.axes]
    widths = [_width(axis, marks) for axis, marks in zip(info.axes, ticks, strict=True)]
    positions = np.cumsum([0, *widths])
    figure = Figure(figsize=(positions[-1] + 1, 4.8), layout="constrained")
    ax = figure.subplots()
    lines, score = _lines(info, positions[:-1]), np.array(info.scores)
    # The worse half is pale and thin, so that the eye goes to the best trials.
    colours = _colours(score, info.mode)
    order = np.argsort(score if info.mode == "max" else -score, kind="stable")
    widths_of_lines = np.where(np.arange(len(order)) < len(order) // 2, 0.7, 1.5)
    ax.add_collection(LineCollection(list(lines[order]), colors=colours.to_rgba(score[order]),
                                     linewidths=widths_of_lines))  # fmt: skip
    for position, axis, marks in zip(positions[:-1], info.axes, ticks, strict=True):
        _draw_axis(ax, position, axis, marks)
    ax.set_xlim(-0.1, positions[-1])
    ax.set_ylim(NOT_USED - 0.1, 1.05)
    ax.set_axis_off()
    figure.colorbar(colours, ax=ax, label=info.label, pad=0.02, fraction=0.05, aspect=30,
                    extend="min" if info.mode == "max" else "max")  # fmt: skip
    return figure


def _width(axis: ParameterAxis, ticks: Mapping[float, str]) -> float:
    """Return the distance to the next axis in inches, enough for the texts to the right."""
    return max(0.8, 0.075 * max(map(len, [axis.name, axis.notes, *ticks.values()])))


def _lines(info: ParallelInfo, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the vertices of the lines, trials×axes×2: position of the axis, height in 0..1."""
    heights = np.stack([axis.heights(axis.positions) for axis in info.axes], axis=1)
    heights = np.where(np.isnan(heights), NOT_USED, heights)
    return np.stack([np.broadcast_to(positions, heights.shape), heights], axis=2)


def _colours(score: NDArray[np.float64], mode: Mode) -> ScalarMappable:
    """Return the colours of scores over the axis of scores.

    Its pale end, which scores beyond the axis have too, is still visible on white.
    """
    shades = colormaps["Blues"](np.linspace(PALEST, 1, 256))
    limits = score_limits(score, mode) or (0.0, 1.0)
    return ScalarMappable(
        Normalize(*limits), ListedColormap(shades if mode == "max" else shades[::-1])
    )


def _draw_axis(ax: Axes, position: float, axis: ParameterAxis, ticks: Mapping[float, str]) -> None:
    behind = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.6}
    ax.plot([position, position], [0, 1], color="black", linewidth=0.8)
    ax.text(position, 1.05, f"{axis.name}\n{axis.notes}", va="bottom", fontsize=8.5)
    for height, text in zip(axis.heights(list(ticks)), ticks.values(), strict=True):
        ax.plot([position, position + 0.04], [height, height], color="black", linewidth=0.8)
        ax.text(position + 0.06, height, text, va="center", fontsize=7.5, bbox=behind)
    if np.isnan(axis.positions).any():
        ax.plot(position, NOT_USED, "o", color="white", markeredgecolor="black", markersize=4)
        ax.text(position, NOT_USED - 0.03, "not used", ha="center", va="top", fontsize=7.5)


@dataclass(frozen=True)
class SlicesInfo:
    """Data of the slice plot: score against each parameter."""

    axes: list[ParameterAxis]
    """Axes of the parameters, one panel each; categories are jittered to reduce overlap."""
    scores: list[float]
    """Score of each trial."""
    statuses: list[str]
    """Status of each trial."""
    label: str
    """Axis label of the scores."""
    limits: Interval | None = None
    """Limits of the y-axis; scores outside are drawn at its edge. None without a score."""
    few: list[str] = field(default_factory=list)
    """Parameters that fewer than LEAST_POINTS trials have, which are not drawn."""


def slices_info(
    trials: pd.DataFrame, space: Space, objective: str = SCORE, mode: Mode = "max"
) -> SlicesInfo:
    """Return the slices of all trials that have a score.

    Arguments and errors are the same as for `parameter_axes` and `history_info`.
    """
    scored = trials[np.isfinite(scores(trials, objective))]
    axes = parameter_axes(scored, space)
    count = [int(np.isfinite(axis.positions).sum()) for axis in axes]
    least = min(LEAST_POINTS, len(scored))
    return SlicesInfo(
        [_spread(axis) for axis, number in zip(axes, count, strict=True) if number >= least],
        scores(scored, objective).tolist(),
        scored["status"].tolist(),
        axis_label(objective),
        score_limits(scores(scored, objective), mode),
        [axis.name for axis, number in zip(axes, count, strict=True) if number < least],
    )


def _spread(axis: ParameterAxis) -> ParameterAxis:
    """Jitter categories by up to 0.2, evenly and reproducibly: multiples of the golden ratio."""
    if not axis.labels:
        return axis
    shifts = (np.arange(len(axis.positions)) * 0.618034 + 0.5) % 1 - 0.5
    return replace(axis, positions=(np.array(axis.positions) + 0.4 * shifts).tolist())


def plot_slices(info: SlicesInfo) -> Figure:
    """Draw one panel per parameter, four per row, with the number of trials that have it."""
    if not info.axes:
        return message_figure("no trial has a score yet")
    columns = min(4, len(info.axes))
    rows = -(-len(info.axes) // columns)
    figure = Figure(figsize=(2.7 * columns + 0.6, 2.5 * rows + 0.9), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for ax, axis in zip(panels.flat, info.axes, strict=False):
        _draw_slice(ax, axis, info)
    figure.supylabel(info.label, fontsize=10)
    if info.limits:
        panels[0, 0].set_ylim(*info.limits)
    notes = [f"too few trials have {', '.join(info.few)}"] if info.few else []
    if beyond := outside(info.scores, info.limits):
        notes.append(f"{counted(beyond, 'score')} beyond the edge")
    if notes:
        figure.supxlabel("; ".join(notes), fontsize=8.5)
    for ax in list(panels.flat)[len(info.axes) :]:
        ax.set_visible(False)
    handles = {
        label: handle
        for ax in panels.flat
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=2 * columns,
                  frameon=False)  # fmt: skip
    return figure


def _draw_slice(ax: Axes, axis: ParameterAxis, info: SlicesInfo) -> None:
    x, y = np.array(axis.positions), np.array(info.scores)
    has = ~np.isnan(x)
    for status in TrialStatus:
        rows = has & (np.array(info.statuses) == status)
        if rows.any():
            draw_markers(ax, x[rows].tolist(), at_edge(y[rows].tolist(), info.limits), status)
    if axis.log:
        ax.set_xscale("log")
    ticks = axis.ticks(0.2)
    crowded = sum(map(len, ticks.values())) > 28
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(list(ticks), list(ticks.values()), fontsize=8,
                  rotation=35 if crowded else 0, ha="right" if crowded else "center")  # fmt: skip
    if axis.labels:
        ax.set_xlim(-0.5, len(axis.labels) - 0.5)
    number = "" if has.all() else f"in {has.sum()} of {len(x)} trials"
    ax.set_xlabel(" ".join(filter(None, [axis.name, axis.notes, number])))
    finish_axes(ax)
