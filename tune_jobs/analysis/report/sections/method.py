"""Method: the runs, the images, the openings of the test set, and how to reproduce it all."""

from __future__ import annotations

from typing import Any

from tune_jobs.analysis.comparison.caveats import models_scored
from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.formatting import first_of, listed, moment
from tune_jobs.analysis.report.blocks import Fold, Section, Table, Text

MOST_NAMED = 8
"""Maximum number of trials that a sentence names."""


def _named(trials: list[str]) -> str:
    """Return the first names of a list in parentheses, or nothing for an empty list."""
    return f" ({first_of(trials, MOST_NAMED)})" if trials else ""


def _left_out(dataset: dict[str, Any]) -> list[str]:
    """Return sentences on what was left out of the dataset; runs of version 0.1 have none."""
    sentences = list(dataset.get("notes", []))
    if ignored := dataset.get("ignored"):
        kinds = listed([f"{count:,} {kind}" for kind, count in ignored.items()])
        sentences.append(f"Files that were left out: {kinds}.")
    if skipped := dataset.get("skipped"):
        sentences.append(f"Damaged images that were left out: {len(skipped):,}{_named(skipped)}.")
    if dropped := dataset.get("copies", {}).get("dropped"):
        sentences.append(f"Copies of other images that were left out: {dropped:,}.")
    return sentences


def section(comparison: Comparison) -> Section:
    """Return the section: images, ledger of openings, runs, and facts of this comparison."""
    record, test = comparison.runs[0].record, comparison.test_set
    split, times = record["split"], len(comparison.openings)
    models, together = models_scored(comparison.openings), comparison.chosen.winner.models
    opened = (
        "once, for this comparison" if times == 1 else f"{times} times, including this comparison"
    )
    if together > 1:
        opened += (
            f", and {models:,} different models have been scored on them: the intervals of "
            "accuracies are widened (Bonferroni) so that they hold for all of these models at "
            "once, whichever is picked for its test score"
        )
    runs = [
        (run.name, run.record["job"], moment(run.record["started"]), run.record["command"],
         (run.record.get("commit") or "unknown")[:12])
        for run in comparison.runs
    ]  # fmt: skip
    openings = [
        (
            moment(entry["when"]),
            f"{len(entry['models']):,}",
            f"{entry.get('shared', entry['images']):,}",
            entry["command"],
        )
        for entry in comparison.openings
    ]
    unfinished = [
        f"Run {run.name} was not finished when it was compared; unfinished trials: "
        f"{len(run.unfinished)}{_named(run.unfinished)}."
        for run in comparison.runs
        if run.unfinished or run.record["status"] != "finished"
    ]
    leak = (
        f"{test.duplicates:,} of the test images show the same picture as a training or validation "
        "image."
        if test.duplicates
        else "No test image is a copy of a training or validation image."
    )
    return Section(
        "Method",
        [
            Text(
                f"{comparison.dataset}: {split['train']:,} training images, "
                f"{split['validation']:,} validation images (for model selection) and "
                f"{split['test']:,} sealed test images. Fingerprint of the images: "
                f"{test.source_fingerprint}; of the split: {test.split_fingerprint}. {leak}"
            ),
            *map(Text, _left_out(record["dataset"])),
            Text(
                f"The test images have been opened {opened}, according to the ledgers beside the "
                "runs and in the user's cache. Openings of other datasets and splits count where "
                "they share test images."
            ),
            Table(("opened (UTC)", "models", "of these images", "command"), openings,
                  left=frozenset({0, 3})),
            *map(Text, unfinished),
            Table(("run", "job", "started (UTC)", "command", "commit"), runs,
                  left=frozenset(range(5))),
            Fold(
                "How to reproduce this comparison",
                [Table(("item", "value"), list(comparison.facts.items()), left=frozenset({0, 1}))],
            ),
        ],
    )  # fmt: skip
