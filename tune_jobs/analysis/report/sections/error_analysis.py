"""Where the models differ: which images, which classes, and what is mistaken for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from trainables.data import Images
from tune_jobs.analysis.comparison.comparison import Comparison, Scored, TestSet
from tune_jobs.analysis.comparison.statistics import class_scores
from tune_jobs.analysis.formatting import percent, shortened
from tune_jobs.analysis.report.blocks import Block, Fold, Picture, Section, Table, Text
from tune_jobs.analysis.style import finish_axes, model_styles

MISTAKES = 12
CONFUSED_PAIRS = 5
MOST_CLASSES = 40
"""That a figure has a row for."""


@dataclass(frozen=True)
class ClassInfo:
    """F1 of each class by each contestant."""

    names: list[str]
    classes: list[str]
    f1: NDArray[np.float64]
    """Contestants × classes."""
    xlabel: str = "F1 of the class (%)"


def class_info(comparison: Comparison) -> ClassInfo:
    """Scores of the classes, those that the chosen model finds hardest first."""
    scores = np.stack([class_scores(c.winner.confusion)[:, 2] for c in comparison.contestants])
    images = comparison.chosen.winner.confusion.sum(axis=1)
    there = np.flatnonzero(images)  # a class without an image is not a hard one
    order = there[np.argsort(scores[0, there], kind="stable")][:MOST_CLASSES]
    return ClassInfo(
        [contestant.name for contestant in comparison.contestants],
        [comparison.test_set.classes[i] for i in order],
        scores[:, order],
    )


def plot_classes(info: ClassInfo) -> Figure:
    """Draw a row a class, a marker a model."""
    figure = Figure(figsize=(5.4, 1.2 + 0.27 * len(info.classes)), layout="constrained")
    ax = figure.subplots()
    rows = np.arange(len(info.classes))
    for (name, (colour, marker)), f1 in zip(model_styles(info.names).items(), info.f1, strict=True):
        ax.plot(100 * f1, rows, marker, color=colour, label=shortened(name, 30), markersize=6,
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
    """An image that a model has wrong."""

    image: Images
    """H×W×3."""
    index: int
    """In the dataset."""
    label: str
    taken_for: str
    confidence: float
    """Probability of what it was taken for."""


def mistakes_info(scored: Scored, test: TestSet) -> list[Mistake]:
    """The mistakes that a model is most sure of, the surest first."""
    wrong = np.flatnonzero(~scored.right)
    surest = wrong[np.argsort(-scored.confidence[wrong], kind="stable")[:MISTAKES]]
    return [
        Mistake(
            test.images[i],
            int(test.indices[i]),
            test.classes[test.labels[i]],
            test.classes[scored.predicted[i]],
            float(scored.confidence[i]),
        )
        for i in surest
    ]


def plot_mistakes(mistakes: Sequence[Mistake]) -> Figure:
    """Draw the images, four in a row, with what they are and what they were taken for."""
    rows = -(-len(mistakes) // 4)
    figure = Figure(figsize=(6.4, 2 * rows), layout="constrained")
    axes = figure.subplots(rows, 4, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, mistake in zip(axes.flat, mistakes, strict=False):
        ax.imshow(mistake.image, interpolation="nearest")
        title = f"{shortened(mistake.label, 14)}\n→ {shortened(mistake.taken_for, 14)}"
        ax.set_title(f"{title} {mistake.confidence:.0%}", fontsize=8)
    return figure


def overlap_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Of each two contestants: images that both have wrong, and that one alone has."""
    rows: list[tuple[str, ...]] = []
    for a, b in combinations((c.winner for c in comparison.contestants), 2):
        both, either = int((~a.right & ~b.right).sum()), int((~a.right | ~b.right).sum())
        rows.append(
            (
                a.name,
                b.name,
                f"{both:,}",
                f"{int((~a.right & b.right).sum()):,}",
                f"{int((a.right & ~b.right).sum()):,}",
                percent(both / either) if either else "no errors",
            )
        )
    return rows


def confused_rows(scored: Scored, classes: Sequence[str]) -> list[tuple[str, ...]]:
    """The pairs of classes that a model mixes up most, in either direction."""
    wrong = scored.confusion - np.diag(np.diag(scored.confusion))
    mixed = np.triu(wrong + wrong.T)
    most = np.argsort(-mixed, axis=None, kind="stable")[:CONFUSED_PAIRS]
    return [
        (scored.name, classes[i], classes[j], f"{wrong[i, j]:,}", f"{wrong[j, i]:,}")
        for i, j in zip(*np.unravel_index(most, mixed.shape), strict=True)
        if mixed[i, j]
    ]


def class_table(scored: Scored, classes: Sequence[str]) -> Table:
    """Precision, recall and F1 of each class."""
    rows = [
        (name, f"{images:,}", *(f"{score:.4f}" for score in scores))
        for name, images, scores in zip(
            classes, scored.confusion.sum(axis=1), class_scores(scored.confusion), strict=True
        )
    ]
    return Table(("class", "images", "precision", "recall", "F1"), rows)


def section(comparison: Comparison) -> Section:
    """Overlap of errors, classes, confused pairs, and the mistakes themselves."""
    winners = [contestant.winner for contestant in comparison.contestants]
    classes, right = comparison.test_set.classes, np.stack([w.right for w in winners])
    blocks: list[Block] = []
    if len(winners) > 1:
        all_wrong, any_right = int((~right).all(axis=0).sum()), right.any(axis=0).mean()
        blocks += [
            Text(
                f"{all_wrong:,} of the {right.shape[1]:,} images are wrong for every model; "
                f"choosing the right model for each image would reach {percent(any_right)}."
            ),
            Table(("first", "second", "both wrong", "only first wrong", "only second wrong",
                   "overlap of errors"), overlap_rows(comparison), left=frozenset({0, 1})),
        ]  # fmt: skip
    info = class_info(comparison)
    hardest = [f"{name} {percent(f1)}" for name, f1 in zip(info.classes, info.f1[0], strict=True)]
    of_many = f"; of {len(classes)}, the {MOST_CLASSES} hardest" * (len(classes) > MOST_CLASSES)
    blocks += [
        Picture(
            "classes",
            plot_classes(info),
            f"F1 of the classes by each model; of {info.names[0]}: " + ", ".join(hardest),
            f"The class that {info.names[0]} finds hardest is at the top{of_many}.",
        ),
    ]  # fmt: skip
    if confused := [row for winner in winners for row in confused_rows(winner, classes)]:
        header = ("model", "class", "and class", "first taken for second",
                  "second taken for first")  # fmt: skip
        blocks.append(Table(header, confused, left=frozenset({0, 1, 2})))
    for i, winner in enumerate(winners):
        mistakes = mistakes_info(winner, comparison.test_set)
        if mistakes:
            picture = Picture(
                f"mistakes-{i + 1}",
                plot_mistakes(mistakes),
                f"The mistakes that {winner.name} is most sure of: "
                + "; ".join(f"{m.label} taken for {m.taken_for}" for m in mistakes),
                f"The mistakes that {winner.name} is most sure of: what the image is, what it was "
                "taken for, and with which probability.",
            )
            blocks.append(picture if i == 0 else Fold(f"{winner.name}: mistakes", [picture]))
    blocks += [
        Fold(f"{winner.name}: scores of each class", [class_table(winner, classes)])
        for winner in winners
    ]
    return Section("Where they differ", blocks)
