"""Labels of numbers in the names of trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def number_labels(numbers: Iterable[float]) -> dict[float, str]:
    """Return a label for each number: short, or in full where two would be the same."""
    short = {number: f"{number:g}" for number in numbers}
    times = Counter(short.values())
    return {number: label if times[label] == 1 else repr(number) for number, label in short.items()}
