"""Equal-budget curves: the best validation score of a model family against the effort spent on it.

A family that had more trials has a better best trial by that alone, so families are compared at
equal effort (Dodge et al. 2019, Show Your Work). What may be said beyond the order in which the
trials happened to run depends on how they were proposed:

- `orders`, a grid: its trials might have run in any other order. The line is the median over
  orders, the band has 95% of them.
- `random`, a random search: its trials are independent draws from the search space. The line is the
  same, and the band holds the median best score of any other such search (simultaneously for all
  budgets, nonparametric: Lourie, Cho & He 2024, Show Your Work with Confidence).
- `searches`, several searches of the same kind, whose trials depend on one another: the searches
  are independent, their trials are not. The line is the mean of the searches, with the 95%
  confidence interval of a mean of that many (Student's t, within the possible scores). For 3 to 10
  searches it covers the mean more often than percentiles of resampled searches do, and a
  bootstrap-t, which covers it as often or more, holds every score where few searches differ
  (benchmarks/results.md, `searches`).
- `observed`, one such search: the one observed course, without a band.

Scores are merits: higher is better, whatever the metric. Shape letters: B budgets, R orders.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import factorial
from typing import Literal, TypeAlias

import numpy as np
from opda.nonparametric import EmpiricalDistribution
from scipy import stats

from tune_jobs.analysis.comparison.statistics import ALPHA, Floats

Method: TypeAlias = Literal["orders", "random", "searches", "observed"]
"""How the trials of a family were proposed, which decides what is said about other courses."""
Unit: TypeAlias = Literal["seconds", "epochs"]
"""Unit of effort: training time or epochs, of all trials one after another."""
UNITS: tuple[Unit, ...] = ("seconds", "epochs")
ORDERS = 1000
"""Largest number of orders; of more possible ones, so many are drawn."""
POINTS = 200
"""Budgets at which a curve is known."""
LEAST_RANDOM = 5
"""Trials of a random search from which on its band is stated; of fewer it has no upper end."""


@dataclass(frozen=True)
class TrialCourse:
    """Course of one trial."""

    costs: dict[Unit, Floats]
    """Unit -> effort of each epoch, E."""
    scores: Floats
    """Merit after each epoch, E; minus infinity where the trial may not be chosen."""
    features_s: float = 0.0
    """Time that the features of a probe took to compute, in seconds. Trials with the same one share
    them: whichever comes first pays for them."""


@dataclass(frozen=True)
class BudgetCurve:
    """Best score of a model family against the effort."""

    method: Method
    """How the trials were proposed."""
    budgets: Floats
    """Efforts, B, from the one at which there is a score up to all that was spent."""
    line: Floats
    """Merit of the best trial so far: median over orders, mean over searches or the observed one,
    B."""
    low: Floats
    """Lower end of the band, B; NaN without a band."""
    high: Floats
    """Upper end of the band, B; NaN without a band."""

    def at(self, budget: float) -> tuple[float, float, float] | None:
        """Return line, lower and upper end at a budget; None before the first score."""
        if budget < self.budgets[0]:
            return None
        i = int(np.searchsorted(self.budgets, budget * (1 + 1e-9), side="right")) - 1
        return float(self.line[i]), float(self.low[i]), float(self.high[i])


def budget_curve(
    searches: Sequence[Sequence[TrialCourse]],
    method: Method,
    unit: Unit,
    bounds: tuple[float, float],
) -> BudgetCurve | None:
    """Return the curve of a family; None if it has no score.

    Args:
        searches: trials of each search of the family, in their order. Those of grids and of random
            searches are taken together.
        method: how the trials were proposed.
        unit: unit of the effort.
        bounds: lowest and highest merit that is possible.
    """
    if method == "searches":
        return _over_searches(searches, unit, bounds)
    trials = [trial for search in searches for trial in search if len(trial.scores)]
    if not trials:
        return None
    orders = [range(len(trials))] if method == "observed" else _orders(len(trials))
    courses = [_course([trials[i] for i in order], unit) for order in orders]
    first = max(_first_score(*course) for course in courses)
    if not np.isfinite(first):
        return None
    budgets = _budgets(courses, first, float(courses[0][0][-1]))
    found = np.stack([_best_at(*course, budgets) for course in courses])
    line = np.median(found, axis=0)
    nothing = np.full_like(line, np.nan)
    if method == "orders" and len(trials) > 1:
        low, high = np.quantile(found, [ALPHA / 2, 1 - ALPHA / 2], axis=0)
        return BudgetCurve(method, budgets, line, low, high)
    if method == "random" and len(trials) >= LEAST_RANDOM:
        ends = np.array([trial.scores.max() for trial in trials])
        cost = np.mean([trial.costs[unit].sum() for trial in trials])
        shared = effort_of_all(trials, unit) - cost * len(trials)
        numbers = np.maximum(budgets - shared, 0) / cost
        low, high = random_band(np.maximum(ends, bounds[0]), numbers, bounds)
        return BudgetCurve(method, budgets, line, low, high)
    return BudgetCurve(method, budgets, line, nothing, nothing)


def random_band(scores: Floats, trials: Floats, bounds: tuple[float, float]) -> tuple[Floats, ...]:
    """Return the 95% band of the median best score of a random search, for all numbers of trials.

    Args:
        scores: scores of the trials that were made.
        trials: numbers of trials, B, not necessarily whole ones; below one, nothing is known.
        bounds: lowest and highest score that is possible.

    Returns:
        Lower and upper end, each B.
    """
    with warnings.catch_warnings():
        # Equal scores make the band wider than needed, not narrower.
        warnings.filterwarnings("ignore", "Duplicates detected", RuntimeWarning)
        lower, _, upper = EmpiricalDistribution.confidence_bands(
            scores, 1 - ALPHA, *bounds, generator=_generator(len(scores)),
            method="ld_equal_tailed", n_jobs=1,
        )  # fmt: skip
    # The upper end of the distribution function is the lower end of the scores.
    ends = [band.quantile_tuning_curve(np.maximum(trials, 1e-9)) for band in (upper, lower)]
    return tuple(np.where(trials >= 1, end, np.nan) for end in ends)


@cache
def _generator(trials: int) -> np.random.Generator:
    """Return the generator for a number of trials, by which opda keeps what it computed with it."""
    return np.random.default_rng(trials)


def _orders(count: int) -> list[Sequence[int]]:
    if count < 20 and factorial(count) <= ORDERS:
        return list(itertools.permutations(range(count)))
    generator = np.random.default_rng(0)
    return [generator.permutation(count).tolist() for _ in range(ORDERS)]


def _course(trials: Sequence[TrialCourse], unit: Unit) -> tuple[Floats, Floats]:
    """Return the effort up to each epoch and the best score so far, one trial after another."""
    spent = np.concatenate(_costs(trials, unit)).cumsum()
    return spent, np.maximum.accumulate(np.concatenate([trial.scores for trial in trials]))


def _costs(trials: Sequence[TrialCourse], unit: Unit) -> list[Floats]:
    """Return the effort of each epoch of each trial, with shared features in the first trial."""
    paid, found = {0.0}, []
    for trial in trials:
        costs = trial.costs[unit]
        if unit == "seconds" and trial.features_s not in paid and len(costs):
            costs = costs + trial.features_s * (np.arange(len(costs)) == 0)
            paid.add(trial.features_s)
        found.append(costs)
    return found


def effort_of_all(trials: Sequence[TrialCourse], unit: Unit) -> float:
    """Return the effort of trials together."""
    return float(sum(costs.sum() for costs in _costs(trials, unit)))


def _budgets(courses: Sequence[tuple[Floats, Floats]], first: float, last: float) -> Floats:
    """Return the budgets at which a course may change; some of them, if they are many."""
    # Sums in another order may differ in their last digit.
    ends = np.unique(np.concatenate([spent for spent, _ in courses]).round(9))
    ends = np.unique([first, *ends[(ends > first) & (ends < last)], last])
    if len(ends) > POINTS:
        ends = ends[
            np.unique(
                np.searchsorted(ends, np.geomspace(first, last, POINTS)).clip(max=len(ends) - 1)
            )
        ]
    return ends


def _first_score(spent: Floats, best: Floats) -> float:
    scored = np.isfinite(best)
    return float(spent[scored.argmax()]) if scored.any() else np.inf


def _best_at(spent: Floats, best: Floats, budgets: Floats) -> Floats:
    # Sums in another order may differ in their last digit.
    place = np.searchsorted(spent, budgets * (1 + 1e-9), side="right") - 1
    values: Floats = best[np.maximum(place, 0)]
    return values


def _over_searches(
    searches: Sequence[Sequence[TrialCourse]], unit: Unit, bounds: tuple[float, float]
) -> BudgetCurve | None:
    """Return the mean of several searches up to what the shortest of them spent."""
    courses = [_course([t for t in search if len(t.scores)], unit) for search in searches]
    first = max(_first_score(*course) for course in courses)
    last = min(float(spent[-1]) for spent, _ in courses)
    if not first <= last:
        return None
    budgets = _budgets(courses, first, last)
    found = np.stack([_best_at(*course, budgets) for course in courses])
    low, high = mean_band(found, bounds)
    return BudgetCurve("searches", budgets, found.mean(axis=0), low, high)


def mean_band(found: Floats, bounds: tuple[float, float]) -> tuple[Floats, Floats]:
    """Return the 95% confidence interval of the mean over searches, both B (Student's t).

    It is NaN where all searches have the same score, which does not mean that others would.

    Args:
        found: best score of each search at each budget, searches×B.
        bounds: lowest and highest score that is possible.
    """
    mean, count = found.mean(axis=0), len(found)
    half = stats.t.ppf(1 - ALPHA / 2, count - 1) * found.std(axis=0, ddof=1) / np.sqrt(count)
    half[np.ptp(found, axis=0) == 0] = np.nan
    return np.maximum(mean - half, bounds[0]), np.minimum(mean + half, bounds[1])


def crossings(first: BudgetCurve, second: BudgetCurve) -> tuple[Floats, Floats]:
    """Return the budgets that both curves have, and by how much the first one is better there."""
    start = max(first.budgets[0], second.budgets[0])
    end = min(first.budgets[-1], second.budgets[-1])
    if start > end:
        return np.array([]), np.array([])
    both = np.concatenate([first.budgets, second.budgets])
    budgets = np.unique(both[(both >= start) & (both <= end)])
    difference = [first.at(b)[0] - second.at(b)[0] for b in budgets]  # type: ignore[index]
    return budgets, np.array(difference)


def most_to_gain(scores: Floats) -> float:
    """Return the most that twice as many trials of a random search may be expected to bring.

    The expected best of k independent trials grows by less with each further trial, so that n more
    trials bring at most n times what the n-th did. Without bias, that is estimated by 1/n of the
    lead of the best trial over the second: in so many of all orders the best one comes last.

    Args:
        scores: scores of the n trials, 2 or more.
    """
    second, best = np.sort(scores)[-2:]
    return float(best - second)
