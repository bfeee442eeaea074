"""What learning curves say: which model needs fewer images, and what more images would bring."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from tune_jobs.analysis.comparison.comparison import Comparison, Contestant
from tune_jobs.analysis.comparison.learning_curve import LearningCurve, Order, order_of
from tune_jobs.analysis.formatting import listed, percent, percent_interval


def with_curves(comparison: Comparison) -> list[Contestant]:
    """Return the contestants that have a learning curve."""
    return [contestant for contestant in comparison.contestants if contestant.curve is not None]


def curve_of(contestant: Contestant) -> LearningCurve:
    """Return the learning curve of a contestant, which has one."""
    assert contestant.curve is not None
    return contestant.curve


def compared(comparison: Comparison) -> tuple[Contestant, Contestant] | None:
    """Return the best custom and the best pretrained model, or else the two best, with curves."""
    found = with_curves(comparison)
    if len(found) < 2:
        return None
    best = {contestant.kind: contestant for contestant in reversed(found)}
    if {"custom", "pretrained"} <= set(best):
        return best["custom"], best["pretrained"]
    return found[0], found[1]


def order(first: Contestant, second: Contestant) -> Order:
    """Return which of two contestants has the lower error at which number of training images."""
    with np.errstate(invalid="ignore"):
        found = np.corrcoef(first.winner.correct, second.winner.correct)[0, 1]
    # A model without a mistake has no correlation; one below 0 would be chance.
    correlation = float(np.clip(np.nan_to_num(found), 0, 0.99))
    return order_of(curve_of(first), curve_of(second), correlation)


def order_words(first: str, second: str, found: Order) -> str:
    """Say which of two models has the lower error, from how many and up to how many images."""
    low, high = f"{found.images[0]:,.0f}", f"{found.images[-1]:,.0f}"
    lower: dict[str, list[str]] = {}
    undecided = False
    start = 0
    for word, same in groupby(found.word.tolist()):
        end = start + len(list(same)) - 1
        if word == 0:
            undecided = True
        else:
            name = first if word < 0 else second
            lower.setdefault(name, []).append(_range(found, start, end))
        start = end + 1
    crossing = ""
    if len(found.crossings) == 1:
        crossing = f"; the curves cross at about {_rounded(found.crossings[0])} images"
    if not lower:
        return f"their order is undecided from {low} to {high} images{crossing}"
    rest = "; elsewhere their order is undecided" if undecided else ""
    parts = [f"{name} has the lower error {listed(ranges)}" for name, ranges in lower.items()]
    return listed(parts) + rest + crossing


def _range(found: Order, start: int, end: int) -> str:
    """Describe a range of numbers of images by the indices of its ends."""
    low, high = (found.images[i] for i in (start, end))
    if start == 0 and end == len(found.images) - 1:
        return f"at every number of images from {low:,.0f} to {high:,.0f}"
    if start == 0:
        return f"up to {_rounded(high)} images"
    if end == len(found.images) - 1:
        return f"from {_rounded(low)} images on"
    return f"from {_rounded(low)} to {_rounded(high)} images"


def _rounded(images: float) -> str:
    """Format a number of images to two significant digits."""
    return f"{float(f'{images:.2g}'):,.0f}"


def needed_words(curve: LearningCurve, accuracy: float) -> str:
    """Say how many images an accuracy needs, with the interval: 1,700 (1,300 to 2,100).

    Where they are more than were trained on, it is said how many more: 1,700 (…), 100 more.
    """
    images, interval = curve.needed(1 - accuracy)
    if images > curve.furthest:
        return "not stated"
    smallest = curve.cells.images[0]

    def bound(number: float) -> str:
        if number > curve.furthest:
            return f"more than {curve.furthest:,.0f}"
        return f"fewer than {smallest:,.0f}" if number < smallest else _rounded(number)

    if images < smallest:
        return bound(images)
    rest = images - curve.largest
    more = f", {_rounded(rest)} more" if rest > 0 else ""
    return f"{_rounded(images)} ({bound(interval[0])} to {bound(interval[1])}){more}"


def sentences(comparison: Comparison) -> list[str]:
    """Return the sentences of the verdict on training images; none without learning curves."""
    found = with_curves(comparison)
    texts = []
    if pair := compared(comparison):
        first, second = pair
        texts.append(
            f"By the number of training images, on the validation images: "
            f"{order_words(first.short_name, second.short_name, order(first, second))}."
        )
    if found:
        best = found[0]
        curve = curve_of(best)
        now, twice = curve.at(np.array([curve.largest, curve.furthest]))
        texts.append(
            f"With twice the {curve.largest:,.0f} training images, the validation error of "
            f"{best.short_name} may be expected to go from {percent(now)} to {percent(twice)} "
            f"(95% CI {percent_interval(curve.interval(curve.furthest))})."
        )
    return texts
