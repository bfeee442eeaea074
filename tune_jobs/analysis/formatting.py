"""Numbers as a person says them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Interval: TypeAlias = tuple[float, float]
"""Lower and upper bound."""

LEAST_P = 0.001
THOUSAND_STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


def duration(seconds: float) -> str:
    """Seconds as a person says them: 42 s, 6.5 min, 17 min, 2 h 05 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 570:
        return f"{seconds / 60:.1f} min"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def percent(share: float) -> str:
    """A share in percent: 74.14%."""
    return f"{share:.2%}"


def percent_interval(interval: Interval) -> str:
    """An interval of a share: 73.27 to 74.99%."""
    low, high = interval
    return f"{100 * low:.2f} to {100 * high:.2f}%"


def with_interval(share: float, interval: Interval) -> str:
    """A share and its interval, where it has one: 74.14% (73.27 to 74.99)."""
    if interval[0] == interval[1]:  # nothing was wrong, or all was alike: no draw can differ
        return percent(share)
    return f"{percent(share)} ({percent_interval(interval)[:-1]})"


def points(difference: float) -> str:
    """A difference of two shares: +3.10, in percentage points."""
    return signed(100 * difference, ".2f")


def signed(number: float, digits: str = ",") -> str:
    """A number with its sign, and a true minus: +0.0123, −98,304; `digits` as in a format."""
    return f"{number:+{digits}}".replace("-", "−")


def points_interval(interval: Interval) -> str:
    """An interval of a difference: −0.62 to +1.21."""
    return f"{points(interval[0])} to {points(interval[1])}"


def p_value(p: float) -> str:
    """A p value in a sentence: p = 0.52, p < 0.001."""
    return f"p {p_number(p)}" if p < LEAST_P else f"p = {p_number(p)}"


def p_number(p: float) -> str:
    """A p value in a table: 0.52, < 0.001."""
    return f"< {LEAST_P}" if p < LEAST_P else f"{p:.2g}"


def count(number: float) -> str:
    """A number: 390,634 in full, 7.98 M where it has seven digits or more."""
    for step, unit in THOUSAND_STEPS:
        if abs(number) >= step:
            return f"{number / step:.3g} {unit}"
    return f"{number:,.0f}"


def milliseconds(value: float) -> str:
    """Milliseconds with three digits: 0.842 ms, 12.1 ms."""
    return f"{value:.3g} ms" if value < 100 else f"{value:,.0f} ms"


def times(factor: float) -> str:
    """How many times as much: 18, 3.4, 1.2."""
    return f"{factor:.0f}" if factor >= 10 else f"{factor:.1f}"


def listed(words: Sequence[str]) -> str:
    """Words in a sentence: a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def counted(number: int, word: str) -> str:
    """A number of things: 1 trial, 5 trials."""
    return f"{number:,} {word}" + "s" * (number != 1)


def shortened(text: str, length: int = 18) -> str:
    """A text that fits into a figure, with its middle left out: what differs is at the ends."""
    half = length // 2
    return text if len(text) <= length else f"{text[: length - half]}…{text[1 - half :]}"


def moment(when: str) -> str:
    """A time of ISO 8601 to the minute: 2026-11-25 03:14."""
    return when[:16].replace("T", " ")
