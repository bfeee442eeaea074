"""Ranking of a shortlist: its table, the uncertainty of the order, and its figure.

Shape letters: R splits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter
from numpy.typing import NDArray
from scipy import stats

from trainables.target import Target
from tune_jobs.analysis.formatting import Interval
from tune_jobs.analysis.style import COLOURS, GREY, finish_axes, message_figure

LOG_FROM = 10
"""Ratio of the largest to the smallest cost from which on its axis is logarithmic."""
CONFIDENCE = 0.95
"""Confidence level of the intervals."""


class Judged(TypedDict):
    """A row of shortlist.parquet before it is ranked: a network, or the best trial of a run."""

    model: str
    """Name of the network."""
    run: str | None
    """Run folder of --with that the trial is from; None for the networks of the shortlist."""
    trial: str
    """Name of the trial."""
    status: str
    """Status of the trial, a value of TrialStatus."""
    error: str | None
    """Why there is no score, in one line; None where there is one."""
    image_size: int
    """Height and width of the network inputs in pixels; 0 if unknown."""
    penalty: float
    """L2 penalty that scored best on the validation images; NaN if there is none."""
    score: float
    """Metric of the run on the validation images; NaN without a result."""
    score_low: float
    """Lower end of its 95% confidence interval (Wilson), of accuracy only, otherwise NaN."""
    score_high: float
    """Upper end of the same interval."""
    resampled: list[float]
    """The metric on each of the R other splits of the images; empty if it was not measured."""
    parameters: int
    """Number of learnable parameters of the network."""
    macs: float
    """Multiply-accumulates of one image; NaN if they were not counted."""
    latency_ms: float
    """Median latency of one image in ms, measured while other trials ran; NaN if unknown."""
    features_s: float
    """Seconds in which the features of all images were computed; NaN without a head on them."""
    weights: str | None
    """Hash of the initial weights, as run.json has it; None if they were not read."""
    licence: str | None
    """Licence of the weights, as the package of the network states it."""
    source: str | None
    """Where the weights are published."""


class RankedRow(Judged):
    """A row of shortlist.parquet."""

    rank: int | None
    """Place by `mean`, from 1; None for rows that were not resampled."""
    mean: float
    """Mean of `resampled`; NaN if it is empty."""
    low: float
    """Lower end of the 95% confidence interval of `mean`."""
    high: float
    """Upper end of the same interval."""
    behind: float
    """Mean difference to the first network on the same splits, 0 or more; NaN as `mean`."""
    behind_low: float
    """Lower end of the 95% confidence interval of `behind`."""
    behind_high: float
    """Upper end of the same interval."""
    tied: bool
    """Whether the interval of `behind` includes 0: these images do not tell it from the first."""


SHORTLIST_SCHEMA = pa.schema(
    [
        ("rank", pa.int64()),
        ("model", pa.string()),
        ("run", pa.string()),
        ("trial", pa.string()),
        ("status", pa.string()),
        ("error", pa.string()),
        ("image_size", pa.int64()),
        ("penalty", pa.float64()),
        *((name, pa.float64()) for name in ("score", "score_low", "score_high")),
        *((name, pa.float64()) for name in ("mean", "low", "high")),
        *((name, pa.float64()) for name in ("behind", "behind_low", "behind_high")),
        ("tied", pa.bool_()),
        ("resampled", pa.list_(pa.float64())),
        ("parameters", pa.int64()),
        *((name, pa.float64()) for name in ("macs", "latency_ms", "features_s")),
        ("weights", pa.string()),
        ("licence", pa.string()),
        ("source", pa.string()),
    ]
)
"""Columns of shortlist.parquet; `RankedRow` describes them."""


def resampled_interval(values: NDArray[np.float64], ratio: float) -> Interval:
    """Return the corrected resampled t interval of a mean (Nadeau & Bengio 2003).

    The splits share images, so their variance is multiplied by 1/R + `ratio` instead of 1/R.

    Args:
        values: Value of each split, R; two or more.
        ratio: Number of images that a split is scored on, relative to those that it is fitted to.
    """
    mean, count = float(values.mean()), len(values)
    error = math.sqrt((1 / count + ratio) * values.var(ddof=1))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * error
    return mean - half, mean + half


def rank(judged: Sequence[Judged], target: Target, ratio: float) -> list[RankedRow]:
    """Rank networks by their mean over the splits, best first; rows without it come last.

    Args:
        judged: Networks, and trials of other runs.
        target: Metric of the scores.
        ratio: As for `resampled_interval`.
    """
    scored = [row for row in judged if row["resampled"]]
    scored.sort(key=lambda row: target.merit(float(np.mean(row["resampled"]))), reverse=True)
    others = [row for row in judged if not row["resampled"]]
    others.sort(key=lambda row: (math.isnan(row["score"]), -target.merit(row["score"])))
    rows: list[RankedRow] = []
    for place, row in enumerate(scored, start=1):
        values = np.array(row["resampled"])
        best = np.array(scored[0]["resampled"])
        behind = np.abs(best.mean() - values.mean())
        sign = 1 if target.merit(1.0) > target.merit(0.0) else -1
        low, high = resampled_interval(values, ratio)
        behind_low, behind_high = resampled_interval(sign * (best - values), ratio)
        rows.append(
            {
                **row, "rank": place, "mean": float(values.mean()), "low": low, "high": high,
                "behind": float(behind), "behind_low": behind_low, "behind_high": behind_high,
                "tied": bool(behind_low <= 0),
            }
        )  # fmt: skip
    rows.extend(
        {
            **row, "rank": None, "mean": math.nan, "low": math.nan, "high": math.nan,
            "behind": math.nan, "behind_low": math.nan, "behind_high": math.nan, "tied": False,
        }
        for row in others
    )  # fmt: skip
    return rows


def plot_shortlist(rows: Sequence[RankedRow], target: Target) -> Figure:
    """Draw the metric of each network with its interval against its multiply-accumulates."""
    shown = [row for row in rows if not math.isnan(row["macs"]) and not math.isnan(row["score"])]
    if not shown:
        return message_figure("no network has a score")
    figure = Figure(figsize=(8.4, max(4, 0.19 * len(shown) + 1)), layout="constrained")
    ax = figure.subplots()
    for number, row in enumerate(shown, start=1):
        ranked = row["rank"] is not None
        names = ("mean", "low", "high") if ranked else ("score", "score_low", "score_high")
        y, low, high = (row[name] for name in names)  # type: ignore[literal-required]
        best = ranked and row["tied"]
        colour = COLOURS[0] if best else COLOURS[1] if not ranked else GREY
        x = row["macs"] / 1e9
        if not math.isnan(low):
            ax.plot([x, x], [low, high], color=colour, linewidth=1, alpha=0.7)
        ax.plot([x], [y], "o" if ranked else "s", color=colour, markersize=11,
                markeredgecolor="white")  # fmt: skip
        ax.annotate(str(number), (x, y), ha="center", va="center_baseline", color="white",
                    fontsize=6.5)  # fmt: skip
    key = "\n".join(f"{i:>3} {row['model']}" for i, row in enumerate(shown, start=1))
    ax.text(1.02, 1, key, transform=ax.transAxes, va="top", fontsize=8, linespacing=1.4)
    macs = [row["macs"] for row in shown]
    if max(macs) > LOG_FROM * min(macs):
        ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if target.digits.endswith("%"):
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set_xlabel("multiply-accumulates of one image (billions)")
    ax.set_ylabel(f"{target.label}, with 95% confidence interval")
    for colour, marker, label, any_ in (
        (COLOURS[0], "o", "first, or not told from it", any(row["tied"] for row in shown)),
        (GREY, "o", "behind", any(row["rank"] and not row["tied"] for row in shown)),
        (COLOURS[1], "s", "trial of another run, on the validation images",
         any(row["rank"] is None for row in shown)),
    ):  # fmt: skip
        if any_:
            ax.plot([], [], marker, color=colour, label=label, markersize=8)
    finish_axes(ax)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return figure
