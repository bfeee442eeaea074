"""Data efficiency: the error of each model by the number of images that it is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from tune_jobs.analysis.comparison.comparison import Comparison, Contestant
from tune_jobs.analysis.comparison.data_efficiency import (
    curve_of,
    needed_words,
    order,
    order_words,
    with_curves,
)
from tune_jobs.analysis.comparison.learning_curve import FURTHEST
from tune_jobs.analysis.formatting import percent, shortened, with_interval
from tune_jobs.analysis.report.blocks import Block, Picture, Section, Table, Text, method
from tune_jobs.analysis.style import GREY, finish_axes, model_styles

ACCURACIES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999)
"""Accuracies for which the number of images is stated, as far as a model reaches them."""
MOST_ACCURACIES = 4
"""Columns of that table."""
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
"""Labelled errors, in percent."""
POINTS = 60
"""Points of a drawn curve."""


@dataclass(frozen=True)
class CurvePoints:
    """Data of one curve in the figure."""

    images: list[float]
    """Number of images of each training."""
    errors: list[float]
    """Validation error of each training, in 0..1; half an image where there was none."""
    along: list[float]
    """Numbers of images along the curve, M."""
    fitted: list[float]
    """Error of the fitted curve there, M, in 0..1."""
    low: list[float]
    """Lower end of its 95% confidence interval, M."""
    high: list[float]
    """Upper end of it, M."""
    largest: float
    """Number of images of the largest training, beyond which the curve is extrapolated."""


@dataclass(frozen=True)
class DataEfficiencyInfo:
    """Data of the figure of learning curves."""

    names: list[str]
    """Names of all contestants, to assign colours."""
    curves: dict[str, CurvePoints]
    """Contestant -> its curve."""
    xlabel: str = "training images"
    """Label of the x-axis."""
    ylabel: str = "validation error (%)"
    """Label of the y-axis."""


def data_efficiency_info(comparison: Comparison) -> DataEfficiencyInfo:
    """Return the data of the figure of learning curves."""
    return DataEfficiencyInfo(
        [contestant.name for contestant in comparison.contestants],
        {each.name: _points(each) for each in with_curves(comparison)},
    )


def _points(contestant: Contestant) -> CurvePoints:
    curve = curve_of(contestant)
    measured, least = curve.measured, 0.5 / curve.measured.validation
    along = np.geomspace(curve.cells.images[0], curve.furthest, POINTS)
    low, high = np.quantile(curve.drawn(along), [0.025, 0.975], axis=0)
    return CurvePoints(
        measured.images.tolist(),
        np.maximum(measured.errors, least).tolist(),
        along.tolist(),
        np.maximum(curve.at(along), least).tolist(),
        np.maximum(low, least).tolist(),
        np.maximum(high, least).tolist(),
        curve.largest,
    )


def plot_data_efficiency(info: DataEfficiencyInfo) -> Figure:
    """Draw errors and curves on logarithmic axes; dashed where a curve is extrapolated."""
    figure = Figure(figsize=(5.4, 3.8), layout="constrained")
    ax = figure.subplots()
    styles = model_styles(info.names)
    for name, curve in info.curves.items():
        colour, marker = styles[name]
        ax.fill_between(curve.along, _percents(curve.low), _percents(curve.high), color=colour,
                        alpha=0.15, linewidth=0)  # fmt: skip
        inside = [n <= curve.largest for n in curve.along]
        known = sum(inside)
        ax.plot(curve.along[:known], _percents(curve.fitted[:known]), color=colour)
        ax.plot(curve.along[known - 1 :], _percents(curve.fitted[known - 1 :]), "--", color=colour)
        ax.plot(curve.images, _percents(curve.errors), marker, color=colour, markersize=5,
                alpha=0.8, label=shortened(name, 40))  # fmt: skip
    for largest in {curve.largest for curve in info.curves.values()}:
        ax.axvline(largest, color=GREY, linewidth=1, linestyle=":")
    _plain_log_axes(ax, info)
    ax.set_xlabel(info.xlabel)
    ax.set_ylabel(info.ylabel)
    ax.legend(frameon=False, fontsize=9)
    finish_axes(ax)
    return figure


def _percents(fractions: list[float]) -> list[float]:
    return [100 * fraction for fraction in fractions]


def _plain_log_axes(ax: Axes, info: DataEfficiencyInfo) -> None:
    """Label ticks as in 2,000 and 0.5: powers of ten need math text, disabled in reports."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.yaxis.set_major_locator(FixedLocator([tick for tick in TICKS if low <= tick <= high]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    sizes = sorted({size for curve in info.curves.values() for size in _sizes(curve)})
    ax.xaxis.set_major_locator(FixedLocator(sizes))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_formatter(NullFormatter())
        axis.set_minor_locator(NullLocator())


def _sizes(curve: CurvePoints) -> list[float]:
    """Return ticks in equal ratios: the largest training, its halves, and the furthest."""
    halves = [round(curve.largest / 2**k) for k in range(6)]
    return [n for n in (FURTHEST * curve.largest, *halves) if n >= curve.along[0] / 1.05]


