"""Sentences on what would decide: how many seeds or test images, for models and their families."""

from __future__ import annotations

from collections.abc import Sequence

from tune_jobs.analysis.comparison.comparison import Comparison, Pair
from tune_jobs.analysis.comparison.equivalence import (
    MOST_SEEDS,
    Word,
)
from tune_jobs.analysis.formatting import first_of, listed, rounded_up

MOST_NAMED = 3
"""Models that a sentence names individually."""


def with_word(pairs: Sequence[Pair], word: Word) -> list[Pair]:
    """Return the pairs with one verdict."""
    return [pair for pair in pairs if pair.word == word]


def named(texts: list[str], others: int = 0) -> str:
    """List the first texts, and the number of the others."""
    return listed([*texts, f"{others} more"]) if others else first_of(texts, MOST_NAMED)


def one_training(comparison: Comparison) -> str:
    """Say that trained models were compared, and what would settle the model families."""
    trained = comparison.trained_only
    if not trained or len(trained) < len(comparison.rivals):
        return ""
    return f"One training of each model family was compared, and {_settles(comparison)}."


def _settles(comparison: Comparison) -> str:
    """Say how many seeds, or test images, would settle the model families."""
    needed = [pair.decision.needed_for_families for pair in comparison.trained_only]
    seeds, images, with_seeds = (
        None if None in each else max(n for n in each if n is not None)
        for each in zip(*needed, strict=True)
    )
    if seeds is not None:
        return f"--seeds {seeds} would settle which model family is better"
    if images is not None:
        return (
            f"--seeds {with_seeds} with about {rounded_up(images):,} test images would settle "
            "which model family is better"
        )
    return f"--seeds {MOST_SEEDS} would not settle which model family is better"


def would_decide(pair: Pair) -> str:
    """Name the number of seeds or of test images that would decide, as part of a sentence."""
    needed, ways = pair.decision.needed, []
    if needed.seeds is not None:
        ways.append(f"{needed.seeds} seeds")
    if needed.images is not None:
        images = f"about {rounded_up(needed.images):,} test images"
        more = needed.with_seeds != pair.decision.estimate.seeds
        ways.append(f"{needed.with_seeds} seeds with {images}" if more else images)
    return " or ".join(ways) or f"more than {MOST_SEEDS} seeds and more test images"
