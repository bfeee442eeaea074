"""When the training of a trial is over: after all its epochs, or when its patience has run out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainables.recipe import Recipe
from trainables.target import TARGETS


def is_trained(config: Recipe, epochs: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a trial has trained as long as its configuration says.

    Args:
        config: Configuration of the trial.
        epochs: Metrics of its epochs so far.
    """
    if len(epochs) >= config.epochs:
        return True
    if config.patience is None or not epochs:
        return False
    target = TARGETS[config.metric]
    merits = [target.merit(row[target.column]) for row in epochs]
    return len(epochs) - 1 - merits.index(max(merits)) >= config.patience
