"""The table of the trials of a run that has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from trainables.target import Target
from tune_jobs.analysis.formatting import duration
from tune_jobs.command_line.terminal import plain_table, print_table
from tune_jobs.run_folder.records import TrialRow
from tune_jobs.run_folder.schema import ending, has_scores, is_soup, merit
from tune_jobs.tuning.strategy import Run

MOST_ROWS, FEW_ROWS = 20, 10
"""Up to 20 trials the table shows all; of more it shows the best 10."""
FIRST_DROPPED = ("images/s", "train loss", "time")
LAST_DROPPED = ("val loss", "at epoch", "epochs", "status")
"""Columns that a narrow terminal goes without before and after the settings of a search."""


def print_trials(
    run: Run, best: TrialRow | None, settings: Mapping[str, Mapping[str, Any]]
) -> None:
    """Print the table of trials, of many the best ones.

    Args:
        run: the run.
        best: row of its best trial; None if there is none.
        settings: what each trial of a search was trained with, by its name; empty for a grid, whose
            trials are named by it.
    """
    recorder, console = run.recorder, run.console
    rows = list(recorder.rows.values())
    shown = rows
    if len(rows) > MOST_ROWS:
        scored = [row for row in rows if has_scores(row)]
        shown = sorted(
            scored,
            key=lambda row: (recorder.feasible(row) is not False, merit(row, run.target)),
            reverse=True,
        )[:FEW_ROWS]
    columns = score_columns(run, shown) | status_columns(run, shown)
    varied = setting_columns([settings.get(row["trial"], {}) for row in shown])
    table = trial_table(shown, columns | varied, best)
    print_table(console, table, (*FIRST_DROPPED, *reversed(varied), *LAST_DROPPED))
    if len(shown) < len(rows):
        console.print(f"… the best {len(shown)} of {len(rows)} trials", highlight=False)


def trial_table(
    rows: list[TrialRow], columns: Mapping[str, list[str]], best: TrialRow | None
) -> Table:
    """Return a table with a row per trial and the best trial highlighted.

    Args:
        rows: rows of the trials.
        columns: cells of each column by its heading, without the names.
        best: row of the best trial; None if there is none.
    """
    table = plain_table()
    table.add_column("trial", no_wrap=True)
    for heading in columns:
        left = heading in ("status", "feasible")
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    for i, row in enumerate(rows):
        style = "bold green" if row is best else None
        cells = (escape(values[i]) for values in columns.values())
        table.add_row(escape(row["trial"]), *cells, style=style)
    return table


def score_columns(run: Run, rows: list[TrialRow]) -> dict[str, list[str]]:
    """Return the scores of trials in their best epochs, and what training took, as cells.

    A logistic regression on features has no epochs, and is fitted too fast for its speed to matter.
    """

    def cells(row: TrialRow) -> dict[str, str]:
        scores = {
            "train loss": "" if is_soup(row) else f"{row['best/train_loss']:.4f}",
            "val loss": f"{row['best/val_loss']:.4f}",
            run.target.label: shown_score(row, run.target),
        }
        if probes:
            return scores
        trained = not is_soup(row)
        return {
            "epochs": str(row["epochs"]),
            **scores,
            "at epoch": str(row["best/epoch"]) if trained else "",
            "time": duration(row["seconds"]),
            "images/s": f"{row['images_per_second']:,.0f}" if trained else "",
        }

    configs = run.recorder.configs
    probes = all(is_soup(row) or configs[row["trial"]].mode == "probe" for row in rows)
    found = [cells(row) if has_scores(row) else {} for row in rows]
    headings = max(found, key=len, default={})
    return {heading: [each.get(heading, "") for each in found] for heading in headings}


def status_columns(run: Run, rows: list[TrialRow]) -> dict[str, list[str]]:
    """Return how trials have ended, and whether they satisfy the constraints, as cells."""
    recorder = run.recorder
    columns = {"status": [ending(row["status"], recorder.stopped_by(row)) for row in rows]}
    if recorder.constraints:
        words = {True: "yes", False: "no", None: ""}
        columns["feasible"] = [words[recorder.feasible(row)] for row in rows]
    return columns


def setting_columns(settings: list[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the settings in which trials differ as cells, in the order of the search space."""
    names = dict.fromkeys(name for each in settings for name in each)
    columns = {name: [shown_setting(each.get(name)) for each in settings] for name in names}
    return {name: cells for name, cells in columns.items() if len(set(cells)) > 1}


def shown_setting(value: Any) -> str:
    """Return the value of a setting for the terminal; the empty text where a trial has none."""
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def shown_score(row: TrialRow, target: Target) -> str:
    """Return the metric of a trial for the terminal."""
    return target.show(row[target.best])  # type: ignore[literal-required]
