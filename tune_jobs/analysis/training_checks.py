"""Checks of what a score of a training may owe to the grid, the budget or chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scipy.stats import binomtest

from trainables.config import TrialConfig
from tune_jobs.analysis.formatting import Interval


class Edge(NamedTuple):
    """How the best trial lies at the edge of a grid."""

    value: float
    """Its learning rate, or the penalty of its head."""
    setting: str
    """What that is: "learning rate" or "penalty"."""
    option: str
    """Option that gives it."""
    which: str
    """Edge of the grid: "lowest" or "highest"."""
    beyond: str
    """Where better ones may be: "lower" or "higher"."""
    step: str
    """Value one step beyond the grid."""


def edge_of(options: Mapping[str, Any], best: TrialConfig) -> Edge | None:
    """Return how the best trial lies at the edge of a grid; None if it lies inside.

    Args:
        options: options of the run, whose `lr` and `penalty` are the grid, in any order.
        best: configuration of its best trial.
    """
    setting, name, value = "learning rate", "lr", best.lr
    if best.mode == "probe":
        setting, name, value = "penalty", "penalty", best.penalty
    grid = sorted(options.get(name, ()))
    if value is None or len(grid) < 2 or value not in (grid[0], grid[-1]):
        return None
    which, beyond, beside = "lowest", "lower", grid[1]
    if value == grid[-1]:
        which, beyond, beside = "highest", "higher", grid[-2]
    return Edge(value, setting, f"--{name}", which, beyond, f"{value * value / beside:.2g}")


def still_rising(config: TrialConfig, best_epoch: float | None) -> bool:
    """Return whether a trial was best in its last epoch, at a rate that did not decrease.

    Args:
        config: configuration of the trial.
        best_epoch: number of its best epoch, from 1.
    """
    if config.schedule != "constant" or config.mode == "probe" or config.epochs < 2:
        return False
    return best_epoch == config.epochs


def at_chance(accuracy: float, counts: Sequence[int]) -> bool:
    """Return whether an accuracy is not shown to be above that of one answer for all images.

    Args:
        accuracy: fraction of the images that are correctly classified.
        counts: number of images of each class.
    """
    images = sum(counts)
    return wilson(round(accuracy * images), images)[0] <= max(counts) / images


def wilson(right: int, images: int) -> Interval:
    """Return Wilson's 95% interval of an accuracy.

    By scipy, which every job has imported; the comparison's is by statsmodels.
    """
    found = binomtest(right, images).proportion_ci(method="wilson")
    return float(found.low), float(found.high)
