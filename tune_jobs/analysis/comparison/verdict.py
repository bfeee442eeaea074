"""Headline and verdict of a comparison: which model, by how much, how certain, at what cost."""

from __future__ import annotations

from trainables.target import ACCURACY
from tune_jobs.analysis.comparison import caveats, data_efficiency, effort
from tune_jobs.analysis.comparison.calibration import Reliability
from tune_jobs.analysis.comparison.comparison import Comparison, Pair
from tune_jobs.analysis.comparison.equivalence import Word
from tune_jobs.analysis.comparison.needed import (
    MOST_NAMED,
    named,
    one_training,
    scope,
    with_word,
    would_decide,
)
from tune_jobs.analysis.comparison.statistics import CHANCE_SEEDS, probability_better
from tune_jobs.analysis.formatting import (
    NOT_STATED,
    count,
    counted,
    duration,
    listed,
    milliseconds,
    p_value,
    percent,
    percent_interval,
    percentage_points,
    points,
    points_interval,
    times,
)

CLAUSES: dict[Word, str] = {
    "better": "better than", "equivalent": "equivalent to", "undecided": "undecided against",
}  # fmt: skip
"""Verdict -> how the headline names the other models."""
FASTER = 0.8
"""Latency relative to the chosen model below which a model is mentioned as faster."""


def headline(comparison: Comparison) -> str:
    """Return the result in one line, with what it is about."""
    unfair = [contestant.name for contestant, _ in caveats.missed_sizes(comparison)]
    caveat = f", but {named(unfair)} got images too small for a fair test" if unfair else ""
    return _headline(comparison) + caveat + scope(comparison)


def _headline(comparison: Comparison) -> str:
    chosen, rivals = comparison.chosen, comparison.rivals
    if not rivals:
        return f"{chosen.name} was the only model family compared"
    if better := with_word(rivals, "worse"):
        return (
            f"{chosen.name} was chosen by {comparison.chosen_by}, but "
            f"{better[0].second.name} is better on the test set"
        )
    clauses = [
        f"{words} {named([pair.second.name for pair in pairs])}"
        for word, words in CLAUSES.items()
        if (pairs := with_word(rivals, word))
    ]
    return f"Use the {chosen.name}: {listed(clauses)}"


