"""Summary on the terminal when a run has ended."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from trainables.errors import InputError
from trainables.status import TrialStatus
from trainables.target import ACCURACY, Target
from tune_jobs.analysis.formatting import class_counts, constant_answer, duration
from tune_jobs.command_line.options import RunOptions
from tune_jobs.command_line.terminal import plain_table, print_whole
from tune_jobs.run_folder.folder import RUN_FILE
from tune_jobs.run_folder.records import RunRecord, TrialRow
from tune_jobs.run_folder.schema import has_scores, is_soup, merit
from tune_jobs.tuning.best_model import best_row
from tune_jobs.tuning.strategy import Findings, Run

MOST_ROWS, FEW_ROWS = 20, 10
"""Up to 20 trials the table shows all; of more it shows the best 10."""


def print_summary(run: Run, record: RunRecord, findings: Findings) -> int:
    """Print the table of trials, the best trial, errors and the next commands.

    Args:
        run: the run.
        record: content of its run.json.
        findings: results of its strategy.

    Returns:
        The exit code: 0, 1 if no trial has a result, 130 if the run was interrupted.
    """

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    folder, recorder, console = run.folder, run.recorder, run.console
    rows, best, target = list(recorder.rows.values()), best_row(recorder), run.target
    say("")
    shown = rows
    if len(rows) > MOST_ROWS:
        scored = [row for row in rows if has_scores(row)]
        shown = sorted(
            scored,
            key=lambda row: (recorder.feasible(row) is not False, merit(row, target)[0]),
            reverse=True,
        )[:FEW_ROWS]
    feasible = {row["trial"]: recorder.feasible(row) for row in shown if recorder.constraints}
    if findings.table is not None:
        print_whole(console, findings.table, findings.droppable)
    else:
        console.print(trial_table(shown, best, target, feasible))
    if findings.table is None and len(shown) < len(rows):
        say(f"… the best {len(shown)} of {len(rows)} trials")
    say("")
    if best is not None:
        say(
            f"Best: [bold]{escape(best['trial'])}[/] with validation {_score(best, target)} "
            + (
                f"as the average of {escape(best['members'] or '')}"
                if is_soup(best)
                else f"after epoch {best['best/epoch']}"
            )
        )
        if note := constant_note(run):
            say(escape(note))
    for note in findings.notes:
        say(escape(note))
    for row in rows[:MOST_ROWS]:
        if row["status"] in (TrialStatus.FAILED, TrialStatus.DIVERGED):
            say(f"[red]{escape(row['trial'])} {row['status']}[/]: {escape(row['error'] or '')}")
        batch_size = recorder.configs[row["trial"]].batch_size
        if (row.get("micro_batch") or batch_size) < batch_size:
            say(
                f"{escape(row['trial'])}: batches of {batch_size} did not fit into memory and "
                f"were split into micro-batches of {row['micro_batch']:.0f}"
            )
    if note := patience_note(run):
        say(escape(note))
    say(f"Written to {escape(folder.uri)}")
    if record["status"] == "interrupted":
        say(f"\nInterrupted. To resume:\n  {resume_command(run)}")
        return 130
    if not findings.notes and any(row["status"] == TrialStatus.FAILED for row in rows):
        say(f"\nTo retry the failed trials:\n  {resume_command(run)}")
    read = f"from tune_jobs.analysis.results import *; print(load_trials({folder.uri!r}))"
    say(f'\nNext:\n  python -c "{escape(read)}"')
    for command in (shlex.join(["tensorboard", "--logdir", folder.uri]), *findings.commands):
        say(f"  {escape(command)}")
    return 0 if best is not None else 1


def _score(row: TrialRow, target: Target) -> str:
    """Return the metric of a trial, and its accuracy where that is another."""
    shown = (target, ACCURACY) if target != ACCURACY else (target,)
    return ", ".join(f"{each.label} {each.show(row[each.best])}" for each in shown)  # type: ignore[literal-required]


def constant_note(run: Run) -> str:
    """Return a sentence on the constant answer where one class has most validation images."""
    classes = run.data.classes
    answer = constant_answer(class_counts(run.data.val_labels, classes), classes)
    if not answer:
        return ""
    note = f"Compare accuracies with a constant answer: {answer} of the validation images."
    if run.target == ACCURACY:
        note += " --metric balanced_accuracy chooses by all classes alike."
    return note


def patience_note(run: Run) -> str:
    """Return a sentence on the trials that ended early because their patience ran out."""
    early = [
        config
        for name, config in run.recorder.configs.items()
        if run.recorder.rows[name]["status"] == TrialStatus.FINISHED
        and run.recorder.rows[name]["epochs"] < config.epochs
    ]
    if not early:
        return ""
    trials = "1 trial" if len(early) == 1 else f"{len(early)} trials"
    return (
        f"{trials} ended before epoch {early[0].epochs}, after {early[0].patience} without a "
        f"better {run.target.label} (--patience)"
    )


def trial_table(
    rows: list[TrialRow], best: TrialRow | None, target: Target, feasible: dict[str, bool | None]
) -> Table:
    """Return a table with a row per trial and the best trial highlighted.

    Args:
        rows: rows of the trials.
        best: row of the best trial; None if there is none.
        target: metric of the run.
        feasible: whether each trial satisfies the constraints; empty without constraints.
    """
    table = plain_table()
    table.add_column("trial", no_wrap=True)
    score = target.label
    for heading in ("epochs", "train loss", "val loss", score, "at epoch", "time", "images/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("status")
    if feasible:
        table.add_column("feasible")
    for row in rows:
        cells = [""] * 6
        if row["epochs"]:
            cells = [
                f"{row['last/train_loss']:.4f}",
                f"{row['last/val_loss']:.4f}",
                target.show(row[target.best]),  # type: ignore[literal-required]
                str(row["best/epoch"]),
                duration(row["seconds"]),
                f"{row['images_per_second']:,.0f}",
            ]
        elif is_soup(row):
            score = target.show(row[target.best])  # type: ignore[literal-required]
            cells = ["", f"{row['best/val_loss']:.4f}", score, "", duration(row["seconds"]), ""]
        ends = [str(row["status"])]
        if feasible:
            ends.append({True: "yes", False: "no", None: ""}[feasible[row["trial"]]])
        style = "bold green" if row is best else None
        table.add_row(escape(row["trial"]), str(row["epochs"]), *cells, *ends, style=style)
    return table


@contextlib.contextmanager
def resumable(run: Run) -> Iterator[None]:
    """Print the command that resumes a run where an error or a second Ctrl-C ends it."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError, InputError):  # the folder may be gone
            if run.folder.has(RUN_FILE):
                text = f"\nInterrupted. To resume:\n  {resume_command(run)}"
                run.console.print(text, markup=False, highlight=False, soft_wrap=True)
        raise


def resume_command(run: Run, *options: str) -> str:
    """Return the command that resumes a run, which restores its other options.

    Args:
        run: the run.
        options: options in place of --resume.
    """
    words = ["python", run.command.script, "--name", run.folder.name, *(options or ("--resume",))]
    for option in ("storage_path", "address"):
        value = getattr(run.options.run, option)
        if value != getattr(RunOptions(), option):
            words += [f"--{option.replace('_', '-')}", value]
    return shlex.join(words)
