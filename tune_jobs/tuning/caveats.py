"""What the results of a run leave open, said in one place when it has ended."""

from __future__ import annotations

from trainables.config import TrialConfig
from trainables.target import ACCURACY
from tune_jobs.analysis.formatting import class_counts, first_of, percent, percent_interval
from tune_jobs.analysis.training_checks import at_chance, edge_of, still_rising, wilson
from tune_jobs.run_folder.records import TrialRow
from tune_jobs.run_folder.schema import has_scores, is_soup
from tune_jobs.run_folder.settings import settings_of
from tune_jobs.tuning.next_commands import resume_command
from tune_jobs.tuning.strategy import Run

NAMED = 3
"""Number of trials that a sentence names."""


def caveats(run: Run, name: str, rows: list[TrialRow]) -> list[str]:
    """Return sentences on what the best trial may owe to the grid, the budget or chance.

    Args:
        run: a run that has ended.
        name: name of its best trial, or of its best setting.
        rows: the row of that trial, or those of the setting, one per random seed.
    """
    if run.options.run.smoke_test:
        return ["A smoke test: that everything works is all that its scores show"]
    config = run.recorder.configs[rows[0]["trial"]]
    notes = [edge_of_grid(run, config), last_epoch(run, name, rows, config), chance(run)]
    if len(rows) == 1:
        notes.append(ties(run, rows[0]))
    return [note for note in notes if note]


def edge_of_grid(run: Run, best: TrialConfig) -> str:
    """Say that the best learning rate, or penalty, is the lowest or highest of a grid."""
    searched = getattr(run.options, "search", "grid") != "grid"
    edge = None if searched else edge_of(vars(run.options), best)
    if edge is None:
        return ""
    text = (
        f"{edge.value:g} is the {edge.which} {edge.setting} of the grid, so that a {edge.beyond} "
        "one may be better"
    )
    if run.options.extended_by:
        return f"{text}:\n{resume_command(run, '--extend', edge.option, edge.step)}"
    return f"{text}: try {edge.option} {edge.step}"


def last_epoch(run: Run, name: str, rows: list[TrialRow], config: TrialConfig) -> str:
    """Say that trials were best in their last epoch, at a learning rate that did not decrease."""
    if not all(still_rising(config, row.get("best/epoch")) for row in rows):
        return ""
    more = 2 * config.epochs
    return (
        f"{name} was best in the last of {config.epochs} epochs, so that longer training may be "
        f"better: try --epochs {more} --name {run.folder.name}-{more}-epochs, as a run that has "
        "ended keeps its own"
    )


def chance(run: Run) -> str:
    """Name the settings that are not better than always answering the most frequent class."""
    if run.target != ACCURACY:
        return ""
    counts = class_counts(run.data.val_labels, run.data.classes)
    images, most = sum(counts), max(counts, default=0)
    low = [
        setting.name
        for setting in settings_of(run.recorder.rows.values(), run.recorder.configs, run.target)
        if setting.scores and all(at_chance(score, counts) for score in setting.scores)
    ]
    if not low:
        return ""
    answer = run.data.classes[counts.index(most)]
    return (
        f"{first_of(low, NAMED)} {'is' if len(low) == 1 else 'are'} not better than always "
        f"answering {answer!r} ({percent(most / images)})"
    )


def ties(run: Run, best: TrialRow) -> str:
    """Name the trials whose accuracy is within the interval of the best one's."""
    if run.target != ACCURACY:
        return ""
    images = len(run.data.val_labels)
    interval = wilson(round(best["best/val_accuracy"] * images), images)
    accuracies = {
        name: row["best/val_accuracy"]
        for name, row in run.recorder.rows.items()
        if row is not best and has_scores(row) and not is_soup(row)
    }
    tied = [
        name
        for name in sorted(accuracies, key=lambda name: -accuracies[name])
        if accuracies[name] >= interval[0]
    ]
    if not tied:
        return ""
    return (
        f"{images:,} validation images do not tell {first_of(tied, NAMED)} from {best['trial']}, "
        f"whose accuracy has the 95% interval {percent_interval(interval)}"
    )
