"""What retraining with other seeds changes, kept apart from what other test images would."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from matplotlib.figure import Figure

from trainables.status import TrialStatus
from tune_jobs.analysis.comparison.comparison import Comparison, Contestant
from tune_jobs.analysis.comparison.statistics import Interval, probability_better
from tune_jobs.analysis.formatting import listed, percent, percent_interval, shortened
from tune_jobs.analysis.report.blocks import Block, Picture, Section, Table, Text
from tune_jobs.analysis.style import finish_axes, model_styles


@dataclass(frozen=True)
class SeedsInfo:
    """Test accuracy of every retraining, a row a contestant."""

    names: list[str]
    """Of all contestants, those without seeds too, as colours go by them."""
    accuracies: dict[str, list[float]]
    """Contestant -> a value a seed."""
    means: dict[str, float]
    intervals: dict[str, Interval]
    """Of the means, over other seeds and other images."""
    xlabel: str = "test accuracy (%)"


def seeds_info(comparison: Comparison) -> SeedsInfo:
    """What the retrainings are drawn from."""
    spreads = {c.name: c.spread for c in comparison.contestants}
    return SeedsInfo(
        list(spreads),
        {c.name: c.seed_accuracies.tolist() for c in comparison.contestants if c.spread},
        {name: spread.mean for name, spread in spreads.items() if spread},
        {name: spread.interval for name, spread in spreads.items() if spread},
    )


def plot_seeds(info: SeedsInfo) -> Figure:
    """Draw a mark a training, and mean and interval below."""
    figure = Figure(figsize=(5.4, 0.9 + 0.5 * len(info.means)), layout="constrained")
    ax = figure.subplots()
    styles = model_styles(info.names)
    for row, (name, mean) in enumerate(info.means.items()):
        colour, marker = styles[name]
        values = [100 * accuracy for accuracy in info.accuracies[name]]
        ax.plot(values, [row - 0.14] * len(values), "|", color=colour, markersize=11,
                markeredgewidth=1.8)  # fmt: skip
        bounds = [100 * bound for bound in info.intervals[name]]
        ax.plot(bounds, [row + 0.14] * 2, color=colour, linewidth=2.2)
        ax.plot(100 * mean, row + 0.14, marker, color=colour, markersize=7)
    ax.set_yticks(range(len(info.means)), [shortened(name, 32) for name in info.means])
    ax.set_ylim(len(info.means) - 0.5, -0.5)
    ax.set_xlabel(info.xlabel)
    finish_axes(ax)
    return figure


def exceptions(retrained: list[Contestant]) -> str:
    """Winners whose settings alone do not say how they were trained."""
    odd = [
        c.name
        for c in retrained
        if isinstance(c.winner.candidate.row.get("copied"), str)
        or c.winner.candidate.row["status"] != TrialStatus.FINISHED
    ]
    if not odd:
        return ""
    return (
        f" A scheduler changed or stopped the winner of {listed(odd)} on the way; the retrainings "
        "have its last settings, to their end."
    )


def section(comparison: Comparison) -> Section | None:
    """Mean and spread of each winner's retrainings; nothing where there are none."""
    retrained = [c for c in comparison.contestants if c.spread]
    if not retrained:
        return None
    rows = []
    for contestant in retrained:
        spread = contestant.spread
        assert spread is not None  # as filtered above
        rows.append(
            (
                contestant.name,
                str(len(contestant.seeds)),
                percent(spread.mean),
                percent_interval(spread.interval),
                f"{100 * spread.deviation:.2f}",
                f"{100 * spread.seed_error:.2f}",
                f"{100 * spread.test_error:.2f}",
                percent(contestant.winner.accuracy),
            )
        )
    header = ("model", "seeds", "mean", "95% interval", "deviation of a training (points)",
              "error by seeds (points)", "error by test images (points)",
              "the winner itself")  # fmt: skip
    info = seeds_info(comparison)
    blocks: list[Block] = [
        Text(
            "Each winner was trained again from its settings with seeds that no trial of its kind "
            "had. The winner itself is not among them: it was picked because it did well. The "
            "error of the mean has two sources, that the seeds are these and that the test images "
            "are these; more seeds shrink the first, and hardly the second." + exceptions(retrained)
        ),
        Picture(
            "seeds",
            plot_seeds(info),
            "Test accuracy of retrainings. "
            + "; ".join(f"{name}: mean {percent(mean)}" for name, mean in info.means.items()),
            "A line a training; below, their mean and its interval over other seeds and images.",
        ),
        Table(header, rows),
    ]
    beats = []
    for a, b in combinations(retrained, 2):
        share, (low, high) = probability_better(a.seed_accuracies, b.seed_accuracies)
        beats.append((a.name, b.name, f"{share:.0%}", f"{100 * low:.0f} to {100 * high:.0f}%"))
    if beats:
        blocks += [
            Text("How often a training of the first scores higher than one of the second:"),
            Table(("first", "second", "share of pairs", "95% interval"), beats,
                  left=frozenset({0, 1})),
        ]  # fmt: skip
    return Section("What other seeds change", blocks)
