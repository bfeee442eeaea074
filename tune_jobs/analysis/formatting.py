"""Formatting of numbers, intervals and lists for tables and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Interval: TypeAlias = tuple[float, float]
"""Lower and upper bound."""

NOT_STATED = "not stated"
"""Stands for a time that other processes have spoilt."""
LEAST_P = 0.001
"""p-values below this are shown as "< 0.001"."""
THOUSAND_STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


def duration(seconds: float) -> str:
    """Format a duration in seconds: 42 s, 6.5 min, 17 min, 2 h 05 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 570:
        return f"{seconds / 60:.1f} min"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def percent(fraction: float) -> str:
    """Format a fraction as a percentage: 74.14%."""
    return f"{fraction:.2%}"


def percent_interval(interval: Interval) -> str:
    """Format an interval of fractions as percentages: 73.27 to 74.99%."""
    low, high = interval
    return f"{100 * low:.2f} to {100 * high:.2f}%"


def with_interval(fraction: float, interval: Interval | None) -> str:
    """Format a fraction with its interval: 74.14% (73.27 to 74.99)."""
    if interval is None:
        return f"{percent(fraction)} (not estimable)"
    return f"{percent(fraction)} ({percent_interval(interval)[:-1]})"


def points(difference: float) -> str:
    """Format a difference of two fractions in percentage points: +3.10."""
    return signed(100 * difference, ".2f")


def percentage_points(difference: float) -> str:
    """Format a margin with its unit: 1 percentage point, 0.5 percentage points."""
    return f"{100 * difference:g} percentage point" + "s" * (difference != 0.01)


def signed(number: float, digits: str = ",") -> str:
    """Format a number with its sign and a true minus: +0.0123, −98,304.

    Args:
        number: the number.
        digits: format specification without the sign.
    """
    return f"{number:+{digits}}".replace("-", "−")


def points_interval(interval: Interval) -> str:
    """Format an interval of a difference in percentage points: −0.62 to +1.21."""
    return f"{points(interval[0])} to {points(interval[1])}"


def p_value(p: float) -> str:
    """Format a p-value for a sentence: p = 0.52, p < 0.001."""
    return f"p {p_number(p)}" if p < LEAST_P else f"p = {p_number(p)}"


def p_number(p: float) -> str:
    """Format a p-value for a table: 0.52, < 0.001."""
    return f"< {LEAST_P}" if p < LEAST_P else f"{p:.2g}"


def count(number: float) -> str:
    """Format a count: 390,634 in full, 7.98 M with seven digits or more."""
    for step, unit in THOUSAND_STEPS:
        if abs(number) >= step:
            return f"{number / step:.3g} {unit}"
    return f"{number:,.0f}"


def rounded_up(number: int) -> int:
    """Round a planned number up to two significant digits: 1,834 to 1,900."""
    step: int = 10 ** max(0, len(str(number)) - 2)
    return -(-number // step) * step


def milliseconds(value: float) -> str:
    """Format milliseconds with three significant digits: 0.842 ms, 12.1 ms; NaN is not stated."""
    if np.isnan(value):
        return NOT_STATED
    return f"{value:.3g} ms" if value < 100 else f"{value:,.0f} ms"


def milliseconds_range(low: float, high: float) -> str:
    """Format the lowest and the highest of several times: 0.842 to 1.02 ms; NaN is not stated."""
    return NOT_STATED if np.isnan(low) else f"{milliseconds(low)[:-3]} to {milliseconds(high)}"


def throughput(rate: float) -> str:
    """Format a throughput: 5,120 images/s; NaN is not stated."""
    return NOT_STATED if np.isnan(rate) else f"{rate:,.0f} images/s"


def times(factor: float) -> str:
    """Format a ratio: 18, 3.4, 1.2."""
    return f"{factor:.0f}" if factor >= 10 else f"{factor:.1f}"


def listed(words: Sequence[str]) -> str:
    """Join words for a sentence: a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def first_of(names: Sequence[str], most: int) -> str:
    """Join the first of many names for a sentence, with the number of the others: a, b and 4 more.

    Args:
        names: names, in order.
        most: largest number of names.
    """
    more = len(names) - most
    return listed([*names[:most], f"{more} more"] if more > 0 else names)


def capitalised(text: str) -> str:
    """Return a text with its first letter as a capital, and the others as they are."""
    return text[:1].upper() + text[1:]


def counted(number: int, word: str) -> str:
    """Format a number with its noun: 1 trial, 5 trials."""
    return f"{number:,} {word}" + "s" * (number != 1)


def shortened(text: str, length: int = 18) -> str:
    """Shorten a text by omitting its middle, as names differ at the ends."""
    half = length // 2
    return text if len(text) <= length else f"{text[: length - half]}…{text[1 - half :]}"


def class_counts(labels: NDArray[np.int64], classes: Sequence[str]) -> list[int]:
    """Count the images of each class.

    Args:
        labels: labels, N, int64.
        classes: class names, in the order of the labels.
    """
    counts: list[int] = np.bincount(labels, minlength=len(classes)).tolist()
    return counts


def constant_answer(counts: Sequence[int], classes: Sequence[str]) -> str:
    """Say what always answering the most frequent class would score, if it has most of the images.

    Args:
        counts: number of images of each class.
        classes: class names.

    Returns:
        "always 'cat' would score 99.00%", or nothing where no class has more than half the images.
    """
    most = max(counts, default=0)
    if 2 * most <= sum(counts):
        return ""
    return f"always {classes[list(counts).index(most)]!r} would score {percent(most / sum(counts))}"


def moment(when: str) -> str:
    """Format an ISO 8601 time to the minute: 2026-11-25 03:14."""
    return when[:16].replace("T", " ")


def file_size(count: int) -> str:
    """Return a number of bytes in MB or GB, e.g. 46 MB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"
