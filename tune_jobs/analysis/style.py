"""Colours, markers and axes shared by all figures."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tune_jobs.analysis.formatting import Interval

# Okabe & Ito 2008: distinguishable with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

GREY = "#7F7F7F"
INK, PAPER = "#000000", "#ffffff"
"""Text and background colours of the drawings, which a page replaces by its own."""
MODEL_COLOURS = COLOURS[:6]
"""Colours of models; without black, which is the text colour."""
MODEL_MARKERS = "osD^vPX"
"""Markers of models; one more than colours, so that 42 combinations are distinct."""


MOST_ZOOM = 5
"""How many times as wide as the range of the two values that matter most an axis may be."""


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


def wrapped(name: str, width: int = 28) -> str:
    """Break the name of a model into lines, for figures; nothing of it is left out.

    The network stands on lines of its own if the name is longer than a line.

    Args:
        name: name of a model.
        width: number of characters of a line.
    """
    if len(name) <= width:
        return name
    network, comma, rest = name.partition(", ")
    lines = [network + comma.strip(), rest] if comma else [name]
    fill = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False).fill
    return "\n".join(map(fill, lines))


def zoom(bounds: Sequence[Interval], order: Sequence[int], most: float = MOST_ZOOM) -> Interval:
    """Return the limits of an axis on which some values may lie outside, as they are far off.

    The first two values are inside, and the following ones while the axis is at most `most`
    times as wide as those need, so that one bad model does not flatten the others.

    Args:
        bounds: lower and upper end of what is drawn of each value.
        order: positions of the values, the one that matters most first.
        most: how many times as wide as the range of the first two values the axis may be.
    """
    low, high = (pick(bounds[i][k] for i in order[:2]) for k, pick in ((0, min), (1, max)))
    widest = most * (high - low)
    for i in order[2:]:
        wider = min(low, bounds[i][0]), max(high, bounds[i][1])
        if wider[1] - wider[0] > widest:
            break
        low, high = wider
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def mark_outside(ax: Axes, value: float, row: float, colour: str, text: str) -> None:
    """Mark a value that lies left or right of the axis at its edge, with the value as text.

    Args:
        ax: axes, whose limits are set.
        value: the value.
        row: vertical position.
        colour: colour of the mark.
        text: the value in words.
    """
    low, high = ax.get_xlim()
    left = value < low
    x = low if left else high
    ax.plot(x, row, "<" if left else ">", color=colour, markersize=7, clip_on=False)
    ax.annotate(text, (x, row), (9 if left else -9, 0), textcoords="offset points",
                ha="left" if left else "right", va="center", fontsize=8.5)  # fmt: skip
