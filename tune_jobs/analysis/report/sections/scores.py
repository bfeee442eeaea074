"""Test-set scores with confidence intervals, and confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray

from trainables.target import ACCURACY, Target
from tune_jobs.analysis.comparison.class_averages import DRAWS, LEAST_IMAGES
from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.scored import Scored
from tune_jobs.analysis.formatting import Interval, percent, shortened, with_interval
from tune_jobs.analysis.report.blocks import (
    Block,
    Fold,
    Panels,
    Picture,
    Section,
    Table,
    Text,
    method,
)
from tune_jobs.analysis.style import (
    COLOURS,
    INK,
    finish_axes,
    mark_outside,
    model_styles,
    wrapped,
    zoom,
)

MOST_NUMBERED = 12
"""Maximum number of classes for which a confusion matrix shows numbers and all labels."""
MOST_MATRICES = 20
"""Maximum number of confusion matrices of other trials."""


@dataclass(frozen=True)
class AccuracyInfo:
    """Data of the figure of test accuracies, the chosen contestant first."""

    names: list[str]
    """Names of the contestants."""
    accuracies: list[float]
    """Test accuracy of each contestant, in 0..1."""
    intervals: list[Interval]
    """95% confidence interval of each accuracy."""
    xlabel: str
    """Label of the x-axis."""


def accuracy_info(comparison: Comparison) -> AccuracyInfo:
    """Return the data of the figure of test accuracies."""
    winners = [contestant.winner for contestant in comparison.contestants]
    return AccuracyInfo(
        [winner.name for winner in winners],
        [winner.accuracy for winner in winners],
        [winner.accuracy_interval for winner in winners],
        f"test accuracy (%), {comparison.interval_label}",
    )


def plot_accuracy(info: AccuracyInfo) -> Figure:
    """Draw one point with its interval per contestant."""
    figure = Figure(figsize=(5.4, 0.9 + 0.44 * len(info.names)), layout="constrained")
    ax = figure.subplots()
    styles = model_styles(info.names)
    drawn = [(100 * low, 100 * high) for low, high in info.intervals]
    limits = zoom(drawn, np.argsort(-np.array(info.accuracies), kind="stable").tolist())
    ax.set_xlim(*limits)
    for row, (name, accuracy, interval) in enumerate(
        zip(info.names, info.accuracies, info.intervals, strict=True)
    ):
        colour, marker = styles[name]
        ax.plot([100 * bound for bound in interval], [row, row], color=colour, linewidth=2.2)
        ax.plot(100 * accuracy, row, marker, color=colour, markersize=7)
        if not limits[0] <= 100 * accuracy <= limits[1]:
            mark_outside(ax, 100 * accuracy, row, colour, percent(accuracy))
    ax.set_yticks(range(len(info.names)), list(map(wrapped, info.names)), fontsize=9)
    ax.set_ylim(len(info.names) - 0.5, -0.5)
    ax.set_xlabel(info.xlabel)
    finish_axes(ax)
    return figure


@dataclass(frozen=True)
class ConfusionInfo:
    """Data of the normalised confusion matrices, one panel per model."""

    panels: dict[str, NDArray[np.float64]]
    """Model -> C×C, float64; rows (true classes) with any images sum to 1."""
    classes: tuple[str, ...]
    """Class names, in the order of rows and columns."""


def confusion_info(scored: Sequence[Scored], classes: tuple[str, ...]) -> ConfusionInfo:
    """Return the confusion matrices of models, normalised over the true classes."""
    return ConfusionInfo(
        {s.name: s.confusion / np.maximum(s.confusion.sum(axis=1), 1)[:, None] for s in scored},
        classes,
    )


def plot_confusion(info: ConfusionInfo, name: str) -> Figure:
    """Draw the matrix of a model as a heat map, with the background of the page where it is 0."""
    matrix = info.panels[name]
    figure = Figure(figsize=(4.2, 4.1), layout="constrained")
    ax = figure.subplots()
    # A single hue is readable with any colour vision, and when printed.
    cells = np.empty((*matrix.shape, 4))
    cells[:] = to_rgba(COLOURS[0])
    cells[..., 3] = matrix
    ax.imshow(cells)
    ax.set_title(wrapped(name, 36), fontsize=10)
    few = len(info.classes) <= MOST_NUMBERED
    every = 1 if few else -(-len(info.classes) // MOST_NUMBERED)
    ticks = range(0, len(info.classes), every)
    labels = [shortened(info.classes[i], 11) for i in ticks]
    ax.set_xticks(ticks, labels, rotation=60, ha="right", rotation_mode="anchor", fontsize=8.5)
    ax.set_yticks(ticks, labels, fontsize=8.5)
    ax.set_xlabel("predicted class", fontsize=9)
    ax.set_ylabel("true class", fontsize=9)
    for i, j in np.ndindex(matrix.shape) if few else ():
        if matrix[i, j] >= 0.005:
            colour = "#fdfdfd" if matrix[i, j] > 0.5 else INK  # the page replaces INK in the dark
            text = f"{100 * matrix[i, j]:.0f}"
            ax.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)
    return figure


def section(comparison: Comparison) -> Section:
    """Return the section: scores of the contestants, then of all other scored trials."""
    images, classes = len(comparison.test_set.labels), comparison.test_set.classes
    winners = [contestant.winner for contestant in comparison.contestants]
    blocks: list[Block] = [
        Text(
            "Each model is the best of its model family by validation "
            f"{comparison.target.label}. The "
            f"{images:,} test images were used neither for training nor for that choice."
        ),
        score_table(comparison, winners, comparison.chosen_label, strong=0),
        confusion_panels("confusion", winners, classes),
        method(
            "Precision and F1 are averages over classes, weighted by their number of images; "
            "balanced accuracy (mean recall) and macro-F1 weigh all classes alike. (Recall "
            "weighted by images is the accuracy.) Intervals are 95% intervals: Wilson's score "
            "interval for accuracy, Student's t for log-loss (nats, lower is better), and for the "
            f"others {DRAWS:,} draws of a Dirichlet distribution of each row of the confusion "
            "matrix, with one right and one wrong image added in all; they are not estimable "
            f"where a class has a single image, or classes have fewer than {LEAST_IMAGES} on "
            "average. In simulations they held the true score in 90 to 97% of cases, but that of "
            "precision in 85 to 88% with 10 images a class. AUROC, the mean over classes of the "
            "area under the ROC curve of each against the rest, has none. "
            + widened_sentence(comparison)
            + rescored_sentence(winners, comparison.target)
        ),
    ]
    if comparison.trials:
        shown = comparison.trials[:MOST_MATRICES]
        blocks.append(
            Fold(
                f"All other trials ({len(comparison.trials)}), whose test scores were not used to "
                "choose a model",
                [
                    score_table(comparison, comparison.trials, comparison.training_label),
                    confusion_panels("confusion-trials", shown, classes),
                ],
            )
        )
    return Section("Scores on the test set", blocks)


def widened_sentence(comparison: Comparison) -> str:
    """Return a sentence on which intervals hold for several models together, if any do."""
    models = comparison.chosen.winner.models
    if models == 1:
        return ""
    return (
        f" Intervals of accuracy are widened to hold for all {models} models that these images "
        "have scored; the others are each for one model, and may be narrower."
    )


def rescored_sentence(winners: Sequence[Scored], target: Target) -> str:
    """Return a sentence on models that were trained in another precision than fp32, if any."""
    again = [
        f"{winner.candidate.short_name} {target.show(winner.candidate.as_trained[target.best])}"
        for winner in winners
        if winner.candidate.as_trained
    ]
    if not again:
        return ""
    return (
        f" Validation {target.label} is that in fp32, as for the test images: the best trials of "
        "each family were scored again before the choice. In the precision of the training it was: "
        f"{', '.join(again)}."
    )


def score_table(
    comparison: Comparison, scored: Sequence[Scored], validation: str, strong: int | None = None
) -> Table:
    """Return the score table, one row per model.

    Args:
        comparison: the comparison.
        scored: models.
        validation: heading of their validation scores.
        strong: row of the chosen model.
    """
    target, rows = comparison.target, []
    for s in scored:
        scores = [
            with_interval(getattr(s.scores, name), interval)
            for name, interval in s.score_intervals.items()
        ]
        low, high = s.log_loss_interval
        rows.append(
            (
                s.short_name,
                target.show(s.candidate.row[target.best]),
                with_interval(s.accuracy, s.accuracy_interval),
                *scores,
                f"{s.metrics['log_loss']:.4f} ({low:.4f} to {high:.4f})",
                f"{s.metrics['auroc']:.4f}",
            )
        )
    accuracy = f"test {ACCURACY.label} ({comparison.interval_label})"
    header = ("model", validation, accuracy, "precision (95% CI)", "F1 (95% CI)",
              "balanced accuracy (95% CI)", "macro-F1 (95% CI)", "log-loss (95% CI)",
              "AUROC")  # fmt: skip
    return Table(header, rows, strong=strong)


def confusion_panels(name: str, scored: Sequence[Scored], classes: tuple[str, ...]) -> Panels:
    """Return the confusion matrices of models, in figures named `name` with a number."""
    info = confusion_info(scored, classes)
    return Panels(
        [
            Picture(
                f"{name}-{i + 1}",
                plot_confusion(info, each.name),
                f"Confusion matrix of {each.name}: {percent(each.accuracy)} on the diagonal",
            )
            for i, each in enumerate(scored)
        ],
        "Rows are true classes, columns are predicted classes; values are percentages of the true "
        "class.",
    )
