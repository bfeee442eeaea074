"""What was compared, on which images, how often these were looked at, and how to repeat it."""

from __future__ import annotations

from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.formatting import listed, moment
from tune_jobs.analysis.report.blocks import Fold, Section, Table, Text

MOST_NAMED = 8
"""Trials that a sentence names."""


def section(comparison: Comparison) -> Section:
    """Runs, images, the ledger of openings, and the facts of this comparison."""
    record, test = comparison.runs[0].record, comparison.test_set
    cut, times = record["split"], len(comparison.openings)
    opened = "once, for this comparison" if times == 1 else f"{times} times, this one included"
    runs = [
        (run.name, run.record["job"], moment(run.record["started"]), run.record["command"],
         (run.record.get("commit") or "unknown")[:12])
        for run in comparison.runs
    ]  # fmt: skip
    openings = [
        (
            moment(entry["when"]),
            f"{len(entry['models']):,}",
            f"{entry['images']:,}",
            entry["command"],
        )
        for entry in comparison.openings
    ]
    unfinished = [
        f"{run.name} was not finished when it was compared; {len(run.unfinished)} of its trials "
        f"were open{': ' if run.unfinished else ''}{listed(run.unfinished[:MOST_NAMED])}"
        f"{', …' if len(run.unfinished) > MOST_NAMED else ''}."
        for run in comparison.runs
        if run.unfinished or run.record["status"] != "finished"
    ]
    leak = (
        f"{test.duplicates:,} of the test images also stand in the training or validation part, "
        "byte by byte."
        if test.duplicates
        else "None of the test images stands in the training or validation part, byte by byte."
    )
    return Section(
        "How this was done",
        [
            Text(
                f"{comparison.dataset}: {cut['train']:,} images to train on, "
                f"{cut['validation']:,} to choose with, {cut['test']:,} sealed for the test. "
                f"Fingerprint of the images {test.source_fingerprint}, of the cut "
                f"{test.split_fingerprint}. {leak}"
            ),
            Text(f"The test images have been looked at {opened}, as the ledger beside the runs has "
                 "it."),
            Table(("when (UTC)", "models", "images", "command"), openings,
                  left=frozenset({0, 3})),
            *map(Text, unfinished),
            Table(("run", "job", "started (UTC)", "command", "commit"), runs,
                  left=frozenset(range(5))),
            Fold(
                "To repeat it",
                [Table(("what", "value"), list(comparison.facts.items()), left=frozenset({0, 1}))],
            ),
        ],
    )  # fmt: skip