def verdict(comparison: Comparison) -> str:
    """Return the result in one self-contained paragraph."""
    sentences = [
        one_training(comparison),
        _chosen(comparison),
        caveats.constant(comparison),
        *_differences(comparison),
        _seeds(comparison),
        _calibration(comparison),
        _costs(comparison),
        _cheaper(comparison),
        custom_or_pretrained(comparison),
        *effort.sentences(comparison.efforts),
        *data_efficiency.sentences(comparison),
        *caveats.unfair_sizes(comparison),
        caveats.openings(comparison),
        caveats.duplicates(comparison),
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
    estimate = pair.decision.estimate
    numbers = (
        f"{100 * abs(estimate.difference):.2f} percentage points "
        f"(adjusted {p_value(pair.decision.adjusted_p)})"
    )
    if pair.word in ("equivalent", "undecided"):
        return (
            f"Custom or pretrained: {pair.word}, {pair.first.name} and {pair.second.name} differ "
            f"by {numbers}."
        )
    winner = pair.first if pair.word == "better" else pair.second
    return f"Custom or pretrained: {winner.name}, by {numbers}."


def _chosen(comparison: Comparison) -> str:
    chosen, images = comparison.chosen, len(comparison.test_set.labels)
    target = comparison.target
    text = (
        f"Chosen by {comparison.chosen_by}: {chosen.name}. Its accuracy on the {images:,} "
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


def _differences(comparison: Comparison) -> list[str]:
    """Compare the chosen model with the others: one sentence for each of the four verdicts."""
    rivals, margin = comparison.rivals, percentage_points(comparison.margin)
    better, worse = with_word(rivals, "better"), with_word(rivals, "worse")
    equivalent, undecided = with_word(rivals, "equivalent"), with_word(rivals, "undecided")
    sentences = []
    if better:
        sentences.append(f"It is better than {_with_numbers(better)}.")
    if worse:
        sentences.append(
            f"On the test set, {_with_numbers(worse, reverse=True)} did better; choosing a model "
            "for that reason would be model selection on the test set, so confirm the difference "
            "on new images."
        )
    if equivalent:
        sentences.append(
            f"It is equivalent to {_with_numbers(equivalent)}: the true difference is shown to be "
            f"below the margin of {margin}."
        )
    if undecided:
        needs = named([would_decide(pair) for pair in undecided])
        several = len(undecided) > 1
        decides = f"they would be decided by {needs}, in this order"
        sentences.append(
            f"It is undecided against {_with_numbers(undecided)}, which may be better, worse or "
            f"equivalent within {margin}; "
            + (f"{decides}." if several else f"it would be decided by {needs}.")
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
        estimate, word = pair.decision.estimate, pair.word
        low, high = sorted(sign * bound for bound in estimate.interval)
        p = (
            pair.decision.adjusted_equivalence_p
            if word == "equivalent"
            else pair.decision.adjusted_p
        )
        texts.append(
            f"{pair.second.name} ({points(sign * estimate.difference)} percentage points, "
            f"95% CI {points_interval((low, high))}, adjusted {p_value(p)})"
        )
    return named(texts, len(pairs) - len(texts))


def _calibration(comparison: Comparison) -> str:
    chosen = comparison.chosen

    def gap(found: Reliability) -> str:
        difference = 100 * (found.confidence - chosen.winner.accuracy)
        return f"{abs(difference):.2f} percentage points {'below' if difference < 0 else 'above'}"

    return (
        f"Its probabilities are on average {gap(chosen.as_trained)} its accuracy, and "
        f"{gap(chosen.calibrated)} it at the temperature of {chosen.temperature:.2f} that was "
        "fitted on the validation images and that predictions use."
    )


def _costs(comparison: Comparison) -> str:
    chosen, device = comparison.chosen, comparison.facts["device"]
    latency = milliseconds(chosen.costs.latency_p50_ms)
    speed = (
        f" and a median latency of {latency} per image on {device}"
        if latency != NOT_STATED
        else "; its latency is not stated, as other processes used the machine"
    )
    text = (
        f"It has {count(chosen.parameters)} parameters{speed}. Training "
        f"{counted(chosen.tried, 'trial')} of its model family took "
        f"{duration(chosen.search_seconds)}"
    )
    return text + (f" and cost ${chosen.dollars:.2f}." if chosen.dollars is not None else ".")


def _cheaper(comparison: Comparison) -> str:
    """Name a notably faster model that is equivalent, or undecided with its expected regret."""
    chosen = comparison.chosen
    words: tuple[Word, ...] = "equivalent", "undecided"
    for word in words:
        faster = [
            pair
            for pair in with_word(comparison.rivals, word)
            if pair.second.costs.latency_p50_ms < FASTER * chosen.costs.latency_p50_ms
        ]
        if faster:
            break
    else:
        return ""
    pair = min(faster, key=lambda p: p.second.costs.latency_p50_ms)
    best = pair.second
    ratio = times(chosen.costs.latency_p50_ms / best.costs.latency_p50_ms)
    text = (
        f"If inference cost matters, {best.name} is {ratio} times as fast, with "
        f"{count(best.parameters)} parameters"
    )
    if word == "equivalent":
        return f"{text}, and equivalent."
    return (
        f"{text}; whether it is worse is undecided, and the expected regret of using it instead, "
        f"E[max(0, loss of accuracy)], is {100 * pair.decision.estimate.regret:.2f} percentage "
        "points."
    )


def _seeds(comparison: Comparison) -> str:
    chosen = comparison.chosen
    if chosen.spread is None:
        return ""
    text = (
        f"Over {len(chosen.seeds)} runs with different random seeds its mean test accuracy is "
        f"{percent(chosen.spread.mean)} (95% CI {percent_interval(chosen.spread.interval)}, "
        f"standard deviation {100 * chosen.spread.deviation:.2f} percentage points)"
    )
    ours = chosen.seed_accuracies
    wins = [
        f"{contestant.name} in {probability_better(ours, contestant.seed_accuracies)[0]:.0%}"
        for contestant in comparison.contestants[1 : 1 + MOST_NAMED]
        if min(len(ours), len(contestant.seeds)) >= CHANCE_SEEDS
    ]
    return (
        f"{text}; on these test images it scores higher than {listed(wins)} of the pairs of runs."
        if wins
        else f"{text}."
    )
