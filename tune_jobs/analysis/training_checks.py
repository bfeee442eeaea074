"""Checks of what a score of a training may owe to the grid, the budget or chance."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.stats import binomtest

from trainables.config import TrialConfig
from tune_jobs.analysis.formatting import Interval


def edge_of(rates: Sequence[float], lr: float | None) -> tuple[str, str, str] | None:
    """Return how a learning rate lies at the edge of a grid; None if it lies inside.

    Args:
        rates: learning rates of the grid.
        lr: the best of them; None where there is none.

    Returns:
        "lowest" or "highest"; "lower" or "higher"; and the rate that is one step further, as text.
    """
    rates = sorted(rates)
    if lr is None or len(rates) < 2 or lr not in (rates[0], rates[-1]):
        return None
    edge, other, beside = "lowest", "lower", rates[1]
    if lr == rates[-1]:
        edge, other, beside = "highest", "higher", rates[-2]
    return edge, other, f"{lr * lr / beside:.2g}"


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
