"""Labels of learning rates in the names of trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def lr_labels(rates: Iterable[float]) -> dict[float, str]:
    """Return a label for each learning rate: short, or in full where two would be the same."""
    short = {lr: f"{lr:g}" for lr in rates}
    times = Counter(short.values())
    return {lr: label if times[label] == 1 else repr(lr) for lr, label in short.items()}
