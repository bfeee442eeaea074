"""Sentences on what makes a comparison less trustworthy than its intervals say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trainables.models.native_size import size_missed
from tune_jobs.analysis.comparison.comparison import Comparison, Contestant
from tune_jobs.analysis.formatting import counted


def constant(comparison: Comparison) -> str:
    """Return a sentence on the constant answer if one class has most of the images."""
    answer = comparison.constant_answer
    return f"Compare accuracies with a constant answer: {answer}." if answer else ""


def unfair_sizes(comparison: Comparison) -> list[str]:
    """Return a sentence on each pretrained network that got much smaller images than it knows."""
    return [
        f"The {contestant.name} was given images of {contestant.winner.candidate.network_size} "
        f"pixels, but its weights know {native}: this is not a fair test of it; fine-tune it with "
        "--image-size native."
        for contestant, native in missed_sizes(comparison)
    ]


def missed_sizes(comparison: Comparison) -> list[tuple[Contestant, int]]:
    """Return the contestants with less than half of the size of their weights, and that size."""
    candidates = [(each, each.winner.candidate) for each in comparison.contestants]
    sizes = [(each, size_missed(c.config, c.network_size)) for each, c in candidates]
    return [(each, native) for each, native in sizes if native is not None]


def openings(comparison: Comparison) -> str:
    """Return a sentence on the models that these test images have scored before, if any."""
    *before, _ = comparison.openings
    models = models_scored(before)
    if not models:
        return ""
    return (
        f"These test images had scored {counted(models, 'model')} before, so choices made after "
        f"that may be overfitted to them; the intervals of accuracies hold for all "
        f"{comparison.chosen.winner.models} models together."
    )


def models_scored(openings: Iterable[Mapping[str, Any]]) -> int:
    """Return the number of different models in ledger entries; scored twice, a model is one."""
    return len(
        {
            (model.get("run"), model.get("trial"), model.get("weights"))
            for entry in openings
            for model in entry["models"]
        }
    )


def duplicates(comparison: Comparison) -> str:
    """Return a sentence on test images that models have learnt from, if there are any."""
    copies = comparison.test_set.duplicates
    if not copies:
        return ""
    return (
        f"{copies:,} of the test images show the same picture as a training or validation image, "
        "so every accuracy here may be too high; --duplicates drop leaves copies out."
    )
