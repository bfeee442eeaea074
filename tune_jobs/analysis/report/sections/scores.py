"""Scores on the sealed test images, with intervals, and the confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tune_jobs.analysis.comparison.comparison import Comparison, Scored
from tune_jobs.analysis.comparison.statistics import Interval
from tune_jobs.analysis.formatting import percent, shortened, with_interval
from tune_jobs.analysis.report.blocks import Block, Fold, Picture, Section, Table, Text
from tune_jobs.analysis.style import finish_axes, model_styles
from tune_jobs.run_folder.schema import SCORE

MOST_NUMBERED = 12
"""Classes that a confusion matrix has numbers for."""
MOST_MATRICES = 20


@dataclass(frozen=True)
class AccuracyInfo:
    """Test accuracy of every contestant, the chosen one first."""

    names: list[str]
    accuracies: list[float]
    intervals: list[Interval]
    xlabel: str = "test accuracy (%), 95% interval"


def accuracy_info(comparison: Comparison) -> AccuracyInfo:
    """What each contestant's accuracy is drawn from."""
    winners = [contestant.winner for contestant in comparison.contestants]
    return AccuracyInfo(
        [winner.name for winner in winners],
        [winner.accuracy for winner in winners],
        [winner.accuracy_interval for winner in winners],
    )


def plot_accuracy(info: AccuracyInfo) -> Figure:
    """Draw a point and its interval a contestant."""
    figure = Figure(figsize=(5.4, 0.9 + 0.38 * len(info.names)), layout="constrained")
    ax = figure.subplots()
    styles = model_styles(info.names)
    for row, (name, accuracy, interval) in enumerate(
        zip(info.names, info.accuracies, info.intervals, strict=True)
    ):
        colour, marker = styles[name]
        ax.plot([100 * bound for bound in interval], [row, row], color=colour, linewidth=2.2)
        ax.plot(100 * accuracy, row, marker, color=colour, markersize=7)
    ax.set_yticks(range(len(info.names)), [shortened(name, 32) for name in info.names])
    ax.set_ylim(len(info.names) - 0.5, -0.5)
    ax.set_xlabel(info.xlabel)
    finish_axes(ax)
    return figure


@dataclass(frozen=True)
class ConfusionInfo:
    """Shares of each class that were taken for each, a panel a model."""

    panels: dict[str, NDArray[np.float64]]
    """Model -> C×C; a row, what images are, sums to 1 where there are any."""
    classes: tuple[str, ...]


def confusion_info(scored: Sequence[Scored], classes: tuple[str, ...]) -> ConfusionInfo:
    """Confusion matrices of models."""
    return ConfusionInfo(
        {s.name: s.confusion / np.maximum(s.confusion.sum(axis=1), 1)[:, None] for s in scored},
        classes,
    )


def plot_confusion(info: ConfusionInfo) -> Figure:
    """Draw the matrices as heat maps, two in a row."""
    columns = min(2, len(info.panels))
    rows = -(-len(info.panels) // columns)
    figure = Figure(figsize=(4.1 * columns, 3.8 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax, (name, shares) in zip(axes.flat, info.panels.items(), strict=False):
        # Dark on light or light on dark is readable with any colour vision, and when printed.
        ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        ax.set_title(shortened(name, 36), fontsize=9.5)
        few = len(info.classes) <= MOST_NUMBERED
        every = 1 if few else -(-len(info.classes) // MOST_NUMBERED)
        ticks = range(0, len(info.classes), every)
        labels = [shortened(info.classes[i], 11) for i in ticks]
        ax.set_xticks(ticks, labels, rotation=60, ha="right", rotation_mode="anchor", fontsize=7.5)
        ax.set_yticks(ticks, labels, fontsize=7.5)
        ax.set_xlabel("taken for", fontsize=8.5)
        ax.set_ylabel("is", fontsize=8.5)
        for i, j in np.ndindex(shares.shape) if few else ():
            if shares[i, j] >= 0.005:
                # Not the colours of ink and paper, which change places in the dark.
                colour = "#fdfdfd" if shares[i, j] > 0.5 else "#101010"
                text = f"{100 * shares[i, j]:.0f}"
                ax.text(j, i, text, ha="center", va="center", fontsize=6.5, color=colour)
    for ax in list(axes.flat)[len(info.panels) :]:
        ax.set_visible(False)
    return figure


def section(comparison: Comparison) -> Section:
    """Scores of the contestants, then of every other trial that was scored."""
    images, classes = len(comparison.test_set.labels), comparison.test_set.classes
    winners = [contestant.winner for contestant in comparison.contestants]
    blocks: list[Block] = [
        Text(
            f"Each model is the best of its kind on validation images. The {images:,} test images "
            "took no part in training or in that choice. Intervals are of 95%: Wilson's for "
            "accuracy, and 10,000 draws of a bootstrap that keeps the images of each class for "
            "precision, recall and F1, which are means over classes weighted by their images."
        ),
        score_table(winners, strong=0),
        confusion_picture("confusion", winners, classes),
    ]
    if comparison.trials:
        shown = comparison.trials[:MOST_MATRICES]
        blocks.append(
            Fold(
                f"Every other trial ({len(comparison.trials)}), which nothing was chosen from",
                [
                    score_table(comparison.trials),
                    confusion_picture("confusion-trials", shown, classes),
                ],
            )
        )
    return Section("Scores on the test images", blocks)


def score_table(scored: Sequence[Scored], strong: int | None = None) -> Table:
    """A row a model."""
    rows = []
    for s in scored:
        scores = [
            with_interval(getattr(s.scores, name), interval)
            for name, interval in s.score_intervals.items()
        ]
        rows.append(
            (
                s.name,
                percent(s.candidate.row[SCORE]),
                with_interval(s.accuracy, s.accuracy_interval),
                *scores,
            )
        )
    header = ("model", "validation", "test accuracy", "precision", "recall", "F1")
    return Table(header, rows, strong=strong)


def confusion_picture(name: str, scored: Sequence[Scored], classes: tuple[str, ...]) -> Picture:
    """Confusion matrices with the text that stands for them."""
    return Picture(
        name,
        plot_confusion(confusion_info(scored, classes)),
        "Confusion matrices of "
        + "; ".join(f"{s.name}, {percent(s.accuracy)} on the diagonal" for s in scored),
        "Of each class, a row, the percentage that was taken for each class.",
    )
