"""The answer in words: which model, by how much, how sure, at what cost."""

from __future__ import annotations

from tune_jobs.analysis.comparison.comparison import Comparison, Pair
from tune_jobs.analysis.comparison.statistics import probability_better, smallest_difference
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
"""Models that a sentence names one by one."""
LESS = 0.8
"""A cost this much lower is worth a word."""


def headline(comparison: Comparison) -> str:
    """The answer in a line."""
    chosen, rivals = comparison.chosen, comparison.rivals
    if not rivals:
        return f"{chosen.name} was the only kind of model compared"
    if better := [pair for pair in rivals if _second_wins(pair)]:
        return (
            f"{chosen.name} was chosen, but {better[0].second.name} did better on the test images"
        )
    equal = [pair.second.name for pair in rivals if not pair.paired.separable]
    if not equal:
        return f"Use the {chosen.name}"
    return f"Use the {chosen.name}; {_named(equal)} cannot be told apart from it"


def verdict(comparison: Comparison) -> str:
    """One paragraph that can be pasted into a decision."""
    sentences = [
        _chosen(comparison),
        *_differences(comparison),
        _seeds(comparison),
        _costs(comparison),
        _cheaper(comparison),
        custom_or_pretrained(comparison),
        _openings(comparison),
        _duplicates(comparison),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def custom_or_pretrained(comparison: Comparison) -> str:
    """The question that the comparison is for, answered by the best of each side."""
    best = comparison.best_by_kind
    missing = [kind for kind in ("custom", "pretrained") if kind not in best]
    if missing:
        return f"Custom or pretrained stays open, as no {missing[0]} model was compared."
    sides = {best["custom"].name, best["pretrained"].name}
    pair = next(p for p in comparison.pairs if {p.first.name, p.second.name} == sides)
    difference = abs(pair.paired.difference)
    numbers = f"{100 * difference:.2f} points ({p_value(pair.paired.adjusted_p)})"
    if not pair.paired.separable:
        return (
            f"Custom or pretrained: not separable, {pair.first.name} and {pair.second.name} differ "
            f"by {numbers}."
        )
    winner = pair.first if pair.paired.difference > 0 else pair.second
    return f"Custom or pretrained: {winner.name}, by {numbers}."


def _chosen(comparison: Comparison) -> str:
    chosen, images = comparison.chosen, len(comparison.test_set.labels)
    return (
        f"Chosen on validation images: {chosen.name}. It is right on "
        f"{percent(chosen.winner.accuracy)} of the {images:,} sealed test images (95% interval "
        f"{percent_interval(chosen.winner.accuracy_interval)})."
    )


def _differences(comparison: Comparison) -> list[str]:
    """What tells the chosen one from the others, one sentence a kind of outcome."""
    rivals, images = comparison.rivals, len(comparison.test_set.labels)
    ahead = [p for p in rivals if p.paired.separable and p.paired.difference > 0]
    behind = [p for p in rivals if _second_wins(p)]
    equal = [p for p in rivals if not p.paired.separable]
    sentences = []
    if ahead:
        sentences.append(f"It is better than {_with_numbers(ahead)}.")
    if behind:
        sentences.append(
            f"On the test images {_with_numbers(behind, other_way=True)} did better; to choose by "
            "that would be to choose on test images, so confirm it on new ones."
        )
    if equal:
        least = max(smallest_difference(p.discordant, images, len(comparison.pairs)) for p in equal)
        sentences.append(
            f"It is not separable from {_with_numbers(equal)}: on {images:,} images a true "
            f"difference below {100 * least:.1f} points is found less than four times in five."
        )
    return sentences


def _with_numbers(pairs: list[Pair], other_way: bool = False) -> str:
    sign = -1 if other_way else 1
    texts = []
    for pair in pairs[:MOST_NAMED]:
        low, high = sorted(sign * bound for bound in pair.paired.interval)
        texts.append(
            f"{pair.second.name} ({points(sign * pair.paired.difference)} points, "
            f"{points_interval((low, high))}, {p_value(pair.paired.adjusted_p)})"
        )
    return _named(texts, len(pairs) - len(texts))


def _named(texts: list[str], others: int = 0) -> str:
    if not others:
        texts, others = texts[:MOST_NAMED], max(0, len(texts) - MOST_NAMED)
    return listed([*texts, f"{others} more"] if others else texts)


def _costs(comparison: Comparison) -> str:
    chosen, device = comparison.chosen, comparison.facts["device"]
    text = (
        f"It has {count(chosen.parameters)} parameters, takes "
        f"{milliseconds(chosen.costs.latency_p50_ms)} for an image on {device}, and "
        f"{duration(chosen.search_seconds)} of training went into "
        f"{counted(chosen.tried, 'trial')} of its kind"
    )
    return text + (f", ${chosen.dollars:.2f}." if chosen.dollars is not None else ".")


def _cheaper(comparison: Comparison) -> str:
    """What is as good as far as the test images can tell, and costs less."""
    chosen = comparison.chosen
    equal = [pair.second for pair in comparison.rivals if not pair.paired.separable]
    latency = chosen.costs.latency_p50_ms
    faster = [c for c in equal if c.costs.latency_p50_ms < LESS * latency]
    if not faster:
        return ""
    best = min(faster, key=lambda c: c.costs.latency_p50_ms)
    return (
        f"Where cost counts, {best.name} is {times(latency / best.costs.latency_p50_ms)} times as "
        f"fast, with {count(best.parameters)} parameters, and these images do not show it to be "
        "worse."
    )


def _seeds(comparison: Comparison) -> str:
    chosen = comparison.chosen
    if chosen.spread is None:
        return ""
    text = (
        f"Over {len(chosen.seeds)} retrainings with other seeds it has "
        f"{percent(chosen.spread.mean)} on average (standard deviation "
        f"{100 * chosen.spread.deviation:.2f} points)"
    )
    ours = chosen.seed_accuracies
    shares = [
        f"{contestant.name} in {probability_better(ours, contestant.seed_accuracies)[0]:.0%}"
        for contestant in comparison.contestants[1 : 1 + MOST_NAMED]
        if contestant.spread is not None
    ]
    return (
        f"{text}, and beats {listed(shares)} of the pairs of trainings." if shares else f"{text}."
    )


def _openings(comparison: Comparison) -> str:
    before = len(comparison.openings) - 1
    if not before:
        return ""
    times_ = "once" if before == 1 else f"{before} times"
    return (
        f"These test images had been looked at {times_} before, so choices made after that may "
        "have been fitted to them."
    )


def _duplicates(comparison: Comparison) -> str:
    copies = comparison.test_set.duplicates
    if not copies:
        return ""
    return (
        f"{copies:,} of the test images are in the training or validation part too, byte by byte, "
        "so every accuracy here may be too high."
    )


def _second_wins(pair: Pair) -> bool:
    return pair.paired.separable and pair.paired.difference < 0
