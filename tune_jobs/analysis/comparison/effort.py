"""Effort that was spent on each model family, read off the runs, and what it says of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from trainables.target import Target
from tune_jobs.analysis.comparison.budgets import (
    LEAST_RANDOM,
    BudgetCurve,
    Method,
    TrialCourse,
    Unit,
    budget_curve,
    crossings,
    effort_of_all,
    most_to_gain,
)
from tune_jobs.analysis.comparison.candidates import LoadedRun, family
from tune_jobs.analysis.comparison.statistics import Floats
from tune_jobs.analysis.formatting import duration
from tune_jobs.run_folder.constraints import may_be_chosen
from tune_jobs.run_folder.schema import config_of, features_seconds, is_soup

UNEQUAL = 1.2
"""Ratio of the training times of two families from which on the verdict compares at equal time."""
IGNORED = ("run", "seed")
"""Options by which searches of the same kind may differ."""


@dataclass(frozen=True)
class Effort:
    """Trials of a model family in the compared runs."""

    name: str
    """Short name of the best model of the family."""
    target: Target
    """Metric that trials are selected by."""
    method: Method
    """How the trials were proposed."""
    searches: list[list[TrialCourse]]
    """Courses of the trials of each run."""
    dollars_per_second: float | None
    """Price of a second of training; None if no price was given."""
    precision: str = "fp32"
    """Precision that the trials were trained and scored in; several with slashes."""

    @cached_property
    def curves(self) -> dict[Unit, BudgetCurve | None]:
        """Unit -> curve; None if no trial has a score."""
        bounds = (-np.inf, 0.0) if self.target.mode == "min" else (0.0, 1.0)
        units: tuple[Unit, ...] = "seconds", "epochs"
        return {unit: budget_curve(self.searches, self.method, unit, bounds) for unit in units}

    @property
    def trials(self) -> list[TrialCourse]:
        """All trials."""
        return [trial for search in self.searches for trial in search]

    def spent(self, unit: Unit) -> float:
        """Return the effort of all trials."""
        return effort_of_all(self.trials, unit)

    def twice(self) -> str:
        """Say what twice the budget may be expected to bring, where that can be known."""
        if self.method == "orders":
            return "not known: a grid has no further trials"
        if self.method != "random":
            return "not known: later trials depend on earlier ones"
        ends = [trial.scores.max() for trial in self.trials if len(trial.scores)]
        if len(ends) < LEAST_RANDOM or not np.isfinite(ends).all():
            return f"not known from fewer than {LEAST_RANDOM} trials"
        return f"at most {self.target.show_difference(most_to_gain(np.array(ends)))}"


def effort_of(
    name: str, model_family: str, runs: list[LoadedRun], dollars_per_second: float | None
) -> Effort:
    """Return the effort of a model family.

    Args:
        name: short name of its best model.
        model_family: the family.
        runs: compared runs.
        dollars_per_second: price of a second of training; None if no price was given.
    """
    target = runs[0].target
    found = []
    for run in runs:
        own = [
            row for row in run.rows if not is_soup(row) and family(config_of(row)) == model_family
        ]
        if own:
            found.append((run, own))
    methods = {method_of(run) for run, _ in found}
    method: Method = methods.pop() if len(methods) == 1 else "observed"
    if method == "observed" and len(found) > 1 and len({_kind(run) for run, _ in found}) == 1:
        method = "searches"
    given = {run.name: set(run.record.get("search", {}).get("enqueued", ())) for run, _ in found}
    searches = [
        [
            _course_of(run, row, target)
            for row in rows
            # Settings that a random search was given are no draws from its space.
            if method != "random" or row["trial"] not in given[run.name]
        ]
        for run, rows in found
    ]
    used = {row.get("precision") for _, rows in found for row in rows}
    precision = "/".join(sorted(each for each in used if isinstance(each, str))) or "fp32"
    return Effort(name, target, method, searches, dollars_per_second, precision)


def method_of(run: LoadedRun) -> Method:
    """Return how the trials of a run were proposed; `observed` if they depend on one another."""
    search = run.record.get("search", {})
    if run.record.get("scheduler", "fifo") != "fifo":
        return "observed"  # whether a trial goes on depends on the others
    if search.get("algorithm", "grid") == "grid":
        return "orders"
    # Earlier versions do not say which trials were given to the sampler.
    if search.get("sampler") == "random" and "enqueued" in search:
        return "random"
    return "observed"


def _kind(run: LoadedRun) -> str:
    options: dict[str, Any] = run.record.get("options", {})
    same = {name: value for name, value in options.items() if name not in IGNORED}
    return repr((run.record["job"], sorted(same.items())))


def _course_of(run: LoadedRun, row: dict[str, Any], target: Target) -> TrialCourse:
    epochs = run.epochs[run.epochs["trial"] == row["trial"]].sort_values("epoch")
    scores = epochs[target.column].to_numpy(dtype=float)
    merits = np.where(np.isnan(scores), -np.inf, scores if target.mode == "max" else -scores)
    if not may_be_chosen(row):
        merits = np.full_like(merits, -np.inf)
    seconds = epochs["seconds"].to_numpy(dtype=float)
    costs: dict[Unit, Floats] = {"seconds": seconds, "epochs": np.ones(len(epochs))}
    return TrialCourse(costs, merits, features_seconds(row))


def equal_budget(found: list[Effort]) -> float | None:
    """Return the largest time in seconds that was spent on every family; None without scores."""
    curves = [each.curves["seconds"] for each in found]
    if any(curve is None for curve in curves):
        return None
    return min(float(curve.budgets[-1]) for curve in curves if curve is not None)


def lead_words(first: Effort, second: Effort) -> str:
    """Say which of two families has the better score at which training time."""
    curves = first.curves["seconds"], second.curves["seconds"]
    if None in curves:
        return "not comparable: one has no score"
    budgets, difference = crossings(curves[0], curves[1])  # type: ignore[arg-type]
    if not len(budgets):
        later = first if curves[0].budgets[0] > curves[1].budgets[-1] else second  # type: ignore[union-attr]
        other = second if later is first else first
        return (
            f"never at equal time: {other.name} had {duration(other.spent('seconds'))}, in which "
            f"{later.name} has no score yet"
        )
    sign = np.sign(difference)
    known = np.flatnonzero(sign)
    if not len(known):
        return "equal at every time"
    changes = [i for i, j in zip(known[1:], known[:-1], strict=True) if sign[i] != sign[j]]
    ahead = {1.0: first.name, -1.0: second.name}
    text = f"{ahead[sign[known[0]]]} is ahead from {duration(budgets[known[0]])}"
    if not changes and duration(budgets[known[0]]) == duration(budgets[-1]):
        return f"{ahead[sign[known[0]]]} is ahead at {duration(budgets[-1])}, the one common time"
    if not changes:
        return f"{text} to {duration(budgets[-1])}"
    if len(changes) == 1:
        cross = budgets[changes[0]]
        return (
            f"{text} to {duration(cross)}, where the curves cross; from there to "
            f"{duration(budgets[-1])} {ahead[sign[changes[0]]]} is"
        )
    last = budgets[changes[-1]]
    return (
        f"the curves cross {len(changes)} times, the last time at {duration(last)}; from there to "
        f"{duration(budgets[-1])} {ahead[sign[known[-1]]]} is ahead"
    )


def sentences(found: list[Effort]) -> list[str]:
    """Return the sentence of the verdict on effort; none where all families had about as much.

    Args:
        found: effort of each family, the chosen one first.
    """
    budget = equal_budget(found)
    if len(found) < 2 or budget is None:
        return []
    spent = [each.spent("seconds") for each in found]
    if max(spent) <= UNEQUAL * min(spent):
        return []
    chosen, least, target = found[0].name, found[int(np.argmin(spent))].name, found[0].target
    reached = {}
    for each in found:
        curve = each.curves["seconds"]
        if curve is not None and (value := curve.at(budget)) is not None:
            reached[each.name] = value[0]
    text = f"At equal training time ({duration(budget)}, all that {least} had), "
    if chosen not in reached:
        if spent[0] <= UNEQUAL * budget:
            return []  # its first score came a moment later
        return [f"{text}{chosen} had no score yet: its lead is also one of effort."]
    if len(reached) < 2:
        return []  # nothing else had a score by then that the chosen one could be compared with
    best = max(reached, key=lambda name: reached[name])
    notes = {each.name: f" ({each.precision})" * (each.precision != "fp32") for each in found}
    score = target.show(target.merit(reached[best])) + notes[best]
    text += f"{best} had the best validation {target.label}, {score}"
    if best == chosen:
        return [f"{text}, too."]
    own = target.show(target.merit(reached[chosen])) + notes[chosen]
    return [f"{text}, and {chosen} {own}: its lead is also one of effort."]
