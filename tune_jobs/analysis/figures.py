"""Figures in two steps: *_info() holds all that is drawn, and is tested; plot_*() draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tune_jobs.analysis.wording import shortened

# Okabe & Ito 2008: told apart with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

GREY = "#7F7F7F"
MODEL_COLOURS = COLOURS[:6]
"""Without black, which is the colour of the ink."""
MODEL_MARKERS = "osD^vPX"
"""One more than colours, so that the two together differ for 42 models."""

CURVE_STYLES = ((COLOURS[0], "-"), (COLOURS[1], "--"), (COLOURS[5], ":"), (COLOURS[4], "-."))
"""Of training, validation, and the two that were published."""

LEAST_SPAN = 0.02
"""Of a loss axis, in nats; less is noise."""


@dataclass(frozen=True)
class Points:
    """Where markers or the corners of a line are."""

    x: list[float]
    y: list[float]


@dataclass(frozen=True)
class Curve:
    """One line of a panel."""

    label: str
    epochs: list[int]
    values: list[float]


@dataclass(frozen=True)
class CurvesInfo:
    """Train and validation loss, a panel a trial, as in the report."""

    panels: dict[str, tuple[Curve, ...]]
    """Trial name -> training and validation loss, and those that were published where there are."""
    ylabel: str = "loss (nats)"
    xlabel: str = "epoch"


def curves_info(epochs: pd.DataFrame) -> CurvesInfo:
    """Loss curves of every trial in `load_epochs()`, in its order."""
    panels: dict[str, tuple[Curve, ...]] = {}
    for trial, rows in epochs.groupby("trial", sort=False):
        x = rows["epoch"].tolist()
        panels[str(trial)] = (
            Curve("training", x, rows["train_loss"].tolist()),
            Curve("validation", x, rows["val_loss"].tolist()),
        )
    return CurvesInfo(panels)


def plot_curves(info: CurvesInfo) -> Figure:
    """Draw the panels, three in a row, each on its own scale: rates differ widely in loss."""
    columns = min(3, max(1, len(info.panels)))
    rows = -(-max(1, len(info.panels)) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.7 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for ax, (trial, curves) in zip(axes.flat, info.panels.items(), strict=False):
        for curve, (colour, style) in zip(curves, CURVE_STYLES, strict=False):
            # A single epoch is a point, which a line does not show.
            marker = "o" if len(curve.epochs) == 1 else None
            ax.plot(curve.epochs, curve.values, style, color=colour, label=curve.label,
                    marker=marker)  # fmt: skip
        ax.set_title(shortened(trial, 40), fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25)
        ax.ticklabel_format(axis="y", useOffset=False)
        low, high = ax.get_ylim()
        if high - low < LEAST_SPAN:  # a loss that stands still is a flat line
            middle = (low + high) / 2
            ax.set_ylim(middle - LEAST_SPAN / 2, middle + LEAST_SPAN / 2)
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


def whole_numbers() -> MaxNLocator:
    """Ticks at whole numbers that are easy to count from."""
    return MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])


def finish_axes(ax: Axes) -> None:
    """Open on two sides, with a faint grid, as all figures are."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    ax.set_axisbelow(True)


def message_figure(text: str) -> Figure:
    """A figure that says why nothing is drawn."""
    figure = Figure(figsize=(6.4, 2), layout="constrained")
    figure.text(0.5, 0.5, text, ha="center", va="center", color="#404040")
    return figure


def model_styles(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each model, the same in every figure of a comparison.

    Args:
        names: of the contestants, in their order.
    """
    return {
        name: (MODEL_COLOURS[i % len(MODEL_COLOURS)], MODEL_MARKERS[i % len(MODEL_MARKERS)])
        for i, name in enumerate(names)
    }
