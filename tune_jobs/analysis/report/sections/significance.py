"""Statistical significance of the differences between models: paired tests."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.statistics import ALPHA, POWER, smallest_difference
from tune_jobs.analysis.formatting import Interval, p_number, points, points_interval, shortened
from tune_jobs.analysis.report.blocks import Picture, Section, Table, Text
from tune_jobs.analysis.style import COLOURS, GREY, finish_axes

MOST_PAIRS = 40
"""Maximum number of pairs in the figure; those of the chosen model come first."""


@dataclass(frozen=True)
class DifferencesInfo:
    """Data of the figure of differences in test accuracy, one row per pair."""

    names: list[tuple[str, str]]
    """Names of the first and second model of each pair."""
    differences: list[float]
    """Accuracy of the first model minus that of the second, in -1..1."""
    intervals: list[Interval]
    """95% confidence interval of each difference."""
    significant: list[bool]
    """Whether each difference is significant after Holm's correction."""
    xlabel: str = "difference in test accuracy (pp), 95% CI"
    """Label of the x-axis."""


def differences_info(comparison: Comparison) -> DifferencesInfo:
    """Return the data of the figure of differences in test accuracy."""
    pairs = comparison.pairs[:MOST_PAIRS]
    return DifferencesInfo(
        [(pair.first.name, pair.second.name) for pair in pairs],
        [pair.paired.difference for pair in pairs],
        [pair.paired.interval for pair in pairs],
        [pair.paired.significant for pair in pairs],
    )


def plot_differences(info: DifferencesInfo) -> Figure:
    """Draw one point with its interval per pair, grey and hollow if it is not significant."""
    figure = Figure(figsize=(5.8, 1 + 0.36 * len(info.names)), layout="constrained")
    ax = figure.subplots()
    ax.axvline(0, color=GREY, linewidth=1)
    for row, (difference, interval, significant) in enumerate(
        zip(info.differences, info.intervals, info.significant, strict=True)
    ):
        colour = COLOURS[0] if significant else GREY
        ax.plot([100 * bound for bound in interval], [row, row], color=colour, linewidth=2.2)
        ax.plot(100 * difference, row, "o", color=colour, markersize=7,
                markerfacecolor=colour if significant else "white")  # fmt: skip
    labels = [f"{shortened(a, 22)} − {shortened(b, 22)}" for a, b in info.names]
    ax.set_yticks(range(len(labels)), labels, fontsize=8.5)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_xlabel(info.xlabel, fontsize=9)
    finish_axes(ax)
    return figure


def section(comparison: Comparison) -> Section | None:
    """Return the section, one table row per pair, or None with a single contestant."""
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
            "yes" if pair.paired.significant else "no",
        )
        for pair in pairs
    ]
    header = ("first", "second", "difference (pp, 95% CI)", "only first correct",
              "only second correct", "p-value", "adjusted p-value",
              "minimum detectable difference (pp)", "significant")  # fmt: skip
    differences = [
        f"{a} minus {b}: {points(difference)}"
        for (a, b), difference in zip(info.names, info.differences, strict=True)
    ]
    return Section(
        "Statistical significance",
        [
            Text(
                "All models classify the same images, so each pair is compared by McNemar's exact "
                "test, which counts the images that only one of the two classifies correctly. "
                "p-values are adjusted by Holm's correction over all pairs, and a difference is "
                f"significant if its adjusted p-value is below {ALPHA:.0%}. The minimum detectable "
                f"difference is the true difference that this test detects with {POWER:.0%} power, "
                "given how often the two models disagree. Confidence intervals are not corrected "
                "for multiple tests and hold for these trained models only; other random seeds may "
                "give other differences. pp: percentage points."
            ),
            Picture(
                "differences",
                plot_differences(info),
                "Differences in test accuracy in percentage points. " + "; ".join(differences),
                "Hollow and grey: not significant.",
            ),
            Table(header, rows, left=frozenset({0, 1})),
        ],
    )
