"""What all figures have in common: colours, markers, axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Okabe & Ito 2008: told apart with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

GREY = "#7F7F7F"
MODEL_COLOURS = COLOURS[:6]
"""Without black, which is the colour of the ink."""
MODEL_MARKERS = "osD^vPX"
"""One more than colours, so that the two together differ for 42 models."""


@dataclass(frozen=True)
class Points:
    """Where markers or the corners of a line are."""

    x: list[float]
    y: list[float]


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
