"""List the runs of a folder: data set, models, best score, effort, date and status."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.invocation import typed_path, words_that_start
from tune_jobs.command_line.options import RunOptions
from tune_jobs.command_line.parser import parse_plain

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

DROPPABLE = ("epochs", "job", "trials", "time", "started", "best trial", "models")
"""Columns that a narrow terminal goes without, the first of them first."""
NAMED = 3
"""Number of networks of a run that the table names."""


@dataclass(frozen=True, kw_only=True)
class RunsOptions:
    """Options of the job."""

    folder: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="[FOLDER]")]] = (
        RunOptions().storage_path
    )
    """Folder or URI (s3://…, gs://…) that holds run folders."""


def runs() -> int:
    """Run the job, and return its exit code."""
    path = parse_plain(RunsOptions, "runs", description=__doc__).options.folder
    # pandas takes time to import, and bad options are reported without it.
    from tune_jobs.analysis.leaderboard import DAMAGED
    from tune_jobs.analysis.results import load_runs
    from tune_jobs.command_line.terminal import NextStep, open_console, print_steps, print_table
    from tune_jobs.run_folder.folder import RunFolder
    from tune_jobs.tuning.next_commands import read_command, resume_found

    frame, console = load_runs(path), open_console()
    print_table(console, runs_table(frame), DROPPABLE)
    for row in frame[frame["status"] == DAMAGED].to_dict("records"):
        text = f"warning: {row['run']} cannot be read: {row['error']}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    folder = RunFolder.at(path)
    is_run = list(frame["run"]) == [folder.name]
    found = {name: folder if is_run else folder.child(name) for name in frame["run"]}
    interrupted = [found[name] for name in frame[frame["status"] == "interrupted"]["run"]]
    resume = [resume_found(each, each.read_record()) for each in interrupted]
    steps = [NextStep("the rest of a run", command) for command in resume if command is not None]
    comparable = frame[(frame["status"] == "finished") & (frame["job"] != "shortlist")]
    for _, group in comparable.groupby("group"):
        if len(set(", ".join(group["models"]).split(", "))) == 1:
            continue  # one family: half of the question is not worth opening the test set
        paths = [typed_path(found[name].uri) for name in group["run"]]
        purpose = f"comparison of the runs on {group['dataset'].iloc[0]}"
        steps.append(NextStep(purpose, shlex.join([*words_that_start("compare"), *paths])))
    command = read_command("load_runs", typed_path(folder.uri))
    print_steps([*steps, NextStep("this table as a dataframe", command)], console)
    return 0


def runs_table(frame: pd.DataFrame) -> Table:
    """Return the table of the runs.

    Args:
        frame: one row per run, as `load_runs` returns it.
    """
    from rich.markup import escape

    from trainables.target import TARGETS
    from tune_jobs.analysis.formatting import duration, moment
    from tune_jobs.command_line.terminal import plain_table

    table = plain_table()
    for heading in ("run", "data", "job", "models", "best trial", "score", "metric", "trials",
                    "epochs", "time", "started", "status"):  # fmt: skip
        right = heading in ("score", "trials", "epochs", "time")
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    first = frame.drop_duplicates("group").index
    for i, row in frame.astype(object).where(frame.notna(), None).iterrows():
        if row["error"]:
            table.add_row(escape(row["run"]), *[""] * 10, row["status"], style="red")
            continue
        target, models = TARGETS[row["metric"]], row["models"].split(", ")
        more = f", {len(models) - NAMED} more" if len(models) > NAMED else ""
        cells = (
            row["run"],
            row["dataset"],
            row["job"],
            ", ".join(models[:NAMED]) + more,
            row["best"] or "",
            "" if row["score"] is None else target.show(row["score"]),
            target.label,
            str(row["trials"]),
            str(row["epochs"]),
            duration(row["seconds"]),
            moment(row["started"]),
            row["status"],
        )
        best = i in first and row["score"] is not None
        table.add_row(*map(escape, cells), style="bold" if best else None)
    return table


if __name__ == "__main__":
    main(runs)
