"""When the training of a trial is over: after all its epochs, or when its patience has run out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainables.config import TrialConfig
from trainables.target import TARGETS


def is_trained(config: TrialConfig, epochs: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a trial has trained as long as its configuration says.

    Args:
        config: Configuration of the trial.
        epochs: Metrics of its epochs so far.
    """
    # Mode probe has one epoch; trials of earlier versions may be configured for more.
    if len(epochs) >= (1 if config.mode == "probe" else config.epochs):
        return True
    if config.patience is None or not epochs:
        return False
    target = TARGETS[config.metric]
    merits = [target.merit(row[target.column]) for row in epochs]
    return len(epochs) - 1 - merits.index(max(merits)) >= config.patience
