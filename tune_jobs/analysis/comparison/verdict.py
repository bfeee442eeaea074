"""Headline and summary of a comparison: which model, by how much, how certain."""

from __future__ import annotations

from tune_jobs.analysis.comparison.caveats import missed_sizes
from tune_jobs.analysis.comparison.comparison import Comparison, Pair
from tune_jobs.analysis.comparison.equivalence import Word
from tune_jobs.analysis.comparison.needed import named, one_training, with_word, would_decide
from tune_jobs.analysis.formatting import capitalised, count, percentage_points, times

FASTER = 0.8
"""Latency relative to the chosen model below which a model is mentioned as faster."""


def headline(comparison: Comparison) -> str:
    """Return the answer to "our own CNN or a pretrained network?" in one line."""
    chosen, rivals = comparison.chosen, comparison.rivals
    if not rivals:
        return f"{capitalised(chosen.short_name)} was the only model family compared"
    if better := with_word(rivals, "worse"):
        text = (
            f"{capitalised(chosen.short_name)} was chosen by {comparison.chosen_by}, but "
            f"{better[0].second.short_name} is better on the test set"
        )
    else:
        pair = comparison.other_kind or rivals[0]
        text = f"Use the {chosen.short_name}: {against(pair)} {pair.second.short_name}"
    unfair = [contestant.short_name for contestant, _ in missed_sizes(comparison)]
    if unfair:
        which = "which" if text.endswith(f" {unfair[0]}") and len(unfair) == 1 else named(unfair)
        but = "" if which == "which" else "but "
        text += f", {but}{which} got images too small for a fair test"
    return text + scope(comparison)


def against(pair: Pair) -> str:
    """Return how the first model is to the second, to stand before the name of the second."""
    difference = f"{100 * pair.decision.estimate.difference:.2f} percentage points"
    words: dict[Word, str] = {
        "better": f"{difference} better than",
        "worse": "worse than",
        "equivalent": f"equivalent within {percentage_points(pair.decision.margin)} to",
        "undecided": "undecided against",
    }
    return words[pair.word]


def scope(comparison: Comparison) -> str:
    """Return what the headline is about, if that is trained models and not model families."""
    trained = comparison.trained_only
    if not trained:
        return ""
    if len(trained) == len(comparison.rivals):
        return " (one training of each)"
    return f" (one training of {named([pair.second.short_name for pair in trained])})"


def summary(comparison: Comparison) -> list[str]:
    """Return the sentences below the headline: what it is about, and what else to know.

    They repeat nothing of the cards: the first says what would settle the model families, or over
    what the verdict holds; the second names a cheaper model, or what decides an undecided verdict.
    """
    sentences = [one_training(comparison) or over_seeds(comparison), missing_kind(comparison)]
    sentences.append(cheaper(comparison) or undecided(comparison))
    return [sentence for sentence in sentences if sentence]


def over_seeds(comparison: Comparison) -> str:
    """Say over what a verdict on model families holds."""
    pair = comparison.runner_up
    if pair is None or comparison.trained_only:
        return ""
    return (
        "The verdict is about the model families: it holds over other random seeds "
        f"({pair.decision.estimate.seeds} of each were trained) and other test images."
    )


def missing_kind(comparison: Comparison) -> str:
    """Say that "custom or pretrained?" has no answer, as one of both was not compared."""
    best = comparison.best_by_kind
    missing = [kind for kind in ("custom", "pretrained") if kind not in best]
    if not missing:
        return ""
    return f"Custom or pretrained: undecided, because no {missing[0]} model was compared."


def undecided(comparison: Comparison) -> str:
    """Say what would decide the undecided verdicts on the chosen model."""
    pairs = with_word(comparison.rivals, "undecided")
    if not pairs:
        return ""
    names = named([pair.second.short_name for pair in pairs])
    needs = named([would_decide(pair) for pair in pairs])
    order = ", in this order" if len(pairs) > 1 else ""
    # Fewer images decide on trained models than on their families, of which another sentence is.
    whom = "As trained, against" if comparison.trained_only else "Against"
    return (
        f"{whom} {names} it may be better, worse or equivalent within "
        f"{percentage_points(comparison.margin)}: {needs} would decide{order}."
    )


def cheaper(comparison: Comparison) -> str:
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
        f"If inference cost matters, {best.short_name} is {ratio} times as fast "
        f"({count(best.parameters)} parameters)"
    )
    if word == "equivalent":
        return f"{text} and equivalent."
    return (
        f"{text}; whether it is worse is undecided, with an expected regret of "
        f"{100 * pair.decision.estimate.regret:.2f} percentage points."
    )
