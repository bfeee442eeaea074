"""Headline and verdict of a comparison: which model, by how much, how certain, at what cost."""

from __future__ import annotations

from trainables.models.native_size import size_missed
from trainables.target import ACCURACY
from tune_jobs.analysis.comparison.comparison import Comparison, Contestant, Pair
from tune_jobs.analysis.comparison.statistics import (
    POWER,
    probability_better,
    smallest_difference,
)
from tune_jobs.analysis.formatting import (
    count,
    counted,
    duration,
    listed,
    milliseconds,
    p_value,
    percent,
    percent_interval,
    points,
    points_interval,
    times,
)

MOST_NAMED = 3
"""Models that a sentence names individually."""
FASTER = 0.8
"""Latency relative to the chosen model below which a model is mentioned as faster."""


def headline(comparison: Comparison) -> str:
    """Return the result in one line."""
    unfair = [contestant.name for contestant, _ in _missed_sizes(comparison)]
    caveat = f", but {_named(unfair)} got images too small for a fair test" if unfair else ""
    return _headline(comparison) + caveat


def _headline(comparison: Comparison) -> str:
    chosen, rivals = comparison.chosen, comparison.rivals
    if not rivals:
        return f"{chosen.name} was the only model family compared"
    if better := [pair for pair in rivals if _second_wins(pair)]:
        return (
            f"{chosen.name} was chosen by validation {comparison.target.label}, but "
            f"{better[0].second.name} is significantly better on the test set"
        )
    similar = [pair.second.name for pair in rivals if not pair.paired.significant]
    if not similar:
        return f"Use the {chosen.name}"
    return (
        f"Use the {chosen.name}; its test accuracy does not differ significantly from that of "
        f"{_named(similar)}"
    )


