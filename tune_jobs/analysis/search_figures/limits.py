"""Limits of the axes of scores, on which bad trials lie at the edge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tune_jobs.analysis.formatting import Interval

Mode = Literal["min", "max"]
"""Direction of an objective: whether low or high values are better."""


def score_limits(scores: NDArray[np.float64], mode: Mode) -> Interval | None:
    """Return the limits of an axis of scores, which bad trials do not flatten.

    The better half of the trials is inside, and of the others those that are at most twice as far
    from the median as the best one is.

    Args:
        scores: score of each trial, NaN without one.
        mode: whether low ("min") or high ("max") scores are better.
    """
    sign = 1 if mode == "max" else -1
    merits = np.sort(sign * scores[np.isfinite(scores)])
    if not len(merits):
        return None
    best, median = merits[-1], merits[(len(merits) - 1) // 2]
    least = max(merits[0], median - 2 * (best - median)) if best > median else merits[0]
    margin = 0.05 * (best - least) or 0.05 * abs(best) or 0.05
    low, high = sorted((sign * (least - margin), sign * (best + margin)))
    return float(low), float(high)


def at_edge(values: Sequence[float], limits: Interval | None) -> list[float]:
    """Return scores with those outside of the axis moved to its edge."""
    if limits is None:
        return [float(each) for each in values]
    inside = 0.02 * (limits[1] - limits[0])  # so that markers are whole
    return [float(each) for each in np.clip(values, limits[0] + inside, limits[1] - inside)]


def outside(values: Sequence[float], limits: Interval | None) -> int:
    """Return the number of scores outside of the axis."""
    return sum(not limits[0] <= each <= limits[1] for each in values) if limits else 0
