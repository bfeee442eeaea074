"""The table of the settings of a run with several random seeds."""

from __future__ import annotations

from collections import Counter
from statistics import fmean

from rich.markup import escape
from rich.table import Table

from tune_jobs.analysis.formatting import duration
from tune_jobs.command_line.terminal import plain_table
from tune_jobs.run_folder.settings import Setting

DROPPABLE = ("time", "val loss", "highest", "lowest", "status")
"""Columns of the table that a narrow terminal goes without, the first of them first."""


def settings_table(settings: list[Setting], best: Setting | None) -> Table:
    """Return a table with a row per setting and the best one highlighted."""
    table = plain_table()
    table.add_column("setting", no_wrap=True)
    label = settings[0].target.label
    for heading in ("seeds", label, "lowest", "highest", "val loss", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for setting in settings:
        cells = ["", "", "", ""]
        if setting.scores:
            cells = [
                setting.target.show(min(setting.scores)),
                setting.target.show(max(setting.scores)),
                f"{setting.loss:.4f}",
                duration(fmean(row["seconds"] for row in setting.rows)),
            ]
        counts = Counter(str(row["status"]) for row in setting.rows)
        status = ", ".join(
            status if count == len(setting.rows) else f"{count} {status}"
            for status, count in counts.items()
        )
        table.add_row(
            escape(setting.name), str(len(setting.scores)), setting.show(), *cells, status,
            style="bold green" if setting is best else None,
        )  # fmt: skip
    return table
