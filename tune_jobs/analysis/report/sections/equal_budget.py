"""Equal-budget curves: the best validation score of each model family against the effort."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from tune_jobs.analysis.comparison.budgets import BudgetCurve, Method, Unit
from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.effort import Effort, equal_budget, lead_words
from tune_jobs.analysis.formatting import counted, duration
from tune_jobs.analysis.report.blocks import Block, Picture, Section, Table, Text, method
from tune_jobs.analysis.style import finish_axes, model_styles, wrapped

METHODS: dict[Method, str] = {
    "orders": "grid, all orders of its trials",
    "random": "random search",
    "searches": "mean of several searches",
    "observed": "one search, as it ran (no band)",
}
"""Method -> what the line and the band are of."""
PANELS_PER_ROW = 2
HEADROOM = 0.08
"""Share of the y-axis above the best score."""


@dataclass(frozen=True)
class BudgetLine:
    """Data of one line of the figure, in the units of its axes."""

    x: list[float]
    """Efforts, B."""
    y: list[float]
    """Scores, B."""
    low: list[float]
    """Lower end of the band, B; NaN without a band."""
    high: list[float]
    """Upper end of the band, B; NaN without a band."""


@dataclass(frozen=True)
class BudgetInfo:
    """Data of the figure of scores against effort, one panel per unit of effort."""

    names: list[str]
    """Names of all contestants, to assign colours."""
    panels: dict[str, dict[str, BudgetLine]]
    """Label of the x-axis -> contestant -> its line."""
    ylabel: str
    """Label of the y-axis."""


def budget_info(comparison: Comparison) -> BudgetInfo:
    """Return the data of the figure of scores against effort."""
    found = comparison.efforts
    target = comparison.target
    factor = 100 if target.digits.endswith("%") else 1
    units: dict[str, tuple[Unit, Callable[[Effort], float | None]]] = {
        "training time (s)": ("seconds", lambda _: 1.0),
        "epochs": ("epochs", lambda _: 1.0),
        "dollars": ("seconds", lambda each: each.dollars_per_second),
    }
    panels: dict[str, dict[str, BudgetLine]] = {}
    for label, (unit, rate) in units.items():
        for each in found:
            curve, price = each.curves[unit], rate(each)
            if curve is not None and price is not None:
                signed = factor * (1 if target.mode == "max" else -1)
                panels.setdefault(label, {})[each.name] = _line(curve, price, signed)
    unit_name = " (%)" if factor == 100 else ""
    names = [contestant.short_name for contestant in comparison.contestants]
    return BudgetInfo(names, panels, f"best {comparison.training_label}{unit_name}")


def _line(curve: BudgetCurve, price: float, factor: int) -> BudgetLine:
    ends = np.sort(np.stack([factor * curve.low, factor * curve.high]), axis=0)
    return BudgetLine(
        (price * curve.budgets).tolist(),
        (factor * curve.line).tolist(),
        *(end.tolist() for end in ends),
    )


def plot_budgets(info: BudgetInfo) -> Figure:
    """Draw the panels, two a row, each with a line and a band for every model family."""
    count = max(1, len(info.panels))
    rows, columns = -(-count // PANELS_PER_ROW), min(count, PANELS_PER_ROW)
    figure = Figure(figsize=(0.6 + 2.1 * columns, 0.6 + 2.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for ax in axes.flat[count:]:
        ax.set_axis_off()
    styles = model_styles(info.names)
    for ax, (label, lines) in zip(axes.flat, info.panels.items(), strict=False):
        for name, line in lines.items():
            colour, marker = styles[name]
            ax.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, step="post",
                            linewidth=0)  # fmt: skip
            ax.step(line.x, line.y, where="post", color=colour,
                    label=wrapped(name) if ax is axes[0, 0] else None)  # fmt: skip
            ax.plot(line.x[-1], line.y[-1], marker, color=colour, markersize=6)
        ax.set_xscale("log")
        _plain_log_axis(ax)
        ax.set_xlabel(label, fontsize=9)
        finish_axes(ax)
    for ax in axes[:, 0]:
        ax.set_ylabel(textwrap.fill(info.ylabel, 30), fontsize=9)
    _zoom(axes[0, 0], info)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8.5)
    return figure


def _zoom(ax: Axes, info: BudgetInfo) -> None:
    """Limit the y-axis to where the lines end, and what leads there: starts may be at chance."""
    lines = [line for panel in info.panels.values() for line in panel.values()]
    ends, middles = [line.y[-1] for line in lines], [float(np.median(line.y)) for line in lines]
    low, high = min(*ends, *middles), max(*ends, *middles)
    room = max(high - low, 1e-3 * abs(high))
    ax.set_ylim(low - HEADROOM * room, high + HEADROOM * room)


def _plain_log_axis(ax: Axes) -> None:
    """Label ticks as in 20,000: powers of ten need math text, which is disabled in reports."""
    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(LogLocator(subs=(1,) if high > 300 * low else (1, 2, 5)))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(labelsize=8)


def section(comparison: Comparison) -> Section | None:
    """Return the section: curves, what each family had and would have had, and crossings."""
    found = comparison.efforts
    info = budget_info(comparison)
    if not info.panels:
        return None
    target, budget = comparison.target, equal_budget(found)
    at = "" if budget is None else f" after {duration(budget)}"
    rows = [
        (
            each.name,
            str(len(each.trials)),
            METHODS[each.method],
            duration(each.spent("seconds")),
            f"{each.spent('epochs'):,.0f}",
            _score(each, budget),
            target.show(target.merit(max(t.scores.max() for t in each.trials if len(t.scores)))),
            each.twice(),
        )
        for each in found
        if each.curves["seconds"] is not None
    ]
    header = ("model", "trials", "curve of", "training time", "epochs",
              f"best {comparison.training_label}{at} (95% band)", "at the end",
              "expected from twice the trials")  # fmt: skip
    blocks: list[Block] = [
        Text(
            "The best score of the trials so far, if trials run one after another, against what "
            "they cost: more trials find a better best one by that alone (Dodge et al. 2019). "
            f"Scores are on the validation images. {_random_note(found)}"
        ),
        Picture(
            "equal-budget",
            plot_budgets(info),
            f"Best {comparison.training_label} against effort. "
            + "; ".join(
                f"{row[0]}: {row[6]} with {counted(int(row[1]), 'trial')} in {row[3]}"
                for row in rows
            ),
            "Marks are at the end of what was spent. A line that ends further left had less.",
        ),
        Table(header, rows, left=frozenset({0, 2, 7}), strong=0),
    ]
    if len(rows) > 1:
        pairs = [(a.name, b.name, lead_words(a, b)) for a, b in combinations(found, 2)]
        blocks.append(
            Table(("first", "second", "which is ahead, by training time"), pairs,
                  left=frozenset({0, 1, 2}))
        )  # fmt: skip
    blocks.append(
        method(
            "The line is the median over the orders in which the trials might have run. The band "
            "has 95% of the orders of a grid; for a random search it holds the median best score "
            "of any other search of that space, at all budgets together (Lourie et al. 2024). "
            "Trials of an adaptive search depend on one another: it has the one course that was "
            "observed, and a band only over several whole searches."
        )
    )
    return Section("Scores at equal effort", blocks)


def _score(effort: Effort, budget: float | None) -> str:
    """Return a family's score at a budget, with its band if it has one."""
    curve = effort.curves["seconds"]
    found = None if curve is None or budget is None else curve.at(budget)
    if found is None:
        return "none yet"
    line, *ends = (effort.target.merit(value) for value in found)
    if np.isnan(ends).any() or ends[0] == ends[1]:
        return effort.target.show(line)  # any order ends at the best trial, which is no certainty
    low, high = (effort.target.show(end).removesuffix("%") for end in sorted(ends))
    return f"{effort.target.show(line)} ({low} to {high})"


def _random_note(found: list[Effort]) -> str:
    if all(each.method != "random" for each in found):
        return ""
    return (
        "Twice the trials of a random search bring, on average, at most the lead of its best trial "
        "over the second, as each further trial adds less than the one before."
    )
