"""What makes a comparison less trustworthy than its intervals say, each with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainables.models.native_size import size_missed
from trainables.target import ACCURACY
from tune_jobs.analysis.comparison.candidates import Candidate
from tune_jobs.analysis.comparison.comparison import Comparison, Contestant
from tune_jobs.analysis.comparison.needed import named, with_word
from tune_jobs.analysis.formatting import (
    capitalised,
    class_counts,
    counted,
    moment,
    percent,
)
from tune_jobs.analysis.training_checks import at_chance, edge_of, still_rising, wilson
from tune_jobs.run_folder.schema import is_soup

FEWER = 2
"""Factor by which a model is trained with less effort, from which on that is unequal."""
SHORT = 3
"""Epochs after which a network may improve, whatever its learning-rate schedule."""


@dataclass(frozen=True)
class Caveat:
    """A reason to be careful."""

    title: str
    """What is the matter, in a few words."""
    text: str
    """For which models, and what to do."""


def warnings(comparison: Comparison) -> list[Caveat]:
    """Return what to be careful about, the most serious first."""
    found = [caveat for check in CHECKS if (caveat := check(comparison)) is not None]
    return [Caveat(caveat.title, capitalised(caveat.text)) for caveat in found]


def better_on_test(comparison: Comparison) -> Caveat | None:
    """Warn of choosing a model because it did better on the test set."""
    better = [pair.second.short_name for pair in with_word(comparison.rivals, "worse")]
    if not better:
        return None
    return Caveat(
        "Better on the test set",
        f"{named(better)} did better than the chosen {comparison.chosen.short_name}. Choosing a "
        "model for that reason would be model selection on the test set: confirm the difference "
        "on new images.",
    )


def unfair_sizes(comparison: Comparison) -> Caveat | None:
    """Warn of pretrained networks that got much smaller images than their weights know."""
    missed = missed_sizes(comparison)
    if not missed:
        return None
    sizes = [
        f"{c.short_name} ({c.winner.candidate.network_size} pixels; its weights know {native})"
        for c, native in missed
    ]
    return Caveat(
        "Images too small",
        f"This is not a fair test of {named(sizes)}: fine-tune with --image-size native.",
    )


def missed_sizes(comparison: Comparison) -> list[tuple[Contestant, int]]:
    """Return the contestants with less than half of the size of their weights, and that size."""
    candidates = [(each, each.winner.candidate) for each in comparison.contestants]
    sizes = [(each, size_missed(c.config, c.network_size)) for each, c in candidates]
    return [(each, native) for each, native in sizes if native is not None]


def unequal_effort(comparison: Comparison) -> Caveat | None:
    """Warn of models that were tried or trained less than the chosen one, and still improving."""
    chosen, less = comparison.chosen, with_less_effort(comparison)
    if not less:
        return None
    names = [f"{each.short_name} ({effort(each)})" for each in less]
    twice = max(2 * (epochs_of(each.winner.candidate) or 0) for each in less)
    epochs = max(twice, epochs_of(chosen.winner.candidate) or 0)
    return Caveat(
        "Unequal effort",
        f"{chosen.short_name} had {effort(chosen)}; {named(names)} had less, and still improved in "
        f"the last epoch. Train with --epochs {epochs} and as many trials before you "
        f"conclude that {'it is' if len(less) == 1 else 'they are'} worse.",
    )


def with_less_effort(comparison: Comparison) -> list[Contestant]:
    """Return the contestants with half of the chosen one's trials or epochs that still improved.

    Where the chosen one is a linear probe, which has no epochs, only trials count.
    """
    chosen = comparison.chosen
    epochs = epochs_of(chosen.winner.candidate)

    def less(each: Contestant) -> bool:
        own = epochs_of(each.winner.candidate)
        shorter = own is not None and epochs is not None and FEWER * own <= epochs
        return shorter or FEWER * each.tried <= chosen.tried

    return [
        each for each in comparison.contestants[1:] if less(each) and rising(each.winner.candidate)
    ]


def effort(contestant: Contestant) -> str:
    """Return the trials of a family and the epochs of its winner: 13 trials, 20 epochs."""
    trials, epochs = counted(contestant.tried, "trial"), epochs_of(contestant.winner.candidate)
    return f"{trials}, head only" if epochs is None else f"{trials}, {counted(epochs, 'epoch')}"


def epochs_of(candidate: Candidate) -> int | None:
    """Return the epochs that a model was trained for; for a soup, those of its best member.

    None for a linear probe, whose head is fitted without epochs.
    """
    if candidate.config.mode == "probe":
        return None
    return candidate.config.epochs if is_soup(candidate.row) else int(candidate.row["epochs"])


def rising(candidate: Candidate) -> bool:
    """Return whether a trial had its best epoch last, at a constant learning rate."""
    if is_soup(candidate.row) or epochs_of(candidate) is None:
        return False
    return still_rising(candidate.config, candidate.row["best/epoch"])


def short_training(comparison: Comparison) -> Caveat | None:
    """Warn of other models that were best in their last epoch, or had a few epochs in all."""
    told = with_less_effort(comparison)
    found = {
        c.short_name: epochs
        for c in comparison.contestants
        if (epochs := epochs_of(c.winner.candidate)) is not None
        and (rising(c.winner.candidate) or epochs <= SHORT)
        and all(c is not each for each in told)
    }
    if not found:
        return None
    named_epochs = named([f"{name} ({counted(n, 'epoch')})" for name, n in found.items()])
    return Caveat(
        "Training may be too short",
        f"Longer training may improve {named_epochs}: try --epochs {2 * max(found.values())}.",
    )


def chance(comparison: Comparison) -> Caveat | None:
    """Warn of models that are not better than one answer for all images."""
    low = [each.short_name for each in no_better_than_chance(comparison)]
    if not low:
        return None
    test = comparison.test_set
    counts = class_counts(test.labels, test.classes)
    most = max(counts)
    return Caveat(
        "At chance level",
        f"{named(low)} {'is' if len(low) == 1 else 'are'} not better than always answering "
        f"{test.classes[counts.index(most)]!r} ({percent(most / sum(counts))}), and so no evidence "
        "about this kind of model: try lower learning rates, or check its input normalisation.",
    )


def no_better_than_chance(comparison: Comparison) -> list[Contestant]:
    """Return the contestants that are not better than one answer for all images."""
    if comparison.target != ACCURACY:  # weights of classes may cost accuracy on purpose
        return []
    counts = class_counts(comparison.test_set.labels, comparison.test_set.classes)
    return [each for each in comparison.contestants if at_chance(each.winner.accuracy, counts)]


def edges(comparison: Comparison) -> Caveat | None:
    """Warn of best learning rates and penalties at the edge of a grid.

    Among settings that are all at chance level, which is the best says nothing.
    """
    found, low = [], no_better_than_chance(comparison)
    for contestant in comparison.contestants:
        candidate = contestant.winner.candidate
        record = candidate.run.record
        grid = record.get("search", {}).get("algorithm") == "grid"
        edge = edge_of(record.get("options", {}), candidate.config) if grid else None
        if edge is not None and contestant not in low:
            found.append(
                f"{edge.value:g}, the {edge.which} {edge.setting}, for {contestant.short_name} "
                f"(try {edge.option} {edge.step})"
            )
    if not found:
        return None
    return Caveat(
        "Best setting at the edge of the grid", f"{named(found)}: the best may lie beyond."
    )


def ties(comparison: Comparison) -> Caveat | None:
    """Warn of models that the validation images do not tell from the chosen one."""
    chosen, images = comparison.chosen, comparison.runs[0].record["split"]["validation"]
    if comparison.target != ACCURACY or chosen.spread is not None:
        return None
    best = chosen.winner.candidate.row[ACCURACY.best]
    low, _ = wilson(round(best * images), images)
    rivals = [
        pair.second
        for pair in comparison.rivals
        if pair.word != "better" and pair.second.winner.candidate.row[ACCURACY.best] >= low
    ]
    tied = [
        f"{each.short_name} ({percent(each.winner.candidate.row[ACCURACY.best])})"
        for each in rivals
    ]
    if not tied:
        return None
    remedy = "choose by the mean of several seeds, with --seeds 5"
    if all(each.winner.candidate.config.mode == "probe" for each in (chosen, *rivals)):
        remedy = "shortlist ranks such networks by other splits, as their heads have no other seeds"
    return Caveat(
        "Tie on validation",
        f"{images:,} validation images do not tell {named(tied)} from {chosen.short_name} "
        f"({percent(best)}), so that the choice may be chance: {remedy}.",
    )


def openings(comparison: Comparison) -> Caveat | None:
    """Warn of models that these test images have scored before."""
    *before, _ = comparison.openings
    models = models_scored(before)
    if not models:
        return None
    last = before[-1]
    runs = sorted({str(model.get("run", "")).rpartition("/")[2] for model in last["models"]})
    return Caveat(
        "Test images used before",
        f"These test images had scored {counted(models, 'model')} before, the last time on "
        f"{moment(last['when'])} UTC those of {named(runs)}, so choices made after "
        f"that may be overfitted to them; the intervals of accuracies hold for all "
        f"{counted(comparison.chosen.winner.models, 'model')} together. Only new images are free "
        "of that.",
    )


def models_scored(openings: Iterable[Mapping[str, Any]]) -> int:
    """Return the number of different models in ledger entries; scored twice, a model is one.

    It is known by its weights; entries of format 1 lack them, and have its run and trial.
    """
    return len(
        {
            model.get("weights") or (model.get("run"), model.get("trial"))
            for entry in openings
            for model in entry["models"]
        }
    )


def duplicates(comparison: Comparison) -> Caveat | None:
    """Warn of test images that models have learnt from."""
    copies = comparison.test_set.duplicates
    if not copies:
        return None
    return Caveat(
        "Copies in the test set",
        f"{copies:,} of the test images show the same picture as a training or validation image, "
        "so every accuracy here may be too high: train with --duplicates drop.",
    )


def smoke_tests(comparison: Comparison) -> Caveat | None:
    """Warn of runs that were to show that everything works, and nothing else."""
    options = [(run.name, run.record.get("options", {}).get("run", {})) for run in comparison.runs]
    if not (names := [name for name, given in options if given.get("smoke_test")]):
        return None
    return Caveat(
        "Smoke test",
        f"{named(names)} trained two epochs on a few images (--smoke-test): nothing here says "
        "which model is better. That the test images were used is recorded nevertheless.",
    )


def constant(comparison: Comparison) -> Caveat | None:
    """Warn if one class has most of the images."""
    if not (answer := comparison.constant_answer):
        return None
    return Caveat("Unequal classes", f"Compare accuracies with a constant answer: {answer}.")


CHECKS: Sequence[Callable[[Comparison], Caveat | None]] = (
    smoke_tests, better_on_test, unfair_sizes, unequal_effort, chance, ties, edges, short_training,
    openings, duplicates, constant,
)  # fmt: skip
"""Checks of a comparison, the most serious first."""
