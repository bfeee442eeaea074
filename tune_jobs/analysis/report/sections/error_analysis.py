"""Error analysis: overlap of errors, scores per class, confused classes, misclassifications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from trainables.data import Images
from tune_jobs.analysis.comparison.class_averages import class_scores
from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.scored import Scored, TestSet
from tune_jobs.analysis.formatting import percent, shortened
from tune_jobs.analysis.report.blocks import Block, Fold, Picture, Section, Table, Text
from tune_jobs.analysis.style import finish_axes, model_styles, wrapped

MISTAKES = 12
"""Misclassified images shown per model."""
MISTAKES_PER_ROW = 3
"""Images per row of the figure of mistakes, which a phone shows whole."""
CONFUSED_PAIRS = 5
"""Most confused pairs of classes listed per model."""
MOST_CLASSES = 40
"""Maximum number of classes in a figure."""


@dataclass(frozen=True)
class ClassInfo:
    """Data of the figure of F1 scores per class and contestant."""

    names: list[str]
    """Names of the contestants."""
    classes: list[str]
    """Names of the classes, the lowest F1 score of the chosen model first."""
    f1: NDArray[np.float64]
    """F1 scores, contestants × classes, float64, in 0..1."""
    xlabel: str = "F1 score of the class (%)"
    """Label of the x-axis."""


def class_info(comparison: Comparison) -> ClassInfo:
    """Return the F1 scores per class, the lowest of the chosen model first."""
    scores = np.stack([class_scores(c.winner.confusion)[:, 2] for c in comparison.contestants])
    images = comparison.chosen.winner.confusion.sum(axis=1)
    present = np.flatnonzero(images)  # a class without images has no score
    order = present[np.argsort(scores[0, present], kind="stable")][:MOST_CLASSES]
    return ClassInfo(
        [contestant.name for contestant in comparison.contestants],
        [comparison.test_set.classes[i] for i in order],
        scores[:, order],
    )


def plot_classes(info: ClassInfo) -> Figure:
    """Draw one row per class and one marker per model."""
    figure = Figure(figsize=(5.4, 1.2 + 0.27 * len(info.classes)), layout="constrained")
    ax = figure.subplots()
    rows = np.arange(len(info.classes))
    for (name, (colour, marker)), f1 in zip(model_styles(info.names).items(), info.f1, strict=True):
        ax.plot(100 * f1, rows, marker, color=colour, label=wrapped(name, 34), markersize=6,
                alpha=0.9)  # fmt: skip
    ax.hlines(rows, 100 * info.f1.min(axis=0), 100 * info.f1.max(axis=0), color="#999999",
              linewidth=1, zorder=1)  # fmt: skip
    ax.set_yticks(rows, [shortened(name) for name in info.classes], fontsize=8.5)
    ax.invert_yaxis()
    ax.set_xlabel(info.xlabel)
    finish_axes(ax)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8.5)
    return figure


@dataclass(frozen=True)
class Mistake:
    """A misclassified image."""

    image: Images
    """Image, H×W×3, uint8."""
    file: str
    """Where the image is in the source."""
    label: str
    """Name of the true class."""
    predicted: str
    """Name of the predicted class."""
    confidence: float
    """Probability of the predicted class, in 0..1."""


def mistakes_info(scored: Scored, test: TestSet) -> list[Mistake]:
    """Return the misclassifications of a model with the highest confidence, highest first."""
    wrong = np.flatnonzero(~scored.correct)
    confident = wrong[np.argsort(-scored.confidence[wrong], kind="stable")[:MISTAKES]]
    return [
        Mistake(
            test.images.read(np.array([i]))[0],
            test.files[i],
            test.classes[test.labels[i]],
            test.classes[scored.predicted[i]],
            float(scored.confidence[i]),
        )
        for i in confident
    ]


def plot_mistakes(mistakes: Sequence[Mistake]) -> Figure:
    """Draw the images, three per row, with their true and predicted classes."""
    rows = -(-len(mistakes) // MISTAKES_PER_ROW)
    figure = Figure(figsize=(4.6, 1.9 * rows), layout="constrained")
    axes = figure.subplots(rows, MISTAKES_PER_ROW, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, mistake in zip(axes.flat, mistakes, strict=False):
        ax.imshow(mistake.image, interpolation="nearest")
        title = f"{shortened(mistake.label, 14)}\n→ {shortened(mistake.predicted, 14)}"
        ax.set_title(f"{title} {mistake.confidence:.0%}", fontsize=8)
    return figure


def mistakes_table(mistakes: Sequence[Mistake]) -> Table:
    """Return the files of misclassified images."""
    rows = [(m.file, m.label, m.predicted, f"{m.confidence:.0%}") for m in mistakes]
    return Table(("image", "true", "predicted", "probability"), rows, left=frozenset({0, 1, 2}))


def overlap_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return, per pair of contestants, the errors of both and of one alone, and their overlap."""
    rows: list[tuple[str, ...]] = []
    for a, b in combinations((c.winner for c in comparison.contestants), 2):
        both, either = int((~a.correct & ~b.correct).sum()), int((~a.correct | ~b.correct).sum())
        rows.append(
            (
                a.name,
                b.name,
                f"{both:,}",
                f"{int((~a.correct & b.correct).sum()):,}",
                f"{int((a.correct & ~b.correct).sum()):,}",
                percent(both / either) if either else "no errors",
            )
        )
    return rows


