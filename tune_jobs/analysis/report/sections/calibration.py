"""Calibration: whether the probabilities of each model are as high as its accuracy."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from matplotlib.figure import Figure

from tune_jobs.analysis.comparison.calibration import Reliability, ReliabilityBin
from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.formatting import Interval, points
from tune_jobs.analysis.report.blocks import Panels, Picture, Section, Table, Text, method
from tune_jobs.analysis.style import GREY, PAPER, finish_axes, model_styles, wrapped

MOST_PANELS = 6
"""Models in the figure, the chosen one first."""


@dataclass(frozen=True)
class ReliabilityInfo:
    """Data of the reliability diagrams, one per contestant."""

    names: list[str]
    """Names of all contestants, to assign colours."""
    as_trained: dict[str, list[ReliabilityBin]]
    """Contestant -> bins of its probabilities as it was trained."""
    calibrated: dict[str, list[ReliabilityBin]]
    """Contestant -> bins of its probabilities after temperature scaling."""
    xlabel: str = "probability of the predicted class (%)"
    """Label of the x-axes."""
    ylabel: str = "accuracy (%), 95% CI"
    """Label of the y-axes."""


def reliability_info(comparison: Comparison) -> ReliabilityInfo:
    """Return the data of the reliability diagrams."""
    shown = comparison.contestants[:MOST_PANELS]
    return ReliabilityInfo(
        [contestant.name for contestant in comparison.contestants],
        {contestant.name: contestant.as_trained.bins for contestant in shown},
        {contestant.name: contestant.calibrated.bins for contestant in shown},
    )


def plot_reliability(info: ReliabilityInfo, name: str) -> Figure:
    """Draw accuracy against probability: grey as trained, coloured after temperature scaling.

    Args:
        info: data of the figures.
        name: contestant of this figure.
    """
    figure = Figure(figsize=(3.6, 3.3), layout="constrained")
    ax = figure.subplots()
    colour, marker = model_styles(info.names)[name]
    ax.plot([0, 100], [0, 100], color=GREY, linewidth=1)
    for bins, own, filled in (
        (info.as_trained[name], GREY, PAPER),
        (info.calibrated[name], colour, colour),
    ):
        for each in bins:
            ax.plot([100 * each.confidence] * 2, [100 * bound for bound in each.interval],
                    color=own, linewidth=1)  # fmt: skip
        ax.plot([100 * each.confidence for each in bins],
                [100 * each.accuracy for each in bins], marker, color=own,
                markerfacecolor=filled, markersize=5)  # fmt: skip
    ax.set_title(wrapped(name, 40), fontsize=9)
    ax.set_xlabel(info.xlabel, fontsize=9)
    ax.set_ylabel(info.ylabel, fontsize=9)
    # The same axes for every model: they have the lowest bin of all of them.
    lowest = min(
        min(each.confidence, each.interval[0])
        for shown in (info.as_trained, info.calibrated)
        for each in itertools.chain.from_iterable(shown.values())
    )
    ax.set_xlim(100 * lowest - 3, 103)
    ax.set_ylim(100 * lowest - 3, 103)
    finish_axes(ax)
    return figure


def gaps(comparison: Comparison) -> str:
    """Say how far the probabilities of the chosen model are from its accuracy, on average."""
    chosen = comparison.chosen

    def gap(found: Reliability) -> str:
        difference = 100 * (found.confidence - chosen.winner.accuracy)
        return f"{abs(difference):.2f} percentage points {'below' if difference < 0 else 'above'}"

    return (
        f"The probabilities of {chosen.short_name} are on average {gap(chosen.as_trained)} its "
        f"accuracy as it was trained, and {gap(chosen.calibrated)} it at the temperature of "
        f"{chosen.temperature:.2f}."
    )


def section(comparison: Comparison) -> Section:
    """Return the section: log-loss, Brier score and calibration error before and after scaling."""
    rows = []
    for contestant in comparison.contestants:
        found = contestant.as_trained, contestant.calibrated
        rows += [
            (
                contestant.name if probabilities is found[0] else "",
                f"{temperature:.2f}",
                _with_interval(probabilities.log_loss, probabilities.log_loss_interval),
                _with_interval(probabilities.brier, probabilities.brier_interval),
                points(probabilities.confidence - contestant.winner.accuracy),
                _with_interval(
                    100 * probabilities.error, _percent(probabilities.error_interval), 2
                ),
            )
            for probabilities, temperature in zip(found, (1, contestant.temperature), strict=True)
        ]
    header = ("model", "temperature", "log-loss (95% CI)", "Brier score (95% CI)",
              "mean probability minus accuracy (pp)", "calibration error (pp, 95% CI)")  # fmt: skip
    info = reliability_info(comparison)
    return Section(
        "Calibration",
        [
            Text(
                "A model is calibrated if, of the images for which it gives its answer a "
                "probability of 80%, 80% are correctly classified. "
                f"pp: percentage points. {gaps(comparison)}"
            ),
            Panels(
                [
                    Picture(
                        f"reliability-{i + 1}",
                        plot_reliability(info, c.name),
                        f"Accuracy of {c.name} against the probability of the predicted class; "
                        f"calibration error {100 * c.calibrated.error:.2f} percentage points",
                    )
                    for i, c in enumerate(comparison.contestants[:MOST_PANELS])
                ],
                "Grey and hollow: as trained. Coloured: after temperature scaling. On the line, "
                "probability and accuracy are equal.",
            ),
            Table(header, rows),
            method(
                "The first row of each model has "
                "its probabilities as it was trained (temperature 1), the second those of logits "
                "divided by a temperature that was fitted on the validation images (Guo et al. "
                "2017), which changes no predicted class; predict.py uses it. Log-loss and Brier "
                "score are lower for better probabilities. The calibration error is the root mean "
                "square difference between probability and accuracy over bins of equally many "
                "images, corrected for the noise of their accuracies (Kumar et al. 2019)."
            ),
        ],
    )


def _percent(interval: Interval) -> Interval:
    return 100 * interval[0], 100 * interval[1]


def _with_interval(value: float, interval: Interval, digits: int = 4) -> str:
    low, high = interval
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
