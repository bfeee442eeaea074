"""Differences between models: one verdict for each pair, and McNemar's test of trained models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from trainables.target import ACCURACY
from tune_jobs.analysis.comparison.comparison import Comparison, Pair
from tune_jobs.analysis.comparison.equivalence import ASSUMED_DEVIATION, LEAST_SEEDS, Word
from tune_jobs.analysis.comparison.needed import would_decide
from tune_jobs.analysis.comparison.statistics import ALPHA, POWER, smallest_difference
from tune_jobs.analysis.formatting import (
    Interval,
    p_number,
    percentage_points,
    points,
    points_interval,
)
from tune_jobs.analysis.report.blocks import Picture, Section, Table, Text, method
from tune_jobs.analysis.style import (
    COLOURS,
    GREY,
    PAPER,
    finish_axes,
    mark_outside,
    wrapped,
    zoom,
)

MOST_ZOOM = 10
"""How many times as wide as the margin and the smallest difference the figure may be."""
MOST_PAIRS = 40
"""Maximum number of pairs in the figure; those of the chosen model come first."""


@dataclass(frozen=True)
class DifferencesInfo:
    """Data of the figure of differences in test accuracy, one row per pair."""

    names: list[tuple[str, str]]
    """Short names of the first and second model of each pair."""
    differences: list[float]
    """Accuracy of the first model minus that of the second, in -1..1."""
    intervals: list[Interval]
    """95% confidence interval of each difference."""
    words: list[Word]
    """Verdict on each difference."""
    margin: float
    """Difference below which two models are equivalent, in 0..1."""
    xlabel: str = "difference in test accuracy (pp), 95% CI"
    """Label of the x-axis."""


def differences_info(comparison: Comparison) -> DifferencesInfo:
    """Return the data of the figure of differences in test accuracy."""
    pairs = comparison.pairs[:MOST_PAIRS]
    estimates = [pair.decision.estimate for pair in pairs]
    return DifferencesInfo(
        [(pair.first.short_name, pair.second.short_name) for pair in pairs],
        [estimate.difference for estimate in estimates],
        [estimate.interval for estimate in estimates],
        [pair.word for pair in pairs],
        comparison.margin,
    )


def plot_differences(info: DifferencesInfo) -> Figure:
    """Draw one point with its interval per pair, and the margin as a band."""
    figure = Figure(figsize=(5.4, 1 + 0.48 * len(info.names)), layout="constrained")
    ax = figure.subplots()
    ax.axvspan(-100 * info.margin, 100 * info.margin, color=GREY, alpha=0.15, linewidth=0)
    ax.axvline(0, color=GREY, linewidth=1)
    drawn = [(100 * low, 100 * high) for low, high in info.intervals]
    nearest = np.argsort(np.abs(info.differences), kind="stable").tolist()
    limits = zoom(
        [*drawn, (-100 * info.margin, 100 * info.margin)], [len(drawn), *nearest], MOST_ZOOM
    )
    ax.set_xlim(*limits)
    for row, (difference, interval, word) in enumerate(
        zip(info.differences, info.intervals, info.words, strict=True)
    ):
        colour = {"equivalent": COLOURS[2], "undecided": GREY}.get(word, COLOURS[0])
        ax.plot([100 * bound for bound in interval], [row, row], color=colour, linewidth=2.2)
        ax.plot(100 * difference, row, "o", color=colour, markersize=7,
                markerfacecolor=PAPER if word == "undecided" else colour)  # fmt: skip
        if not limits[0] <= 100 * difference <= limits[1]:
            mark_outside(ax, 100 * difference, row, colour, points(difference))
    labels = [f"{wrapped(a, 36)} −\n{wrapped(b, 36)}" for a, b in info.names]
    ax.set_yticks(range(len(labels)), labels, fontsize=8.5)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_xlabel(info.xlabel, fontsize=9)
    finish_axes(ax)
    return figure


def decision_table(pairs: list[Pair]) -> Table:
    """Return the table of verdicts, one row per pair."""
    rows = []
    for pair in pairs:
        decision, estimate = pair.decision, pair.decision.estimate
        rows.append(
            (
                f"{pair.first.short_name} − {pair.second.short_name}",
                pair.word,
                f"{points(estimate.difference)} ({points_interval(estimate.interval)})",
                p_number(decision.adjusted_p),
                p_number(decision.adjusted_equivalence_p),
                f"{estimate.seeds} seeds" if estimate.basis == "model families" else "one training",
                would_decide(pair) if pair.word == "undecided" else "",
            )
        )
    header = ("first − second", "the first is", "difference (pp, 95% CI)", "p, no difference",
              "p, margin or more", "of each", "would decide")  # fmt: skip
    return Table(header, rows, left=frozenset({0, 1, 5, 6}))


def mcnemar_table(pairs: list[Pair]) -> Table:
    """Return the table of McNemar's tests, one row per pair."""
    rows = [
        (
            f"{pair.first.short_name} − {pair.second.short_name}",
            f"{points(test.difference)} ({points_interval(test.interval)})",
            f"{test.only_first:,}",
            f"{test.only_second:,}",
            p_number(test.p),
            p_number(test.adjusted_p),
            f"{100 * smallest_difference(test.discordant, test.images, len(pairs)):.2f}",
        )
        for pair in pairs
        for test in (pair.paired,)
    ]
    header = ("first − second", "difference (pp, 95% CI)", "only first correct",
              "only second correct", "mid-p", "adjusted",
              "minimum detectable difference (pp)")  # fmt: skip
    return Table(header, rows)


