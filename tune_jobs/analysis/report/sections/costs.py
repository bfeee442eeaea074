"""Inference and search costs of each model, and the Pareto fronts of accuracy and cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from trainables.costs import BUSY, ROUNDS
from tune_jobs.analysis.comparison.comparison import Comparison, Contestant
from tune_jobs.analysis.formatting import (
    Interval,
    count,
    duration,
    listed,
    milliseconds,
    milliseconds_range,
    percent,
    throughput,
)
from tune_jobs.analysis.report.blocks import (
    Block,
    Fold,
    Panels,
    Picture,
    Section,
    Table,
    Text,
    method,
)
from tune_jobs.analysis.search_figures.pareto import pareto_front
from tune_jobs.analysis.style import GREY, finish_axes, model_styles, wrapped, zoom
from tune_jobs.run_folder.provenance import wall_seconds
from tune_jobs.run_folder.schema import training_seconds

COSTS: dict[str, Callable[[Contestant], float]] = {
    "parameters": lambda c: c.parameters,
    "MACs per image": lambda c: c.costs.macs,
    "latency per image, median (ms)": lambda c: c.costs.latency_p50_ms,
    "training time of all trials (s)": lambda c: c.search_seconds,
}
"""Axis label -> cost of a contestant; lower is better."""


@dataclass(frozen=True)
class CostInfo:
    """Data of the figures of accuracy against each cost."""

    names: list[str]
    """Names of the contestants."""
    accuracies: list[float]
    """Test accuracy of each contestant, in 0..1."""
    intervals: list[Interval]
    """95% confidence interval of each accuracy."""
    costs: dict[str, list[float]]
    """Axis label -> cost of each contestant."""
    fronts: dict[str, list[str]]
    """Axis label -> Pareto-optimal contestants in accuracy and this cost, the cheapest first."""
    ylabel: str = "test accuracy (%)"
    """Label of the y-axes."""


def cost_info(comparison: Comparison) -> CostInfo:
    """Return the data of the figures of accuracy against costs."""
    contestants = comparison.contestants
    accuracies = [c.winner.accuracy for c in contestants]
    names = [c.name for c in contestants]
    costs = {axis: [float(cost(c)) for c in contestants] for axis, cost in COSTS.items()}
    # A latency that other processes have spoilt is not drawn.
    costs = {axis: values for axis, values in costs.items() if not np.isnan(values).any()}
    fronts = {}
    for axis, values in costs.items():
        frame = pd.DataFrame({"name": names, "accuracy": accuracies, axis: values})
        fronts[axis] = pareto_front(frame, {axis: "min", "accuracy": "max"})["name"].tolist()
    intervals = [c.winner.accuracy_interval for c in contestants]
    return CostInfo(names, accuracies, intervals, costs, fronts)


def plot_cost(info: CostInfo, axis: str) -> Figure:
    """Draw accuracy against one cost, on a logarithmic axis; a line joins the Pareto front.

    Args:
        info: data of the figures.
        axis: axis label of the cost.
    """
    figure = Figure(figsize=(3.8, 2.7), layout="constrained")
    ax = figure.subplots()
    values, styles = info.costs[axis], model_styles(info.names)
    limits = zoom(
        [(100 * low, 100 * high) for low, high in info.intervals],
        np.argsort(-np.array(info.accuracies), kind="stable").tolist(),
    )
    front = [info.names.index(name) for name in info.fronts[axis]]
    ax.step(
        [values[i] for i in front], [100 * info.accuracies[i] for i in front],
        where="post", color=GREY, linewidth=1, zorder=1,
    )  # fmt: skip
    for i, name in enumerate(info.names):
        colour, marker = styles[name]
        ax.plot([values[i]] * 2, [100 * b for b in info.intervals[i]], color=colour)
        ax.plot(values[i], 100 * info.accuracies[i], marker, color=colour, markersize=7)
        if 100 * info.accuracies[i] < limits[0]:
            ax.plot(values[i], limits[0], "v", color=colour, markersize=7, clip_on=False)
            ax.annotate(percent(info.accuracies[i]), (values[i], limits[0]), (0, 7),
                        textcoords="offset points", ha="center", fontsize=8)  # fmt: skip
    ax.set_ylim(*limits)
    ax.set_xscale("log")
    _plain_log_axis(ax, values)
    ax.set_xlabel(axis, fontsize=9)
    ax.set_ylabel(info.ylabel, fontsize=9)
    finish_axes(ax)
    return figure


def plot_names(names: list[str]) -> Figure:
    """Draw the markers of the models with their names, one a line."""
    texts = [wrapped(name, 46) for name in names]
    lines = sum(1 + text.count("\n") for text in texts)
    figure = Figure(figsize=(3.8, 0.1 + 0.19 * lines), layout="constrained")
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=7, linestyle="none")
        for colour, marker in model_styles(names).values()
    ]
    figure.legend(handles, texts, loc="center left", frameon=False, fontsize=8.5, borderpad=0)
    return figure


def _plain_log_axis(ax: Axes, values: list[float]) -> None:
    """Label ticks as in 20,000: powers of ten need math text, which is disabled in reports."""
    low, high = min(values), max(values)
    ax.set_xlim(low / 1.8, high * 1.8)
    decades = high > 30 * low
    ax.xaxis.set_major_locator(LogLocator(subs=(1,) if decades else (1, 2, 5)))
    ax.xaxis.set_major_formatter(lambda value, _: count(value) if value >= 1000 else f"{value:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(labelsize=8)


def _load(comparison: Comparison) -> str:
    """Say how busy the machine was while latency and throughput were measured."""
    others = comparison.chosen.costs.others
    if others <= BUSY:
        return f"Other processes used {others:.0%} of the CPU meanwhile."
    return (
        f"They are not stated, as other processes used {others:.0%} of the CPU meanwhile (more "
        f"than {BUSY:.0%}): compare again while the machine is idle."
    )


def wall_times(comparison: Comparison) -> Table:
    """Return the time from start to end of every run, including the trainings with other seeds."""
    runs = {run.folder.uri: run for run in comparison.runs}
    for contestant in comparison.contestants:
        runs |= {s.candidate.run.folder.uri: s.candidate.run for s in contestant.seeds}
    price = comparison.price_per_hour
    rows = []
    for run in runs.values():
        seconds, ended = wall_seconds(run.record), run.trials["status"].value_counts()
        nodes = run.record.get("hardware", {}).get("nodes", 1)
        cost = (
            f"${seconds / 3600 * nodes * price:.2f}" if price is not None and seconds else "unknown"
        )
        rows.append(
            (
                run.name,
                duration(seconds) if seconds else "unknown",
                duration(sum(training_seconds(run.rows))),
                ", ".join(f"{count} {status}" for status, count in ended.items()),
                f"{nodes}",
                *((cost,) if price is not None else ()),
            )
        )
    header = ("run", "wall time", "training time of all trials", "trials", "nodes",
              *(("cost",) if price is not None else ()))  # fmt: skip
    return Table(header, rows, left=frozenset({0, 3}))


def features_note(comparison: Comparison) -> str:
    """Say how the features of linear probes are counted; empty without probes."""
    probes = [
        row
        for run in comparison.runs
        for row in run.rows
        if row["config/mode"] == "probe" and row["epochs"]
    ]
    if not probes:
        return ""
    known = [row for row in probes if not np.isnan(row["features_s"])]
    note = (
        "The time of linear probes has that of the features they share, once: what computing them "
        "took, also where a run found them in the cache. "
    )
    missing = (
        f"It is not known of {len(probes) - len(known)} of {len(probes)} probes, which an earlier "
        "version fitted: one of them may have it in its own time, the others lack it."
    )
    return (note if known else "") + (missing if len(known) < len(probes) else "")


def section(comparison: Comparison) -> Section:
    """Return the section: inference costs, search costs, then parameters per layer."""
    contestants, info = comparison.contestants, cost_info(comparison)
    inference = [
        (
            c.short_name,
            percent(c.winner.accuracy),
            f"{c.winner.candidate.network_size}",
            f"{c.parameters:,}",
            count(c.costs.macs),
            milliseconds(c.costs.latency_p50_ms),
            milliseconds_range(c.costs.latency_low_ms, c.costs.latency_high_ms),
            milliseconds(c.costs.latency_p95_ms),
            throughput(c.costs.images_per_second),
        )
        for c in contestants
    ]
    priced = any(c.dollars is not None for c in contestants)
    search = [
        (
            c.short_name,
            duration(c.training_seconds),
            f"{c.winner.candidate.row.get('peak_memory_mb', float('nan')):,.0f} MB",
            str(c.tried),
            duration(c.search_seconds),
            *((f"${c.dollars:.2f}",) if c.dollars is not None else ()),
        )
        for c in contestants
    ]
    blocks: list[Block] = [
        Text(
            "Latency is for one image and throughput for batches of up to 256, both in fp32 on "
            f"{comparison.facts['device']}, for preprocessed images. {_load(comparison)}"
        ),
        Picture("costs-models", plot_names(info.names), "Markers of the models in the figures"),
        Panels(
            [
                Picture(
                    f"costs-{i + 1}",
                    plot_cost(info, axis),
                    f"Test accuracy against {axis}. Pareto-optimal: {listed(names)}",
                )
                for i, (axis, names) in enumerate(info.fronts.items())
            ],
            "Up and left is better. The line is the Pareto front: the models that no other model "
            "beats in both accuracy and cost.",
        ),
        Table(("model", "test accuracy", "pixels", "parameters", "MACs", "median latency",
               "medians of rounds", "p95 latency", "throughput"), inference, strong=0),
        Table(("model", "training time of the winner", "peak memory", "trials",
               "training time of all trials", *(("cost",) if priced else ())), search, strong=0),
    ]  # fmt: skip
    blocks += [
        Text(
            "Whole runs, from the start of the command to its last file, with the trainings of "
            "--seeds."
        ),
        wall_times(comparison),
    ]
    blocks += [
        Fold(
            f"{c.name}: parameters per layer",
            [Table(("layer", "parameters"), [(name, f"{n:,}") for name, n in c.layers.items()])],
        )
        for c in contestants
    ]
    blocks.append(
        method(
            "Multiply-accumulates (MACs) are those of matrix products and convolutions, counted by "
            f"torch's FlopCounterMode. The models take turns in {ROUNDS} rounds after a warm-up, "
            "and the range of latencies is that of the medians of the rounds.",
            "Training times were measured on the "
            "nodes of each run; they exclude the epochs that population-based training discarded "
            f"when a trial copied another one. {features_note(comparison)}",
            "Whole runs have the time of reading the images, start-up, idle places and the trials "
            "that were stopped, failed or diverged, without pauses before they were resumed. (Runs "
            "of earlier versions begin after reading the images and start-up.) A run that was "
            "resumed after a kill has no wall time, as the time of the kill is not known.",
        )
    )
    return Section("Costs", blocks)
