"""Published results of the student report, beside ours."""

from __future__ import annotations

from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.scored import Scored
from tune_jobs.analysis.comparison.student_report import (
    LAYERS,
    STATED_TOTAL,
    Published,
    published,
)
from tune_jobs.analysis.formatting import percent, points, signed
from tune_jobs.analysis.report.blocks import Block, Section, Table, Text
from tune_jobs.run_folder.schema import config_of

ABOUT = (
    "bakeoff grew from a student report (EN3150 Assignment 03, University of Moratuwa, 2023). It "
    "trained a custom CNN at five learning rates and three pretrained networks on CIFAR-10: "
    "https://github.com/Pattern-Recog/Simple-convolutional-neural-network-to-perform-classification"
)


def section(comparison: Comparison) -> Section | None:
    """Return the section, or None if the student report was not asked for."""
    if not comparison.student_report:
        return None
    classes, scored = comparison.test_set.classes, comparison.scored
    tests = {(s.candidate.run.name, s.candidate.trial): s for s in scored}
    rows = [
        line
        for run in comparison.runs
        for row in run.rows
        if row["epochs"] and (known := published(config_of(row), classes)) is not None
        for line in beside(row, known, tests.get((run.name, row["trial"])), run.name)
    ]
    blocks: list[Block] = [Text(ABOUT)]
    if rows:
        blocks += [
            Text(
                "Our results beside the published ones. The report trained the custom CNN for 20 "
                "epochs and the "
                "pretrained networks for 10 epochs on 30,000 images, and tested on 10,000 images "
                "held out from the training set of CIFAR-10; runs with another recipe or split "
                "differ for that reason too. At a learning rate of 2.5e-4 its notebook shows "
                "70.78%, but the report states 74.14%. pp: percentage points."
            ),
            Table(("run", "trial", "metric", "ours", "student report", "difference"), rows,
                  left=frozenset({0, 1, 2})),
        ]  # fmt: skip
    for contestant in comparison.contestants:
        if contestant.layers.keys() == LAYERS.keys():
            counts = [
                (name, f"{n:,}", f"{LAYERS[name]:,}", signed(n - LAYERS[name]))
                for name, n in contestant.layers.items()
            ]
            total = sum(LAYERS.values())
            counts.append(
                ("total", f"{contestant.parameters:,}", f"{total:,} (stated: {STATED_TOTAL:,})",
                 signed(contestant.parameters - total))
            )  # fmt: skip
            header = (f"layer of {contestant.name}", "parameters", "student report", "difference")
            blocks.append(Table(header, counts))
    return Section("The student report, reproduced", blocks)


def beside(
    row: dict[str, object], known: Published, test: Scored | None, run: str
) -> list[tuple[str, ...]]:
    """Return the table rows of a trial: run, trial, metric, ours, published and difference."""
    lines: list[tuple[str, ...]] = []
    for name, ours, theirs in (
        ("final training loss", row["last/train_loss"], known.train_losses[-1]),
        ("final validation loss", row["last/val_loss"], known.val_losses[-1]),
    ):
        assert isinstance(ours, float)
        difference = signed(ours - theirs, ".4f")
        lines.append((run, str(row["trial"]), name, f"{ours:.4f}", f"{theirs:.4f}", difference))
    if test is None:
        sealed = "sealed; --every-trial scores it"
        return [*lines, (run, str(row["trial"]), "test accuracy", sealed, percent(known.accuracy),
                         "")]  # fmt: skip
    for name, measured, reported in (
        ("test accuracy", test.accuracy, known.accuracy),
        ("weighted precision", test.scores.precision, known.precision),
        ("weighted recall", test.scores.recall, known.recall),
    ):
        if reported is not None:
            shown = points(measured - reported) + " pp"
            lines.append(
                (run, str(row["trial"]), name, percent(measured), percent(reported), shown)
            )
    return lines
