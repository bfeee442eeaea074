"""Which differences between models are real: paired tests on the same images."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.statistics import Interval, smallest_difference
from tune_jobs.analysis.formatting import p_number, points, points_interval, shortened
from tune_jobs.analysis.report.blocks import Picture, Section, Table, Text
from tune_jobs.analysis.style import COLOURS, GREY, finish_axes

MOST_PAIRS = 40
"""In the figure; those of the chosen model come first."""


@dataclass(frozen=True)
class DifferencesInfo:
    """Differences in test accuracy, a row a pair."""

    names: list[tuple[str, str]]
    differences: list[float]
    intervals: list[Interval]
    separable: list[bool]
    xlabel: str = "difference in test accuracy (points), 95% interval"


def differences_info(comparison: Comparison) -> DifferencesInfo:
    """What the pairs are drawn from."""
    pairs = comparison.pairs[:MOST_PAIRS]
    return DifferencesInfo(
        [(pair.first.name, pair.second.name) for pair in pairs],
        [pair.paired.difference for pair in pairs],
        [pair.paired.interval for pair in pairs],
        [pair.paired.separable for pair in pairs],
    )


def plot_differences(info: DifferencesInfo) -> Figure:
    """Draw a point and its interval a pair; grey and hollow where they are not separable."""
    figure = Figure(figsize=(5.8, 1 + 0.36 * len(info.names)), layout="constrained")
    ax = figure.subplots()
    ax.axvline(0, color=GREY, linewidth=1)
    for row, (difference, interval, separable) in enumerate(
        zip(info.differences, info.intervals, info.separable, strict=True)
    ):
        colour = COLOURS[0] if separable else GREY
        ax.plot([100 * bound for bound in interval], [row, row], color=colour, linewidth=2.2)
        ax.plot(100 * difference, row, "o", color=colour, markersize=7,
                markerfacecolor=colour if separable else "white")  # fmt: skip
    labels = [f"{shortened(a, 22)} − {shortened(b, 22)}" for a, b in info.names]
    ax.set_yticks(range(len(labels)), labels, fontsize=8.5)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_xlabel(info.xlabel, fontsize=9)
    finish_axes(ax)
    return figure


def section(comparison: Comparison) -> Section | None:
    """A row a pair; nothing where there is one contestant."""
    pairs, images = comparison.pairs, len(comparison.test_set.labels)
    if not pairs:
        return None
    info = differences_info(comparison)
    rows = [
        (
            pair.first.name,
            pair.second.name,
            f"{points(pair.paired.difference)} ({points_interval(pair.paired.interval)})",
            f"{pair.paired.only_first:,}",
            f"{pair.paired.only_second:,}",
            p_number(pair.paired.p),
            p_number(pair.paired.adjusted_p),
            f"{100 * smallest_difference(pair.discordant, images, len(pairs)):.2f}",
            "yes" if pair.paired.separable else "no",
        )
        for pair in pairs
    ]
    header = ("first", "second", "difference (points)", "only first right", "only second right",
              "p", "p, corrected", "smallest found (points)", "separable")  # fmt: skip
    told = [
        f"{a} less {b}: {points(difference)}"
        for (a, b), difference in zip(info.names, info.differences, strict=True)
    ]
    return Section(
        "Which differences are real",
        [
            Text(
                "All models answer the same images, so what counts is where one alone is right: "
                "McNemar's exact test, with Holm's correction for all pairs together, at 5%. The "
                "smallest difference found is the true one that this test would find four times in "
                "five, given how often the two disagree. Intervals are of each pair by itself, and "
                "of these trainings: only p is corrected, and other seeds may differ."
            ),
            Picture(
                "differences",
                plot_differences(info),
                "Differences in test accuracy in points. " + "; ".join(told),
                "Hollow and grey: not separable.",
            ),
            Table(header, rows, left=frozenset({0, 1})),
        ],
    )