def section(comparison: Comparison) -> Section | None:
    """Return the section: curves, errors by size, and the images that accuracies need."""
    found = with_curves(comparison)
    if not found:
        return None
    info = data_efficiency_info(comparison)
    validation = curve_of(found[0]).measured.validation
    seeds = len(np.unique(curve_of(found[0]).measured.seeds))
    blocks: list[Block] = [
        Text(
            "The configuration of each winner was trained again on nested parts of its training "
            f"images, stratified by class, each with {seeds} random seeds that also draw the part. "
            f"Errors are those of the best epoch on the {validation:,} validation images."
        ),
        Picture(
            "data-efficiency",
            plot_data_efficiency(info),
            "Validation error by number of training images. "
            + "; ".join(
                f"{each.name}: {percent(1 - _accuracies(each)[0])} with "
                f"{curve_of(each).cells.images[0]:,.0f} images, "
                f"{percent(1 - _accuracies(each)[1])} with {curve_of(each).largest:,.0f}"
                for each in found
            ),
            "Each mark is one training; lines are the fitted curves with 95% confidence bands, "
            "dashed where they are extrapolated.",
        ),
        _summary(found),
    ]
    blocks += [_orders(found)] if len(found) > 1 else []
    blocks += [
        Text(
            "Images to train on for a validation accuracy, with the 95% confidence interval. Not "
            f"stated are more than {FURTHEST} times the images trained on."
        ),
        _needed(found),
        Text("Mean validation error and its standard deviation over seeds, by training images."),
        _errors(found),
        method(
            "Every training takes as many optimiser steps as the one on all images, so that the "
            "curve shows what images are worth and not how short a training on few of them is; "
            "heads on fixed features are fitted exactly. Errors are on the validation images, as a "
            "decision made on test images would be "
            "selected on them; the settings were chosen on these images too, so that all errors "
            "are a little too low. The curve is a + b·n^−c for n images (Hoiem et al. 2021; "
            "Viering & Loog 2023), fitted by weighted least squares, without the sizes at which a "
            "model is hardly better than a constant answer. Intervals are from a "
            "parametric bootstrap over other training images, seeds and validation images. "
            f"What more images bring is for as many steps too, and nothing is stated beyond "
            f"{FURTHEST} times the images trained on."
        ),
    ]
    return Section("Data efficiency", blocks)


def _accuracies(contestant: Contestant) -> list[float]:
    """Return the accuracy of the curve with the fewest images, with all, and with twice as many."""
    curve = curve_of(contestant)
    ends = np.array([curve.cells.images[0], curve.largest, curve.furthest])
    accuracies: list[float] = (1 - curve.at(ends)).tolist()
    return accuracies


def _summary(found: list[Contestant]) -> Table:
    rows = []
    for each in found:
        curve = curve_of(each)
        a, b, c = curve.formula
        now, twice = (1 - accuracy for accuracy in _accuracies(each)[1:])
        rows.append(
            (
                each.name,
                f"{curve.largest:,.0f}",
                with_interval(now, curve.interval(curve.largest)),
                with_interval(twice, curve.interval(curve.furthest)),
                f"{a:.3g} + {b:.3g}·n^−{c:.2f}",
            )
        )
    header = ("model", "training images", "validation error (95% CI)",
              "with twice the images (95% CI)", "curve")  # fmt: skip
    return Table(header, rows, strong=0)


def _orders(found: list[Contestant]) -> Table:
    rows = [
        (a.name, b.name, order_words("the first", "the second", order(a, b)))
        for a, b in combinations(found, 2)
    ]
    return Table(("first", "second", "which has the lower error"), rows, left=frozenset({0, 1, 2}))


def _needed(found: list[Contestant]) -> Table:
    attained = max(max(_accuracies(each)) for each in found)
    # One more than any model reaches, as it is asked for.
    reached = sum(accuracy <= attained for accuracy in ACCURACIES)
    shown = ACCURACIES[max(0, reached + 1 - MOST_ACCURACIES) : reached + 1]
    rows = [
        (each.name, *(needed_words(curve_of(each), accuracy) for accuracy in shown))
        for each in found
    ]
    return Table(("model", *(f"{100 * accuracy:g}%" for accuracy in shown)), rows)


def _errors(found: list[Contestant]) -> Table:
    sizes = sorted({int(size) for each in found for size in curve_of(each).measured.sizes})
    rows = []
    for size in sizes:
        cells = []
        for each in found:
            measured = curve_of(each).measured
            own = measured.errors[measured.sizes == size]
            spread = f" ± {100 * own.std(ddof=1):.2f}" if len(own) > 1 else ""
            cells.append(f"{percent(own.mean())}{spread}" if len(own) else "")
        rows.append((f"{size:,}", *cells))
    return Table(("training images", *(each.name for each in found)), rows)