def about_accuracy(comparison: Comparison) -> str:
    """Return a sentence if the models were chosen by another metric than what is tested."""
    if comparison.target == ACCURACY:
        return ""
    return (
        f" The models were chosen by validation {comparison.target.label}; the intervals and tests "
        "of this section are about accuracy."
    )


def section(comparison: Comparison) -> Section | None:
    """Return the section, one table row per pair, or None with a single contestant."""
    pairs = comparison.pairs
    if not pairs:
        return None
    info = differences_info(comparison)
    differences = [
        f"{a} minus {b}: {points(difference)}, {word}"
        for (a, b), difference, word in zip(info.names, info.differences, info.words, strict=True)
    ]
    return Section(
        "Statistical significance",
        [
            Text(
                "All models classify the same images, so they are compared in pairs. The first "
                "model is better or worse than the second if a difference of 0 is rejected; the "
                "two are equivalent if a difference of the margin or more is "
                f"(--margin: {percentage_points(comparison.margin)}), even where it is not 0; "
                "otherwise the pair is undecided. pp: percentage points."
                + about_accuracy(comparison)
            ),
            Picture(
                "differences",
                plot_differences(info),
                "Differences in test accuracy in percentage points. " + "; ".join(differences),
                "Filled blue: better or worse; green: equivalent; hollow and grey: undecided. The "
                "band is the margin.",
            ),
            decision_table(pairs),
            Text(
                "These trained models: McNemar's test counts the images that only one of two "
                "winners classifies correctly."
            ),
            mcnemar_table(pairs),
            method(
                "Equivalence is tested by two one-sided tests. Each of both tests has a "
                f"family-wise error rate of {ALPHA:.0%} over all pairs (Holm's correction); "
                "intervals are not corrected. The expected regret of using a model instead of the "
                "chosen one is E[max(0, loss of accuracy)]. Undecided pairs have the number of "
                "seeds or of test images with which a true difference of the margin is found, and "
                "equivalence where there is no difference, "
                f"planned for {POWER:.0%} power (a plan from three seeds, "
                "whose spread is itself uncertain, reached 55 to 66% in simulations).",
                f"From {LEAST_SEEDS} seeds of both (compare.py --seeds) a difference is about the "
                "model families: its variance has the seeds and the images, and Satterthwaite's "
                "degrees of freedom. Otherwise it is about one training of each: with other random "
                "seeds the same two families may differ otherwise. In simulations with three seeds "
                "or more, equal families were called different in 3 to 6% of cases, and the "
                "interval held the true difference in 94 to 99.6%. What would settle families "
                "is planned as if seeds moved the accuracy of a family by a standard deviation of "
                f"{100 * ASSUMED_DEVIATION:.1f} percentage points.",
                "McNemar's test is the mid-p test, adjusted by Holm's correction; the minimum "
                "detectable difference is the true difference between two trained models that it "
                f"finds with {POWER:.0%} power, computed exactly, given how often they disagree.",
            ),
        ],
    )
