"""Choice of the best model of each family, by its metric on the validation images alone."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence

from trainables.target import Target
from tune_jobs.analysis.comparison.candidates import Candidate, LoadedRun, candidates
from tune_jobs.run_folder.schema import merit
from tune_jobs.run_folder.settings import eligible_stored

MOST_FINALISTS, CLOSE = 3, 0.01
"""Trials of a family that are scored again in fp32, and how close to the best they are: bf16 moved
the accuracy of a trial by up to 0.83 points."""


def winners(
    runs: Sequence[LoadedRun], again: Callable[[Candidate], Candidate] = lambda each: each
) -> list[Candidate]:
    """Return the best candidate of each family by the metric of the runs, best family first.

    Ties are broken by the lower validation loss. Trials that violate a constraint of their search
    do not win.

    Args:
        runs: compared runs.
        again: scores a finalist again on the validation images, before the choice.
    """
    target = runs[0].target

    def rank(candidate: Candidate) -> tuple[float, float]:
        return merit(candidate.row, target)

    families: dict[str, list[Candidate]] = {}
    for run in runs:
        own: dict[str, list[Candidate]] = {}
        for candidate in filter(Candidate.may_win, candidates(run)):
            own.setdefault(candidate.family, []).append(candidate)
        for family, trained in own.items():
            families.setdefault(family, []).extend(of_best_setting(trained, run))
    best = [max(map(again, finalists(each, target)), key=rank) for each in families.values()]
    return with_distinct_names(sorted(best, key=rank, reverse=True))


def of_best_setting(trained: Sequence[Candidate], run: LoadedRun) -> list[Candidate]:
    """Return the candidates of one family of a run that may win.

    With --seeds, they are those of the setting with the best mean.
    """
    rows = eligible_stored([each.row for each in trained], run.record, run.target)
    names = {row["trial"] for row in rows}
    return [each for each in trained if each.trial in names]


def finalists(family: Sequence[Candidate], target: Target) -> list[Candidate]:
    """Return the best trials of a family, of which another precision may choose another one.

    They are at most MOST_FINALISTS, within CLOSE of the best one.
    """
    ranked = sorted(family, key=lambda each: merit(each.row, target), reverse=True)
    least = merit(ranked[0].row, target)[0] - CLOSE
    return [each for each in ranked[:MOST_FINALISTS] if merit(each.row, target)[0] >= least]


def with_distinct_names(chosen: Sequence[Candidate]) -> list[Candidate]:
    """Return candidates whose names are qualified where those of others are the same."""
    names = Counter(name for each in chosen for name in {each.name, each.short_name})
    return [
        dataclasses.replace(each, qualified=max(names[each.name], names[each.short_name]) > 1)
        for each in chosen
    ]