def verdict(comparison: Comparison) -> str:
    """Return the result in one self-contained paragraph."""
    sentences = [
        _chosen(comparison),
        _constant(comparison),
        *_differences(comparison),
        _seeds(comparison),
        _calibration(comparison),
        _costs(comparison),
        _cheaper(comparison),
        custom_or_pretrained(comparison),
        *_unfair_sizes(comparison),
        _openings(comparison),
        _duplicates(comparison),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def custom_or_pretrained(comparison: Comparison) -> str:
    """Answer "custom or pretrained?" by comparing the best model of each kind."""
    best = comparison.best_by_kind
    missing = [kind for kind in ("custom", "pretrained") if kind not in best]
    if missing:
        return f"Custom or pretrained: undecided, because no {missing[0]} model was compared."
    names = {best["custom"].name, best["pretrained"].name}
    pair = next(p for p in comparison.pairs if {p.first.name, p.second.name} == names)
    difference = abs(pair.paired.difference)
    numbers = (
        f"{100 * difference:.2f} percentage points (adjusted {p_value(pair.paired.adjusted_p)})"
    )
    if not pair.paired.significant:
        return (
            f"Custom or pretrained: no significant difference, {pair.first.name} and "
            f"{pair.second.name} differ by {numbers}."
        )
    winner = pair.first if pair.paired.difference > 0 else pair.second
    return f"Custom or pretrained: {winner.name}, by {numbers}."


def _chosen(comparison: Comparison) -> str:
    chosen, images = comparison.chosen, len(comparison.test_set.labels)
    target = comparison.target
    text = (
        f"Chosen by validation {target.label}: {chosen.name}. Its accuracy on the {images:,} "
        f"sealed test images is {percent(chosen.winner.accuracy)} (95% confidence interval "
        f"{percent_interval(chosen.winner.accuracy_interval)})."
    )
    if target == ACCURACY:
        return text
    score = target.show(chosen.winner.metrics[target.name])
    return (
        f"{text} Its {target.label} there is {score}; the intervals and tests of this paragraph "
        "are about accuracy."
    )


def _constant(comparison: Comparison) -> str:
    answer = comparison.constant_answer
    return f"Compare accuracies with a constant answer: {answer}." if answer else ""


def _differences(comparison: Comparison) -> list[str]:
    """Compare the chosen model with the others: one sentence each for better, worse and similar."""
    rivals, images = comparison.rivals, len(comparison.test_set.labels)
    worse = [p for p in rivals if p.paired.significant and p.paired.difference > 0]
    better = [p for p in rivals if _second_wins(p)]
    similar = [p for p in rivals if not p.paired.significant]
    sentences = []
    if worse:
        sentences.append(f"It is significantly better than {_with_numbers(worse)}.")
    if better:
        sentences.append(
            f"On the test set, {_with_numbers(better, reverse=True)} did significantly better; "
            "choosing a model for that reason would be model selection on the test set, so confirm "
            "the difference on new images."
        )
    if similar:
        least = max(
            smallest_difference(p.discordant, images, len(comparison.pairs)) for p in similar
        )
        sentences.append(
            f"Its accuracy does not differ significantly from that of {_with_numbers(similar)}: "
            f"with {images:,} images, the power to detect a true difference below "
            f"{100 * least:.1f} percentage points is less than {POWER:.0%}."
        )
    return sentences


def _with_numbers(pairs: list[Pair], reverse: bool = False) -> str:
    """List the second models of pairs with the difference, its interval and the adjusted p-value.

    Args:
        pairs: the pairs.
        reverse: report the difference as second minus first.
    """
    sign = -1 if reverse else 1
    texts = []
    for pair in pairs[:MOST_NAMED]:
        low, high = sorted(sign * bound for bound in pair.paired.interval)
        texts.append(
            f"{pair.second.name} ({points(sign * pair.paired.difference)} percentage points, "
            f"95% CI {points_interval((low, high))}, adjusted {p_value(pair.paired.adjusted_p)})"
        )
    return _named(texts, len(pairs) - len(texts))


def _named(texts: list[str], others: int = 0) -> str:
    if not others:
        texts, others = texts[:MOST_NAMED], max(0, len(texts) - MOST_NAMED)
    return listed([*texts, f"{others} more"] if others else texts)


def _calibration(comparison: Comparison) -> str:
    chosen = comparison.chosen
    before, after = (
        found.confidence - chosen.winner.accuracy
        for found in (chosen.as_trained, chosen.calibrated)
    )
    return (
        f"The probability that it gives its answers is {points(before)} percentage points from its "
        f"accuracy on average, and {points(after)} at a temperature of {chosen.temperature:.2f}, "
        "which was fitted on the validation images and which predict.py uses."
    )


def _costs(comparison: Comparison) -> str:
    chosen, device = comparison.chosen, comparison.facts["device"]
    text = (
        f"It has {count(chosen.parameters)} parameters and a median latency of "
        f"{milliseconds(chosen.costs.latency_p50_ms)} per image on {device}. Training "
        f"{counted(chosen.tried, 'trial')} of its model family took "
        f"{duration(chosen.search_seconds)}"
    )
    return text + (f" and cost ${chosen.dollars:.2f}." if chosen.dollars is not None else ".")


def _cheaper(comparison: Comparison) -> str:
    """Name the fastest model that is not significantly different, if it is notably faster."""
    chosen = comparison.chosen
    similar = [pair.second for pair in comparison.rivals if not pair.paired.significant]
    latency = chosen.costs.latency_p50_ms
    faster = [c for c in similar if c.costs.latency_p50_ms < FASTER * latency]
    if not faster:
        return ""
    best = min(faster, key=lambda c: c.costs.latency_p50_ms)
    return (
        f"If inference cost matters, {best.name} is {times(latency / best.costs.latency_p50_ms)} "
        f"times as fast, with {count(best.parameters)} parameters, and not significantly worse "
        "on this test set."
    )


def _seeds(comparison: Comparison) -> str:
    chosen = comparison.chosen
    if chosen.spread is None:
        return ""
    text = (
        f"Over {len(chosen.seeds)} runs with different random seeds its mean test accuracy is "
        f"{percent(chosen.spread.mean)} (standard deviation "
        f"{100 * chosen.spread.deviation:.2f} percentage points)"
    )
    ours = chosen.seed_accuracies
    wins = [
        f"{contestant.name} in {probability_better(ours, contestant.seed_accuracies)[0]:.0%}"
        for contestant in comparison.contestants[1 : 1 + MOST_NAMED]
        if contestant.spread is not None
    ]
    return (
        f"{text}; it scores higher than {listed(wins)} of the pairs of runs."
        if wins
        else f"{text}."
    )


def _unfair_sizes(comparison: Comparison) -> list[str]:
    """Return a sentence on each pretrained network that got much smaller images than it knows."""
    return [
        f"The {contestant.name} was given images of {contestant.winner.candidate.network_size} "
        f"pixels, but its weights know {native}: this is not a fair test of it; fine-tune it with "
        "--image-size native."
        for contestant, native in _missed_sizes(comparison)
    ]


def _missed_sizes(comparison: Comparison) -> list[tuple[Contestant, int]]:
    """Return the contestants with less than half of the size of their weights, and that size."""
    candidates = [(each, each.winner.candidate) for each in comparison.contestants]
    sizes = [(each, size_missed(c.config, c.network_size)) for each, c in candidates]
    return [(each, native) for each, native in sizes if native is not None]


def _openings(comparison: Comparison) -> str:
    before = len(comparison.openings) - 1
    if not before:
        return ""
    times_ = "once" if before == 1 else f"{before} times"
    return (
        f"This test set had been opened {times_} before, so choices made after that may be "
        "overfitted to it."
    )


def _duplicates(comparison: Comparison) -> str:
    copies = comparison.test_set.duplicates
    if not copies:
        return ""
    return (
        f"{copies:,} of the test images show the same picture as a training or validation image, "
        "so every accuracy here may be too high; --duplicates drop leaves copies out."
    )


def _second_wins(pair: Pair) -> bool:
    return pair.paired.significant and pair.paired.difference < 0
