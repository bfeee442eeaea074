"""Trials that differ in their random seed alone: one setting, with the mean and the deviation."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from statistics import fmean, stdev

from rich.markup import escape
from rich.table import Table

from trainables.status import TrialStatus
from trainables.target import Target
from tune_jobs.analysis.formatting import duration
from tune_jobs.command_line.terminal import plain_table
from tune_jobs.run_folder.records import TrialRow
from tune_jobs.run_folder.schema import has_scores, is_soup
from tune_jobs.tuning.recorder import Recorder

DROPPABLE = ("time", "val loss", "highest", "lowest", "status")
"""Columns of the table that a narrow terminal goes without, the first of them first."""
LOST = (TrialStatus.DIVERGED, TrialStatus.FAILED)
"""Statuses of trials that are missing from a mean."""


@dataclass(frozen=True)
class Setting:
    """A setting of a grid, which was trained with one or more random seeds."""

    name: str
    """Name of its trials, without the seed."""
    rows: list[TrialRow]
    """Rows of its trials, in the order of their seeds."""
    target: Target
    """Metric of the run."""

    @property
    def scores(self) -> list[float]:
        """Score of the best epoch of each trial that did not diverge or fail."""
        return [
            row[self.target.best]  # type: ignore[literal-required]
            for row in self.rows
            if has_scores(row) and row["status"] not in LOST
        ]

    @property
    def complete(self) -> bool:
        """Whether every trial has a score."""
        return len(self.scores) == len(self.rows)

    @property
    def mean(self) -> float:
        """Mean of the scores, of which there must be one."""
        return fmean(self.scores)

    def show(self) -> str:
        """Return mean and standard deviation of the scores, e.g. 97.81% ± 0.32."""
        if not self.scores:
            return ""
        if len(self.scores) == 1:
            return self.target.show(self.mean)
        spread = self.target.show_difference(stdev(self.scores)).removesuffix(" points")
        return f"{self.target.show(self.mean)} ± {spread}"


def settings_of(recorder: Recorder, target: Target) -> list[Setting]:
    """Return the settings of a run in the order of their first trials; averages are left out."""
    groups: dict[str, list[TrialRow]] = {}
    for name, row in recorder.rows.items():
        if not is_soup(row):
            config = recorder.configs[name].to_dict()
            config.pop("seed")
            groups.setdefault(json.dumps(config, sort_keys=True), []).append(row)
    return [
        Setting(re.sub(r",seed=\d+", "", rows[0]["trial"]) if len(rows) > 1 else rows[0]["trial"],
                rows, target)
        for rows in groups.values()
    ]  # fmt: skip


def best_setting(settings: list[Setting]) -> Setting | None:
    """Return the setting with the best mean; those without a lost seed go first."""
    scored = [setting for setting in settings if setting.scores]
    return max(
        scored,
        key=lambda each: (each.complete, each.target.merit(each.mean)),
        default=None,
    )


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
            losses = [row["best/val_loss"] for row in setting.rows if has_scores(row)]
            cells = [
                setting.target.show(min(setting.scores)),
                setting.target.show(max(setting.scores)),
                f"{fmean(losses):.4f}",
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
