"""Training of the trials of each run."""

from __future__ import annotations

from collections.abc import Sequence

from tune_jobs.analysis.comparison.candidates import LoadedRun
from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.student_report import published
from tune_jobs.analysis.curves import Curve, CurvesInfo, curves_info, plot_curves
from tune_jobs.analysis.formatting import counted, duration, percent
from tune_jobs.analysis.report.blocks import Block, Picture, Section, Table, Text
from tune_jobs.run_folder.constraints import may_be_chosen
from tune_jobs.run_folder.schema import config_of, has_scores, is_soup, merit

MOST_CURVES, MOST_ROWS = 12, 20
"""Maximum number of trials of a run in the figure and in the table."""
PANEL_WIDTH = 2.7
"""Width of a panel of the figure in inches: two fit a phone."""


def section(comparison: Comparison) -> Section:
    """Return the section: curves and a table per run."""
    blocks: list[Block] = []
    for i, run in enumerate(comparison.runs):
        blocks += run_blocks(run, comparison, f"curves-{i + 1}")
    return Section("Training", blocks)


def run_blocks(run: LoadedRun, comparison: Comparison, picture: str) -> list[Block]:
    """Return a summary of a run, its loss curves in a figure named `picture`, and its trials."""
    target = run.target
    trained = [row for row in run.rows if has_scores(row)]
    trained.sort(key=lambda row: (may_be_chosen(row), *merit(row, target)), reverse=True)
    constraints = run.record.get("search", {}).get("constraints", [])
    statuses = run.trials["status"].value_counts()
    summary = ", ".join(f"{n} {status}" for status, n in statuses.items())
    algorithm = run.record.get("search", {}).get("algorithm", "grid")
    trials = counted(len(run.rows), "trial")
    text = f"Run {run.name} (job {run.record['job']}, algorithm {algorithm}): {trials}, {summary}."
    if len(trained) > MOST_ROWS:
        text += f" The table lists the best {MOST_ROWS} by validation {target.label}."
    if constraints:
        text += f" Only trials with {' and '.join(constraints)} could be chosen."
    for row in run.rows:
        if is_soup(row):
            text += f" {row['trial']} is a soup: the average of the weights of {row['members']}."
    scored = {(s.candidate.run.name, s.candidate.trial): s for s in comparison.scored}
    rows = [
        (
            row["trial"],
            str(row["epochs"]),
            "" if is_soup(row) else f"{row['last/train_loss']:.4f}",
            f"{row['last/val_loss']:.4f}",
            target.show(row[target.best])
            + (" (soup)" if is_soup(row) else f" ({row['best/epoch']:.0f})"),
            percent(s.accuracy) if (s := scored.get((run.name, row["trial"]))) else "sealed",
            duration(row["seconds"]),
            row["status"],
            *(["yes" if may_be_chosen(row) else "no"] if constraints else []),
        )
        for row in trained[:MOST_ROWS]
    ]
    of_many = f" of the best {MOST_CURVES} trials" if len(trained) > MOST_CURVES else ""
    curves = [row["trial"] for row in trained if not is_soup(row)]
    classes = comparison.test_set.classes if comparison.student_report else ()
    info = run_curves(run, curves, classes)
    header = ("trial", "epochs", "final training loss", "final validation loss",
              f"best {comparison.training_label} (epoch)", "test accuracy", "training time",
              "status", *(["feasible"] if constraints else []))  # fmt: skip
    ends = [f"{row[0]}: {row[2]} and {row[3]}" for row in rows[:MOST_CURVES] if row[2]]
    blocks: list[Block] = [Text(text)]
    if any(row["epochs"] > 1 for row in trained):  # a curve of one epoch is a dot
        blocks.append(
            Picture(
                picture,
                plot_curves(info, 2, PANEL_WIDTH),
                f"Training and validation loss by epoch of the trials of {run.name}. Final losses: "
                + "; ".join(ends),
                f"Training and validation loss by epoch{of_many}, on one scale.",
            )
        )
    return [*blocks, Table(header, rows, left=frozenset({0, 7, 8}), strong=0)]


def run_curves(run: LoadedRun, trials: Sequence[str], classes: Sequence[str]) -> CurvesInfo:
    """Return the loss curves of a run's best trials, with the published curves if there are any.

    Args:
        run: the run.
        trials: names of its trials, best first; the first MOST_CURVES are drawn, in the order of
            the run.
        classes: class names of the dataset.
    """
    drawn = set(trials[:MOST_CURVES])
    info = curves_info(run.epochs[run.epochs["trial"].isin(drawn)])
    rows = {row["trial"]: row for row in run.rows}
    panels = {}
    for trial, curves in info.panels.items():
        known = published(config_of(rows[trial]), classes)
        if known is not None:
            epochs = list(range(1, len(known.train_losses) + 1))
            curves += (
                Curve("student report, training", epochs, list(known.train_losses)),
                Curve("student report, validation", epochs, list(known.val_losses)),
            )
        panels[trial] = curves
    return CurvesInfo(panels)
