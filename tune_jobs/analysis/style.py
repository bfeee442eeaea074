"""Colours, markers and axes shared by all figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Okabe & Ito 2008: distinguishable with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

GREY = "#7F7F7F"
INK, PAPER = "#000000", "#ffffff"
"""Text and background colours of the drawings, which a page replaces by its own."""
MODEL_COLOURS = COLOURS[:6]
"""Colours of models; without black, which is the text colour."""
MODEL_MARKERS = "osD^vPX"
"""Markers of models; one more than colours, so that 42 combinations are distinct."""


@dataclass(frozen=True)
class Points:
    """Coordinates of markers or of the vertices of a line."""

    x: list[float]
    """Horizontal coordinates."""
    y: list[float]
    """Vertical coordinates."""


def whole_numbers() -> MaxNLocator:
    """Return a locator that places ticks at integers in steps of 1, 2, 5 or 10."""
    return MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])


def finish_axes(ax: Axes) -> None:
    """Remove the top and right spines and add a faint grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    ax.set_axisbelow(True)


def message_figure(text: str) -> Figure:
    """Return a figure with a message instead of data."""
    figure = Figure(figsize=(6.4, 2), layout="constrained")
    figure.text(0.5, 0.5, text, ha="center", va="center", color="#404040")
    return figure


def model_styles(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the colour and marker of each model, the same in every figure of a comparison.

    Args:
        names: names of the contestants, in order.
    """
    return {
        name: (MODEL_COLOURS[i % len(MODEL_COLOURS)], MODEL_MARKERS[i % len(MODEL_MARKERS)])
        for i, name in enumerate(names)
    }
