"""Loss curves: `curves_info` prepares the data of the figure, `plot_curves` draws it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from statistics import median_low

import pandas as pd
from matplotlib.figure import Figure

from tune_jobs.analysis.formatting import shortened
from tune_jobs.analysis.style import COLOURS

CURVE_STYLES = ((COLOURS[0], "-"), (COLOURS[1], "--"), (COLOURS[5], ":"), (COLOURS[4], "-."))
"""Colour and line style of the training, validation and the two published curves."""

LEAST_SPAN = 0.02
"""Minimum range of a loss axis in nats; smaller changes are noise."""
OUTLYING = 3
"""Multiple of the middle trial's range from which on a trial may leave the axis at its top."""


@dataclass(frozen=True)
class Curve:
    """One curve of a panel."""

    label: str
    """Label in the legend."""
    epochs: list[int]
    """Epochs, from 1."""
    values: list[float]
    """Value at each epoch."""


@dataclass(frozen=True)
class CurvesInfo:
    """Data of the loss curves, one panel per trial."""

    panels: dict[str, tuple[Curve, ...]]
    """Trial name -> training and validation loss, followed by the published curves, if any."""
    ylabel: str = "loss (nats)"
    """Label of the y-axis."""
    xlabel: str = "epoch"
    """Label of the x-axis."""


def curves_info(epochs: pd.DataFrame) -> CurvesInfo:
    """Return the loss curves of every trial, in the order of the table.

    Args:
        epochs: one row per trial and epoch, as `load_epochs` returns it.
    """
    panels: dict[str, tuple[Curve, ...]] = {}
    for trial, rows in epochs.groupby("trial", sort=False):
        x = rows["epoch"].tolist()
        panels[str(trial)] = (
            Curve("training", x, rows["train_loss"].tolist()),
            Curve("validation", x, rows["val_loss"].tolist()),
        )
    return CurvesInfo(panels)


def has_curves(epochs: pd.DataFrame) -> bool:
    """Return whether any trial has more than one epoch; a probe has one, which is only a dot."""
    return not epochs.empty and bool((epochs["epoch"] > 1).any())


def loss_range(info: CurvesInfo) -> tuple[float, float] | None:
    """Return the limits of the common y-axis, or None without a finite loss.

    Trials are drawn whole, but for those that rise to more than OUTLYING times as far above the
    lowest loss as the middle one of them, so that a diverged one does not flatten the rest.
    """
    found = [values for curves in info.panels.values() if (values := _finite(curves))]
    if not found:
        return None
    low, highest = min(map(min, found)), [max(values) for values in found]
    most = low + OUTLYING * max(median_low(highest) - low, LEAST_SPAN)
    high = max(value for value in highest if value <= most)
    margin = max(0.05 * (high - low), (LEAST_SPAN - (high - low)) / 2)
    return low - margin, high + margin


def _finite(curves: tuple[Curve, ...]) -> list[float]:
    values = chain.from_iterable(curve.values for curve in curves)  # noqa: PD011  no data frame
    return list(filter(math.isfinite, values))


def plot_curves(info: CurvesInfo, columns: int = 3, width: float = 3.6) -> Figure:
    """Draw the panels with one y-axis, so that trials can be compared.

    Args:
        info: data of the figure.
        columns: panels per row, at most.
        width: width of a panel in inches.
    """
    columns = min(columns, max(1, len(info.panels)))
    rows = -(-max(1, len(info.panels)) // columns)
    figure = Figure(figsize=(width * columns, 0.75 * width * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    limits = loss_range(info)
    for ax, (trial, curves) in zip(axes.flat, info.panels.items(), strict=False):
        for curve, (colour, style) in zip(curves, CURVE_STYLES, strict=False):
            # A line through a single epoch is invisible.
            marker = "o" if len(curve.epochs) == 1 else None
            ax.plot(curve.epochs, curve.values, style, color=colour, label=curve.label,
                    marker=marker)  # fmt: skip
        ax.set_title(shortened(trial, round(11 * width)), fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25)
        ax.ticklabel_format(axis="y", useOffset=False)
        if limits:
            ax.set_ylim(*limits)
            if min(_finite(curves), default=0) > limits[1]:
                ax.text(0.5, 0.5, f"above {limits[1]:.3g}", transform=ax.transAxes, ha="center")
        ax.xaxis.get_major_locator().set_params(integer=True)
    for ax in axes[:, 0]:
        ax.set_ylabel(info.ylabel)
    for ax in list(axes.flat)[len(info.panels) :]:
        ax.set_visible(False)
    for ax in list(axes.flat)[max(0, len(info.panels) - columns) : len(info.panels)]:
        ax.set_xlabel(info.xlabel)
        ax.tick_params(labelbottom=True)
    if info.panels:
        most = max(range(len(info.panels)), key=lambda i: len(list(info.panels.values())[i]))
        axes.flat[most].legend(frameon=False, fontsize=9)
    return figure
