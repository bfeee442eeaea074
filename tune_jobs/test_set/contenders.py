"""Winners with their further trainings, before they are scored on the test set."""

from __future__ import annotations

from dataclasses import dataclass

from tune_jobs.analysis.comparison.learning_curve import LearningCurve
from tune_jobs.test_set.evaluation import TrainedModel


@dataclass(frozen=True)
class Contender:
    """Winner of a model family and its runs with different random seeds, ready for scoring."""

    winner: TrainedModel
    """Model of the winning trial."""
    seeds: list[TrainedModel]
    """Models of the same settings with different random seeds; empty without --seeds."""
    curve: LearningCurve | None = None
    """Learning curve of the winner; None without --learning-curve."""


def by_seeds(contenders: list[Contender]) -> list[Contender]:
    """Sort by the mean validation score of the trainings with other seeds, if all have them.

    The winners' own scores are the best of many trials, and the more there were the more they
    promise too much.
    """
    if not all(each.seeds for each in contenders):
        return contenders

    def mean(each: Contender) -> float:
        target = each.winner.candidate.run.target
        return sum(target.merit(s.candidate.row[target.best]) for s in each.seeds) / len(each.seeds)

    return sorted(contenders, key=mean, reverse=True)