def confused_rows(scored: Scored, classes: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the pairs of classes that a model confuses most often, in either direction."""
    wrong = scored.confusion - np.diag(np.diag(scored.confusion))
    both_ways = np.triu(wrong + wrong.T)
    most = np.argsort(-both_ways, axis=None, kind="stable")[:CONFUSED_PAIRS]
    return [
        (scored.name, classes[i], classes[j], f"{wrong[i, j]:,}", f"{wrong[j, i]:,}")
        for i, j in zip(*np.unravel_index(most, both_ways.shape), strict=True)
        if both_ways[i, j]
    ]


def class_table(scored: Scored, classes: Sequence[str]) -> Table:
    """Return the table of precision, recall and F1 per class."""
    rows = [
        (name, f"{images:,}", *map(percent, scores))
        for name, images, scores in zip(
            classes, scored.confusion.sum(axis=1), class_scores(scored.confusion), strict=True
        )
    ]
    return Table(("class", "images", "precision", "recall", "F1"), rows)


def section(comparison: Comparison) -> Section:
    """Return the section: overlap of errors, classes, confused classes and misclassifications."""
    winners = [contestant.winner for contestant in comparison.contestants]
    classes, correct = comparison.test_set.classes, np.stack([w.correct for w in winners])
    blocks: list[Block] = []
    if len(winners) > 1:
        all_wrong, any_correct = int((~correct).all(axis=0).sum()), correct.any(axis=0).mean()
        blocks += [
            Text(
                f"{all_wrong:,} of the {correct.shape[1]:,} images are misclassified by every "
                "model; an oracle that picks the best model for each image would reach an accuracy "
                f"of {percent(any_correct)}."
            ),
            Table(("first", "second", "both wrong", "only first wrong", "only second wrong",
                   "overlap of errors (Jaccard index)"), overlap_rows(comparison),
                  left=frozenset({0, 1})),
        ]  # fmt: skip
    info = class_info(comparison)
    lowest = [f"{name} {percent(f1)}" for name, f1 in zip(info.classes, info.f1[0], strict=True)]
    of_many = f"; {MOST_CLASSES} of {len(classes)} classes are shown" * (
        len(classes) > MOST_CLASSES
    )
    blocks += [
        Picture(
            "classes",
            plot_classes(info),
            f"F1 score of each class by model; {info.names[0]}: " + ", ".join(lowest),
            f"Classes are sorted by the F1 score of {info.names[0]}, lowest at the top{of_many}.",
        ),
    ]  # fmt: skip
    if confused := [row for winner in winners for row in confused_rows(winner, classes)]:
        header = ("model", "class A", "class B", "A predicted as B", "B predicted as A")
        blocks.append(Table(header, confused, left=frozenset({0, 1, 2})))
    for i, winner in enumerate(winners):
        mistakes = mistakes_info(winner, comparison.test_set)
        if mistakes:
            picture = Picture(
                f"mistakes-{i + 1}",
                plot_mistakes(mistakes),
                f"Most confident misclassifications of {winner.name}: "
                + "; ".join(f"{m.label} predicted as {m.predicted}" for m in mistakes),
                f"Most confident misclassifications of {winner.name}: true class → "
                "predicted class, with its probability.",
            )
            files = mistakes_table(mistakes)
            blocks += (
                [picture, Fold("Files of these images", [files])]
                if i == 0
                else [Fold(f"{winner.name}: most confident misclassifications", [picture, files])]
            )
    blocks += [
        Fold(f"{winner.name}: scores per class", [class_table(winner, classes)])
        for winner in winners
    ]
    return Section("Error analysis", blocks)
