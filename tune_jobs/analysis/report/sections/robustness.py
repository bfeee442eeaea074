"""Robustness: accuracy on corrupted test images, and errors relative to a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from trainables.arrays import Images
from trainables.corruptions import CORRUPTIONS, SEVERITIES, Corruption, corrupt
from tune_jobs.analysis.comparison.comparison import Comparison, Contestant
from tune_jobs.analysis.comparison.robustness import (
    Corrupted,
    CorruptionErrors,
    corruption_errors,
    robustness_differences,
)
from tune_jobs.analysis.comparison.scored import TestSet
from tune_jobs.analysis.comparison.statistics import wilson
from tune_jobs.analysis.formatting import (
    Interval,
    p_number,
    percent,
    percent_interval,
    points,
    points_interval,
)
from tune_jobs.analysis.report.blocks import (
    Block,
    Fold,
    Gallery,
    Picture,
    Section,
    Table,
    Text,
    Thumbnail,
    method,
    thumbnail,
)
from tune_jobs.analysis.style import finish_axes, model_styles, wrapped

PANELS_PER_ROW = 2
LEAST_PIXELS = 96
"""Height and width of the example in pixels, to which smaller images are enlarged."""
SHOWN_SEVERITIES = 1, 3, 5
"""Severities of the example."""


@dataclass(frozen=True)
class SeverityInfo:
    """Data of the figure of accuracy against severity, one panel per corruption."""

    names: list[str]
    """Names of the contestants."""
    accuracies: dict[Corruption, list[list[float]]]
    """Corruption -> accuracy of each contestant at severities 0 (none) to 5, in 0..1."""
    intervals: dict[Corruption, list[list[Interval]]]
    """Corruption -> 95% confidence intervals of the same (Wilson)."""
    xlabel: str = "severity"
    """Label of the x-axes."""
    ylabel: str = "test accuracy (%), 95% CI"
    """Label of the y-axes."""


def baseline_of(comparison: Comparison) -> Contestant:
    """Return the contestant that errors are relative to: the best custom one, or the smallest."""
    smallest = min(comparison.contestants, key=lambda each: each.parameters)
    return comparison.best_by_kind.get("custom", smallest)


def severity_info(comparison: Comparison) -> SeverityInfo:
    """Return the data of the figure, for contestants that were scored on corrupted images."""
    right: dict[Corruption, list[list[np.ndarray]]] = {
        corruption: [
            [each.winner.correct, *each.corrupted.correct[i]]
            for each in comparison.contestants
            if each.corrupted is not None
        ]
        for i, corruption in enumerate(CORRUPTIONS)
    }
    return SeverityInfo(
        [each.name for each in comparison.contestants],
        {name: [[float(r.mean()) for r in own] for own in all_] for name, all_ in right.items()},
        {
            name: [[wilson(int(r.sum()), len(r)) for r in own] for own in all_]
            for name, all_ in right.items()
        },
    )


def plot_severity(info: SeverityInfo) -> Figure:
    """Draw accuracy against severity, one line per contestant."""
    rows = -(-len(info.accuracies) // PANELS_PER_ROW)
    figure = Figure(figsize=(4.8, 0.8 + 1.6 * rows), layout="constrained")
    axes = figure.subplots(rows, PANELS_PER_ROW, squeeze=False, sharex=True, sharey=True)
    styles = model_styles(info.names)
    severities = [0, *SEVERITIES]
    for ax, corruption in zip(axes.flat, info.accuracies, strict=True):
        for k, (name, own, intervals) in enumerate(
            zip(info.names, info.accuracies[corruption], info.intervals[corruption], strict=True)
        ):
            colour, marker = styles[name]
            # Side by side, so that intervals do not cover one another.
            x = np.array(severities) + 0.09 * (k - (len(info.names) - 1) / 2)
            ax.plot(x, 100 * np.array(own), marker=marker, color=colour, markersize=4,
                    linewidth=1.2,
                    label=wrapped(name) if ax is axes.flat[0] else None)  # fmt: skip
            ax.vlines(x, *(100 * np.array(intervals).T), color=colour, linewidth=0.8)
        ax.set_title(corruption, fontsize=9)
        ax.set_xticks(severities)
        finish_axes(ax)
    figure.supxlabel(info.xlabel, fontsize=9)
    figure.supylabel(info.ylabel, fontsize=9)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8.5)
    return figure


def example(test: TestSet) -> list[Gallery]:
    """Return the first test image as it is, and at three severities of each corruption."""
    image, seed = test.images.read(np.array([0])), test.indices[:1]
    larger = -(-LEAST_PIXELS // image.shape[1])

    def shown(image: Images, about: str) -> Thumbnail:
        return thumbnail(image[0].repeat(larger, axis=0).repeat(larger, axis=1), about)

    severities = ", ".join(map(str, SHOWN_SEVERITIES))
    galleries = [Gallery(f"{test.files[0]}, as it is", [shown(image, "the image")])]
    return galleries + [
        Gallery(
            f"{corruption} at severities {severities}",
            [
                shown(corrupt(image, corruption, severity, seed), f"{corruption} {severity}")
                for severity in SHOWN_SEVERITIES
            ],
        )
        for corruption in CORRUPTIONS
    ]


def summary_table(
    contestants: Sequence[Contestant],
    corrupted: Sequence[Corrupted],
    errors: Sequence[CorruptionErrors],
    baseline: Contestant,
) -> Table:
    """Return accuracy with and without corruptions, corruption errors and paired differences.

    Args:
        contestants: the contestants, the chosen one first.
        corrupted: predictions of each on corrupted images.
        errors: errors of each relative to the baseline.
        baseline: one of the contestants.
    """
    differences = robustness_differences(corrupted[0], corrupted[1:])
    rows = []
    for i, (contestant, own, relative) in enumerate(
        zip(contestants, corrupted, errors, strict=True)
    ):
        rows.append(
            (
                contestant.name,
                percent(contestant.winner.accuracy),
                f"{percent(own.accuracy)} ({percent_interval(own.interval)[:-1]})",
                points(own.accuracy - contestant.winner.accuracy),
                "1 (baseline)" if contestant is baseline else ratio(relative),
                *(
                    ("chosen", "")
                    if i == 0
                    else (
                        f"{points(differences[i - 1].difference)} "
                        f"({points_interval(differences[i - 1].interval)})",
                        p_number(differences[i - 1].adjusted_p),
                    )
                ),
            )
        )
    header = ("model", "test accuracy", "mean accuracy on corrupted images (95% CI)",
              "change (pp)", "mean corruption error (95% CI)",
              "corrupted: minus the chosen model (pp, 95% CI)", "adjusted p")  # fmt: skip
    return Table(header, rows)


def ratio(errors: CorruptionErrors) -> str:
    """Return the mean corruption error with its interval.

    It has no upper end where the baseline has no error in some resamples of the images.
    """
    if errors.interval is None:
        return "not estimable"
    low, high = errors.interval
    return f"{errors.mean:.2f} ({low:.2f} {'or more' if np.isinf(high) else f'to {high:.2f}'})"


def corruption_table(
    contestants: Sequence[Contestant],
    corrupted: Sequence[Corrupted],
    errors: Sequence[CorruptionErrors],
) -> Table:
    """Return accuracy and error relative to the baseline by contestant and corruption."""
    rows = []
    for contestant, own, relative in zip(contestants, corrupted, errors, strict=True):
        for i, corruption in enumerate(own.corruptions):
            error = relative.by_corruption[i]
            rows.append(
                (
                    contestant.name if i == 0 else "",
                    corruption,
                    " ".join(f"{value:.3g}" for value in own.strengths[i]),
                    percent(own.correct[i].mean()),
                    "–" if np.isnan(error) else f"{error:.2f}",
                )
            )
    header = ("model", "corruption", "strength at severities 1 to 5", "mean accuracy",
              "corruption error")  # fmt: skip
    return Table(header, rows, left=frozenset({0, 1}))


def section(comparison: Comparison) -> Section | None:
    """Return the section, or None if robustness was not asked for."""
    contestants = comparison.contestants
    corrupted = [each.corrupted for each in contestants if each.corrupted is not None]
    if len(corrupted) < len(contestants):
        return None
    baseline = baseline_of(comparison)
    base = corrupted[[each is baseline for each in contestants].index(True)]
    errors = [corruption_errors(own, base) for own in corrupted]
    sizes = sorted({each.size for each in corrupted})
    info = severity_info(comparison)
    blocks: list[Block] = [
        Text("Accuracy on the same test images after six corruptions at five severities."),
        Picture(
            "robustness",
            plot_severity(info),
            "Test accuracy against severity by corruption. "
            + "; ".join(
                f"{each.name}: mean {percent(own.accuracy)}"
                for each, own in zip(contestants, corrupted, strict=True)
            ),
            "Severity 0 is the image as it is.",
        ),
        Text(
            f"Mean corruption error: errors over all severities divided by those of "
            f"{baseline.name}, the baseline, averaged over corruptions; below 1 is more robust. "
            "pp: percentage points."
        ),
        summary_table(contestants, corrupted, errors, baseline),
        Fold("By corruption", [corruption_table(contestants, corrupted, errors)]),
        Fold("What the corruptions look like", example(comparison.test_set)),
        method(
            "Corruptions are "
            "applied to the square image that a network reads, with the severities that Hendrycks "
            "& Dietterich (2019) published for images of 32, 64 and 224 pixels (CIFAR-10-C, "
            "ImageNet-64x64-C, ImageNet-C), interpolated between them in the logarithm of the "
            f"size: here {' and '.join(f'{size} pixels' for size in sizes)}. The noise of an image "
            "is the same for all models that read it at one size. Differences are paired by image "
            "(Student's t, Holm's correction)."
        ),
    ]
    return Section("Robustness", blocks)
