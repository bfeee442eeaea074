"""Trials that differ in their random seed alone are one setting, which is judged by its mean.

The best of all trials is often a mediocre setting with a lucky seed. So in a run with --seeds, the
best model is the best seed of the setting with the best mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from trainables.config import TrialConfig
from trainables.status import TrialStatus
from trainables.target import Target
from tune_jobs.run_folder.records import TrialRow
from tune_jobs.run_folder.schema import config_of, has_scores, is_soup

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
    def scored(self) -> list[TrialRow]:
        """Rows of the trials that did not diverge or fail."""
        return [row for row in self.rows if has_scores(row) and row["status"] not in LOST]

    @property
    def scores(self) -> list[float]:
        """Score of the best epoch of each trial that did not diverge or fail."""
        return [row[self.target.best] for row in self.scored]  # type: ignore[literal-required]

    @property
    def complete(self) -> bool:
        """Whether every trial has a score."""
        return len(self.scores) == len(self.rows)

    @property
    def mean(self) -> float:
        """Mean of the scores, of which there must be one."""
        return fmean(self.scores)

    @property
    def loss(self) -> float:
        """Mean of the validation losses in those epochs."""
        return fmean(row["best/val_loss"] for row in self.scored)

    def show(self) -> str:
        """Return mean and standard deviation of the scores, e.g. 97.81% ± 0.32."""
        if not self.scores:
            return ""
        if len(self.scores) == 1:
            return self.target.show(self.mean)
        spread = self.target.show_difference(stdev(self.scores)).removesuffix(" points")
        return f"{self.target.show(self.mean)} ± {spread}"


def settings_of(
    rows: Iterable[TrialRow], configs: Mapping[str, TrialConfig], target: Target
) -> list[Setting]:
    """Return the settings of trials in the order of their first ones; averages are left out.

    Args:
        rows: rows of the trials.
        configs: configuration by name of the trial.
        target: metric of the run.
    """
    groups: dict[str, list[TrialRow]] = {}
    for row in rows:
        if not is_soup(row):
            config = configs[row["trial"]].to_dict()
            config.pop("seed")
            groups.setdefault(json.dumps(config, sort_keys=True), []).append(row)
    return [
        Setting(re.sub(r",seed=\d+", "", rows[0]["trial"]) if len(rows) > 1 else rows[0]["trial"],
                rows, target)
        for rows in groups.values()
    ]  # fmt: skip


def best_setting(settings: list[Setting]) -> Setting | None:
    """Return the setting with the best mean; ties go to the lower mean validation loss.

    Settings without a lost seed go first.
    """
    scored = [setting for setting in settings if setting.scores]
    return max(
        scored,
        key=lambda each: (each.complete, each.target.merit(each.mean), -each.loss),
        default=None,
    )


def eligible(
    rows: Sequence[TrialRow], configs: Mapping[str, TrialConfig], target: Target
) -> list[TrialRow]:
    """Return the trials of a run with several seeds that the best one is chosen from.

    They are those of the best setting, and averages of the weights of several trials.
    """
    best = best_setting(settings_of(rows, configs, target))
    if best is None:
        return list(rows)
    return [*best.rows, *filter(is_soup, rows)]


def eligible_stored(
    rows: Sequence[dict[str, Any]], record: Mapping[str, Any], target: Target
) -> list[dict[str, Any]]:
    """Return the trials of a run that the best one is chosen from; of one without --seeds, all.

    Args:
        rows: rows of trials.parquet.
        record: run.json of the run.
        target: metric of the run.
    """
    if record.get("options", {}).get("seeds", 1) < 2:  # other jobs than grids have no such option
        return list(rows)
    configs = {row["trial"]: config_of(row) for row in rows}
    return eligible(rows, configs, target)  # type: ignore[arg-type,return-value]
