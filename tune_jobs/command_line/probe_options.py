"""Options that have no effect on mode probe, which fits a head without training steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from trainables.config import Recipe
from trainables.errors import InputError

PROBE_RECIPE = {"class_weights", "metric", "normalize", "precision", "split"}
"""Training settings that matter to mode probe."""
TRAINED_ONLY = {"lr", "seeds", "head_epochs", "layer_decay", "freeze_batch_norm", "aux_loss"}
"""Options of fine-tuning without effect on mode probe."""


def refuse_training_options(given: Iterable[str], what: str, remedy: str) -> None:
    """Raise InputError if an option was given that concerns training steps alone.

    Args:
        given: names of the options that were given.
        what: what takes no training steps, for the message.
        remedy: what to do, for the message.
    """
    training = {field.name for field in dataclasses.fields(Recipe)} - PROBE_RECIPE
    for name in sorted(set(given) & (training | TRAINED_ONLY)):
        raise InputError(
            f"--{name.replace('_', '-')} has no effect with {what}, which fits heads without "
            f"training steps: {remedy}"
        )
