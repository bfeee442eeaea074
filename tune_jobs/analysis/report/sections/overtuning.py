"""Overtuning: the effort that each model family was tuned with, and the optimism it brought."""

from __future__ import annotations

from trainables.target import ACCURACY
from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.overtuning import Selection, selections
from tune_jobs.analysis.formatting import counted, duration, listed, percent, points
from tune_jobs.analysis.report.blocks import Block, Section, Table, Text, method
from tune_jobs.run_folder.schema import is_soup


def section(comparison: Comparison) -> Section:
    """Return the section: the efforts side by side, and what the winners owe to the choice."""
    found = selections(comparison)
    blocks: list[Block] = [
        Text(
            "The validation score of a winner is the best of many, and the more trials there were, "
            "the more it promises too much. The test score has no such optimism: no trial was "
            "chosen by it. But of two equal model families, the one that was tried more often is "
            "chosen more often, so compare the efforts."
        ),
        Table(
            ("model", "trials", "epochs of all trials", "training time of all trials",
             comparison.chosen_label, "test accuracy"),
            [effort_row(comparison, each) for each in found],
            strong=0,
        ),
    ]  # fmt: skip
    if comparison.target != ACCURACY:
        blocks.append(
            Text(
                "The optimism of the winners is estimated for runs that were selected by accuracy "
                f"only; these were selected by {comparison.target.label}."
            )
        )
        return Section("Overtuning check", blocks)
    known = [each for each in found if each.tuned]
    if known:
        blocks += [
            Text(
                "What the winner of each family owes to the choice among its trials, estimated on "
                "resamples of the validation images. If the untuned trial is at least as good in "
                "half of them, tuning has not been shown to help. pp: percentage points."
            ),
            Table(
                ("model", f"best {comparison.training_label}", "optimism (pp)",
                 "corrected", "untuned trial", "its validation accuracy",
                 "resamples in which it is as good"),
                [tuned_row(each) for each in known],
                left=frozenset({0, 4}),
                strong=0 if found[0].tuned else None,
            ),
            method(
                "The optimism is estimated by repeating the choice on 1,000 bootstrap resamples of "
                "the validation images: the corrected score is the mean of the chosen trials on "
                "the images that were not drawn (Tsamardinos et al. 2018). The untuned trial is "
                "the first of a search, which has the settings of the recipe, or the middle of a "
                "grid of three or more (overtuning: Schneider, Bischl & Feurer 2025). "
                "In simulations the mean of the estimates was 0.4 points above the true optimism "
                "or less, and at most 0.1 below it; a single one has a standard deviation of up to "
                "0.5 points."
            ),
        ]  # fmt: skip
    blocks += [Text(each) for each in (unknown_sentence(found), soup_sentence(found)) if each]
    return Section("Overtuning check", blocks)


def effort_row(comparison: Comparison, selection: Selection) -> tuple[str, ...]:
    """Return the row of a model family in the table of efforts."""
    contestant, target = selection.contestant, comparison.target
    winner = contestant.winner
    return (
        contestant.name,
        f"{contestant.tried:,}",
        f"{selection.epochs:,}",
        duration(contestant.search_seconds),
        target.show(winner.candidate.row[target.best]),
        percent(winner.accuracy),
    )


def tuned_row(selection: Selection) -> tuple[str, ...]:
    """Return the row of a model family in the table of optimism."""
    tuned = selection.tuned
    assert tuned is not None  # as filtered by the caller
    return (
        selection.contestant.name,
        percent(tuned.chosen),
        points(tuned.optimism),
        percent(tuned.corrected),
        *(
            (selection.default, percent(selection.default_accuracy), f"{tuned.default_as_good:.0%}")
            if selection.default
            else ("–", "–", "–")
        ),
    )


def unknown_sentence(found: list[Selection]) -> str:
    """Say which trials are left out, as they keep no record of the images that they get right."""
    names = [
        f"{counted(each.unknown, 'trial')} of {each.contestant.short_name}"
        for each in found
        if each.unknown
    ]
    if not names:
        return ""
    return (
        f"Not in the estimate: {listed(names)}, which keep no record of the validation images that "
        "they classify correctly, as an earlier version trained them."
    )


def soup_sentence(found: list[Selection]) -> str:
    """Say that the estimate does not cover winners that are averages of several trials."""
    names = [
        each.contestant.short_name
        for each in found
        if is_soup(each.contestant.winner.candidate.row)
    ]
    if not names:
        return ""
    return (
        f"The winner of {listed(names)} is a soup. The estimate is that of its trials without the "
        "soup: its members were chosen on the same validation images, which a resample cannot "
        "repeat without averaging weights anew, so that its own optimism is unknown. Its test "
        "accuracy has none."
    )
