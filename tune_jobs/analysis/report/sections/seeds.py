"""Variation of test accuracy over random seeds, separated from that over test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from matplotlib.figure import Figure

from trainables.status import TrialStatus
from tune_jobs.analysis.comparison.comparison import Comparison, Contestant
from tune_jobs.analysis.comparison.statistics import CHANCE_SEEDS, probability_better
from tune_jobs.analysis.formatting import Interval, listed, percent, percent_interval
from tune_jobs.analysis.report.blocks import Block, Picture, Section, Table, Text, method
from tune_jobs.analysis.style import finish_axes, mark_outside, model_styles, wrapped, zoom
from tune_jobs.run_folder.schema import members_of

MEANINGFUL = 0.75
"""Chance to score higher from which on a difference is meaningful (Bouthillier et al. 2021)."""


@dataclass(frozen=True)
class SeedsInfo:
    """Data of the figure of runs with different seeds, one row per contestant."""

    names: list[str]
    """Names of all contestants, including those without seeds, to assign colours."""
    accuracies: dict[str, list[float]]
    """Contestant -> test accuracy of each seed, in 0..1."""
    means: dict[str, float]
    """Contestant -> mean test accuracy over seeds, in 0..1."""
    intervals: dict[str, Interval]
    """Contestant -> 95% confidence interval of the mean, over other seeds and test images."""
    xlabel: str = "test accuracy (%)"
    """Label of the x-axis."""


def seeds_info(comparison: Comparison) -> SeedsInfo:
    """Return the data of the figure of runs with different seeds."""
    spreads = {c.name: c.spread for c in comparison.contestants}
    return SeedsInfo(
        list(spreads),
        {c.name: c.seed_accuracies.tolist() for c in comparison.contestants if c.spread},
        {name: spread.mean for name, spread in spreads.items() if spread},
        {name: spread.interval for name, spread in spreads.items() if spread},
    )


def plot_seeds(info: SeedsInfo) -> Figure:
    """Draw one mark per run, with their mean and its interval below."""
    figure = Figure(figsize=(5.4, 0.9 + 0.5 * len(info.means)), layout="constrained")
    ax = figure.subplots()
    styles = model_styles(info.names)
    drawn = [
        (100 * min(*values, info.intervals[name][0]), 100 * max(*values, info.intervals[name][1]))
        for name, values in info.accuracies.items()
    ]
    limits = zoom(drawn, np.argsort([-mean for mean in info.means.values()]).tolist())
    ax.set_xlim(*limits)
    for row, (name, mean) in enumerate(info.means.items()):
        colour, marker = styles[name]
        values = [100 * accuracy for accuracy in info.accuracies[name]]
        ax.plot(values, [row - 0.14] * len(values), "|", color=colour, markersize=11,
                markeredgewidth=1.8)  # fmt: skip
        bounds = [100 * bound for bound in info.intervals[name]]
        ax.plot(bounds, [row + 0.14] * 2, color=colour, linewidth=2.2)
        ax.plot(100 * mean, row + 0.14, marker, color=colour, markersize=7)
        if not limits[0] <= 100 * mean <= limits[1]:
            mark_outside(ax, 100 * mean, row + 0.14, colour, percent(mean))
    ax.set_yticks(range(len(info.means)), list(map(wrapped, info.means)), fontsize=9)
    ax.set_ylim(len(info.means) - 0.5, -0.5)
    ax.set_xlabel(info.xlabel)
    finish_axes(ax)
    return figure


def note_on_changed_winners(retrained: list[Contestant]) -> str:
    """Return a sentence about winners that a scheduler changed or stopped, if there are any."""
    changed = [
        c.short_name
        for c in retrained
        if isinstance(c.winner.candidate.row.get("copied"), str)
        or c.winner.candidate.row["status"] != TrialStatus.FINISHED
    ]
    if not changed:
        return ""
    return (
        f" For {listed(changed)}, a scheduler changed or stopped the winner during training; the "
        "runs with other seeds use its last configuration and train to the end."
    )


def note_on_soups(contestants: Sequence[Contestant]) -> str:
    """Return a sentence about winners that average trainings, if there are any."""
    soups = [c.short_name for c in contestants if members_of(c.winner.candidate.row)]
    if not soups:
        return ""
    return (
        f" {listed(soups)} is left out: the winner is an average of the weights of several "
        "trainings, which no training with another random seed repeats."
    )


def mean_validation(contestant: Contestant) -> float:
    """Return the mean validation score of the runs with different seeds."""
    target = contestant.winner.candidate.run.target
    return float(np.mean([s.candidate.row[target.best] for s in contestant.seeds]))


def section(comparison: Comparison) -> Section | None:
    """Return the section on runs with different seeds, or None if there are none."""
    retrained = [c for c in comparison.contestants if c.spread]
    if not retrained:
        return None
    rows, target = [], comparison.target
    for contestant in retrained:
        spread = contestant.spread
        assert spread is not None  # as filtered above
        rows.append(
            (
                contestant.name,
                str(len(contestant.seeds)),
                target.show(mean_validation(contestant)),
                percent(spread.mean),
                percent_interval(spread.interval),
                f"{100 * spread.deviation:.2f}",
                f"{100 * spread.seed_error:.2f}",
                f"{100 * spread.test_error:.2f}",
                percent(contestant.winner.accuracy),
            )
        )
    header = ("model", "seeds", f"mean {comparison.chosen_label}", "mean test accuracy",
              "95% CI", "deviation over seeds (pp)", "error from seeds (pp)",
              "error from test images (pp)", "test accuracy of the winner")  # fmt: skip
    info = seeds_info(comparison)
    blocks: list[Block] = [
        Text(
            "The configuration of each winner was trained again with random seeds that no trial of "
            f"its model family had used; the model is chosen by {comparison.chosen_by}. Standard "
            "deviations and standard errors are in percentage points (pp)."
            + note_on_changed_winners(retrained)
            + note_on_soups(comparison.contestants)
        ),
        Picture(
            "seeds",
            plot_seeds(info),
            "Test accuracy of the runs with different random seeds. "
            + "; ".join(f"{name}: mean {percent(mean)}" for name, mean in info.means.items()),
            "Each vertical mark is one run, or several of equal accuracy; below are their mean and "
            "its 95% confidence interval over other seeds and test images.",
        ),
        Table(header, rows),
    ]
    blocks += chance_blocks(retrained)
    blocks.append(
        method(
            "The winner itself is excluded, because it was selected for doing well. The standard "
            "error of the "
            "mean has two sources, the choice of seeds and the choice of test images; more seeds "
            "reduce the first, but hardly the second. The interval has both, and two right and two "
            "wrong images added, so that a mean without a mistake is not certain. In simulations "
            "it held the true accuracy in 93 to 98% of cases up to 97.5%, and in 94 to 99.8% "
            "above, where it is wider than needed."
        )
    )
    return Section("Variation over random seeds", blocks)


def chance_blocks(retrained: Sequence[Contestant]) -> list[Block]:
    """Return the chance that a run of one model scores higher than one of another, per pair."""
    enough = [c for c in retrained if len(c.seeds) >= CHANCE_SEEDS]
    if len(retrained) < 2:
        return []
    if len(enough) < 2:
        return [
            Text(
                "How often a run of one model scores higher than a run of another is stated from "
                f"{CHANCE_SEEDS} seeds on: use --seeds {CHANCE_SEEDS}. With three, its interval "
                "excludes one half in 10% of the cases without a difference."
            )
        ]
    rows = []
    for a, b in combinations(enough, 2):
        estimate, (low, high) = probability_better(a.seed_accuracies, b.seed_accuracies)
        rows.append((a.name, b.name, f"{estimate:.0%}", f"{100 * low:.0f} to {100 * high:.0f}%",
                     meaning(low, high)))  # fmt: skip
    return [
        Text(
            "How often a run of the first model scores higher than a run of the second on these "
            "test images (ties count half). Only the seeds vary here: on other test images the "
            "chance may be another. It is a difference if the interval excludes 50%, and a "
            f"meaningful one if the interval also reaches {MEANINGFUL:.0%} (Bouthillier et al. "
            "2021)."
        ),
        Table(("first", "second", "share of pairs", "95% CI", "difference"), rows,
              left=frozenset({0, 1, 4})),
    ]  # fmt: skip


def meaning(low: float, high: float) -> str:
    """Return what the interval of a chance to score higher says, after Bouthillier et al. 2021."""
    if low <= 0.5 <= high:
        return "not shown"
    return "meaningful" if max(high, 1 - low) >= MEANINGFUL else "small"
