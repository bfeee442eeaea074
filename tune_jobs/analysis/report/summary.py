"""First screen of the report: cards with the answer, and all models in one table."""

from __future__ import annotations

from trainables.costs import BUSY
from trainables.target import ACCURACY
from tune_jobs.analysis.comparison.caveats import epochs_of
from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.equivalence import AGAINST
from tune_jobs.analysis.formatting import (
    NOT_STATED,
    count,
    duration,
    milliseconds,
    percent,
    percent_interval,
    points,
    points_interval,
    with_interval,
)
from tune_jobs.analysis.report.blocks import Card, Table


def cards(comparison: Comparison) -> list[Card]:
    """Return which model, how sure, at what cost, and with which effort it was found."""
    return [which(comparison), how_sure(comparison), cost(comparison), effort(comparison)]


def which(comparison: Comparison) -> Card:
    """Return the card of the chosen model with its accuracy."""
    chosen, images = comparison.chosen, len(comparison.test_set.labels)
    label, bounds = comparison.interval_label, percent_interval(chosen.winner.accuracy_interval)
    interval = f"{label}: {bounds}" if "," in label else f"{label} {bounds}"
    return Card(
        "chosen model",
        chosen.name.split(", ")[0],
        (
            ", ".join(chosen.name.split(", ")[1:]),
            f"accuracy {percent(chosen.winner.accuracy)} on {images:,} sealed test images "
            f"({interval})",
            f"chosen by {comparison.chosen_by}",
            other_metric(comparison),
        ),
    )


def other_metric(comparison: Comparison) -> str:
    """Return the test score of the chosen model by the metric of the runs, if not accuracy."""
    target, winner = comparison.target, comparison.chosen.winner
    if target == ACCURACY:
        return ""
    score = target.show(winner.metrics[target.name])
    return f"test {target.label} {score}; intervals and verdicts are about accuracy"


def how_sure(comparison: Comparison) -> Card:
    """Return the card of the lead over the runner-up, with its interval and the verdict."""
    pair = comparison.runner_up
    if pair is None:
        return Card("how sure", "no runner-up", ("no other model family was compared",))
    estimate = pair.decision.estimate
    return Card(
        "lead over the runner-up",
        f"{points(estimate.difference)} points: {pair.word}",
        (
            f"95% CI {points_interval(estimate.interval)} percentage points of test accuracy"
            + (", not widened" if comparison.chosen.winner.models > 1 else ""),
            f"runner-up: {pair.second.name}",
        ),
    )


def cost(comparison: Comparison) -> Card:
    """Return the card of the costs of the chosen model."""
    chosen, costs = comparison.chosen, comparison.chosen.costs
    size = f"{count(chosen.parameters)} parameters"
    latency = milliseconds(costs.latency_p50_ms)
    dollars = "" if chosen.dollars is None else f", ${chosen.dollars:.2f}"
    stated = latency != NOT_STATED
    return Card(
        "cost",
        f"{latency} per image" if stated else size,
        (
            f"{size}, {count(costs.macs)} MACs per image"
            if stated
            else f"{count(costs.macs)} MACs per image; latency is not stated, as other processes "
            f"used {costs.others:.0%} of the CPU (more than {BUSY:.0%})",
            f"all training of its model family: {duration(chosen.search_seconds)}{dollars}",
        ),
    )


def effort(comparison: Comparison) -> Card:
    """Return the card of the effort behind the chosen model, the runner-up and the other kind."""
    shown = comparison.contestants[:2]
    if (pair := comparison.other_kind) is not None and pair.second not in shown:
        shown = [*shown, pair.second]
    rows = [
        (
            contestant.name.split(", ")[0],
            f"{contestant.tried:,}",
            f"{epochs_of(contestant.winner.candidate) or 'head only'}",
            duration(contestant.search_seconds),
            f"{contestant.winner.candidate.network_size} px",
        )
        for contestant in shown
    ]  # fmt: skip
    header = ("model", "trials", "epochs", "training", "images")
    return Card("effort", "", (), Table(header, rows))


def answers(comparison: Comparison) -> Table:
    """Return the summary table, one row per contestant, for the page and the terminal."""
    target = comparison.target
    others = [] if target == ACCURACY else [target]
    against = {pair.second.name: AGAINST[pair.word] for pair in comparison.rivals}
    seeds = any(contestant.spread for contestant in comparison.contestants)
    rows = []
    for contestant in comparison.contestants:
        spread = contestant.spread
        rows.append(
            (
                contestant.name,
                percent(contestant.winner.accuracy),
                percent_interval(contestant.winner.accuracy_interval),
                *(each.show(contestant.winner.metrics[each.name]) for each in others),
                *([with_interval(spread.mean, spread.interval) if spread else "–"] * seeds),
                count(contestant.parameters),
                milliseconds(contestant.costs.latency_p50_ms),
                duration(contestant.search_seconds),
                against.get(contestant.name, "chosen"),
            )
        )
    header = ("model", "test accuracy", comparison.interval_label,
              *(f"test {each.label}" for each in others),
              *(["mean over seeds (95% CI)"] * seeds), "parameters", "latency", "training",
              "vs. chosen")  # fmt: skip
    return Table(header, rows, left=frozenset({0, len(header) - 1}), strong=0)
