"""When not to answer: risk against coverage, and thresholds that keep the risk below a limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from tune_jobs.analysis.comparison.comparison import Comparison, Contestant
from tune_jobs.analysis.comparison.rejection import risk_curve
from tune_jobs.analysis.formatting import Interval, percent, percent_interval, signed
from tune_jobs.analysis.report.blocks import Block, Fold, Picture, Section, Table, Text, method
from tune_jobs.analysis.style import Points, finish_axes, model_styles, wrapped

LEAST_ANSWERED = 10
"""Answered images from which on the risk is drawn."""
MOST_POINTS = 200
"""Points of a curve."""


@dataclass(frozen=True)
class RiskInfo:
    """Data of the figure of risk against coverage."""

    curves: dict[str, Points]
    """Contestant -> risk against coverage on the test images, both in 0..1."""
    thresholds: Points
    """Coverage and risk of the chosen contestant at its thresholds."""
    xlabel: str = "coverage: images answered (%)"
    """Label of the x-axis."""
    ylabel: str = "risk: answers that are wrong (%)"
    """Label of the y-axis."""


def risk_info(comparison: Comparison) -> RiskInfo:
    """Return the data of the figure."""
    curves = {}
    for contestant in comparison.contestants:
        coverage, risk = risk_curve(contestant.confidence, contestant.winner.correct)
        first = min(LEAST_ANSWERED, len(risk)) - 1
        shown = np.unique(np.linspace(first, len(risk) - 1, MOST_POINTS).round().astype(int))
        curves[contestant.name] = Points(coverage[shown].tolist(), risk[shown].tolist())
    found = map(comparison.chosen.realised, comparison.chosen.rejections)
    at = [(each.coverage, each.risk) for each in found if each.answered]
    return RiskInfo(curves, Points([x for x, _ in at], [y for _, y in at]))


def plot_risk(info: RiskInfo) -> Figure:
    """Draw one line per contestant, and rings at the thresholds of the chosen one."""
    figure = Figure(figsize=(4.8, 3.6), layout="constrained")
    ax = figure.subplots()
    styles = model_styles(list(info.curves))
    for name, curve in info.curves.items():
        ax.plot(100 * np.array(curve.x), 100 * np.array(curve.y), color=styles[name][0],
                linewidth=1.5, label=wrapped(name))  # fmt: skip
    ax.plot(100 * np.array(info.thresholds.x), 100 * np.array(info.thresholds.y), "o",
            color=styles[next(iter(styles))][0], markerfacecolor="none", markersize=7)  # fmt: skip
    ax.set_xlim(0, 102)
    ax.set_ylim(bottom=0)
    ax.set_xlabel(info.xlabel)
    ax.set_ylabel(info.ylabel)
    finish_axes(ax)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8.5)
    return figure


def threshold_table(contestant: Contestant) -> Table:
    """Return the thresholds of a contestant with coverage and risk on the test images.

    Of those at which all images are answered, only the lowest risk is shown.
    """
    rows = []
    answers_all = [each.risk for each in contestant.rejections if each.threshold == 0]
    for each in contestant.rejections:
        if answers_all and each.risk > min(answers_all):
            continue
        found = contestant.realised(each)
        rows.append(
            (
                f"{100 * each.risk:g}%",
                percent(each.threshold),
                percent(each.coverage),
                f"{percent(found.coverage)} ({percent_interval(found.coverage_interval)[:-1]})",
                f"{percent(found.risk)} ({percent_interval(found.risk_interval)[:-1]})"
                if found.answered
                else "none answered",
            )
        )
    header = ("highest risk", "lowest probability that is answered",
              "coverage of validation images", "coverage of test images (95% CI)",
              "risk on test images (95% CI)")  # fmt: skip
    return Table(header, rows)


def area_table(comparison: Comparison) -> Table:
    """Return the area under the risk-coverage curve of each contestant."""
    rows = [
        (
            contestant.name,
            percent(contestant.winner.correct.mean()),
            _hundredfold(area.value, area.interval),
            "chosen" if i == 0 else _hundredfold(area.difference, area.difference_interval, True),
        )
        for i, (contestant, area) in enumerate(
            zip(comparison.contestants, comparison.areas, strict=True)
        )
    ]
    header = ("model", "test accuracy", "area under the curve (%, 95% CI)",
              "minus that of the chosen model (pp, 95% CI)")  # fmt: skip
    return Table(header, rows)


def section(comparison: Comparison) -> Section:
    """Return the section: risk-coverage curves, their areas, and thresholds by risk."""
    chosen = comparison.chosen
    explained = Text(
        "A model may leave out images of which it is not sure, for a person to look at. Coverage "
        "is the fraction of images that it answers, risk the fraction of its answers that are "
        "wrong; the area under the curve is the mean risk over all thresholds, and lower is "
        "better. pp: percentage points."
    )
    blocks: list[Block] = [
        explained,
        Picture(
            "risk-coverage",
            plot_risk(risk_info(comparison)),
            "Risk against coverage on the test images. "
            + "; ".join(
                f"{each.name}: area {percent(area.value)}"
                for each, area in zip(comparison.contestants, comparison.areas, strict=True)
            ),
            f"Rings: the thresholds of {chosen.name}.",
        ),
        area_table(comparison),
        Text(_about_thresholds(chosen)),
    ]
    if chosen.rejections:
        blocks.append(threshold_table(chosen))
    blocks += [
        Fold(f"{each.name}: thresholds", [threshold_table(each)])
        for each in comparison.contestants[1:]
        if each.rejections
    ]
    blocks.append(method(*_how(chosen)))
    return Section("When not to answer", blocks)


def _about_thresholds(chosen: Contestant) -> str:
    if not chosen.rejections:
        return (
            f"The validation images of {chosen.name} are too few, or its mistakes too confident, "
            "to guarantee any risk of up to 20%: there is no threshold for predict.py "
            "--reject-above."
        )
    return (
        f"Thresholds of {chosen.name} for bakeoff predict --reject-above: each was chosen on the "
        "validation images so that, with 95% confidence, the risk on images like them is at most "
        "that of its row. A lower risk than those listed could not be shown with so few validation "
        "images."
    )


def _how(chosen: Contestant) -> list[str]:
    texts = [
        "A model is as sure of an image as its calibrated probability is high (Geifman & El-Yaniv "
        "2017). Differences between areas are paired by image (bootstrap)."
    ]
    if chosen.rejections:
        texts.append(
            "Thresholds are those of Learn then Test (Angelopoulos et al. 2021): exact binomial "
            "tests of one threshold after another, from the highest down, until the first that is "
            "not shown to hold. The validation images also chose the model, which the guarantee "
            "does not allow for; the test images, which chose nothing, show what became of it."
        )
    return texts


def _hundredfold(value: float, interval: Interval, sign: bool = False) -> str:
    """Format a fraction with its interval in percent: 1.20 (0.90 to 1.50)."""

    def shown(number: float) -> str:
        return signed(100 * number, ".2f") if sign else f"{100 * number:.2f}"

    return f"{shown(value)} ({shown(interval[0])} to {shown(interval[1])})"
