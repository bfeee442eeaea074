"""Summary and figures of a search that has ended."""

from __future__ import annotations

import shlex
import shutil
from collections import Counter
from typing import Any

from rich.table import Table

from trainables.target import TARGETS
from tune_jobs.analysis.formatting import count, counted, duration, milliseconds
from tune_jobs.analysis.results import load_epochs, load_front, load_trials
from tune_jobs.analysis.search_figures.all_figures import draw_search
from tune_jobs.command_line.terminal import NextStep, plain_table
from tune_jobs.run_folder.constraints import describe
from tune_jobs.run_folder.folder import FIGURES_FOLDER
from tune_jobs.run_folder.records import TrialRow
from tune_jobs.run_folder.schema import has_scores, is_soup, objective_column
from tune_jobs.search.study import MOST_REFUSED, Study
from tune_jobs.search_space.space import params_of
from tune_jobs.tuning.best_model import best_row, write_figure
from tune_jobs.tuning.next_commands import resume_command
from tune_jobs.tuning.strategy import Findings
from tune_jobs.tuning.trial_table import shown_score, shown_setting
from tune_jobs.tuning.tuner import LATENCY_NOTE

SHOWN = {"parameters": count, "macs": count, "latency_ms": milliseconds, "seconds": duration}
"""Format of the costs that a search minimises."""
MORE_TRIALS = 20
"""Trials that a search of fewer is advised to add; one of more is advised to double."""


def conclude_search(study: Study, ended_by: str | None) -> Findings:
    """Write the figures, and return the findings.

    Args:
        study: study of the run, whose tables are complete.
        ended_by: option whose limit ended the search; None if all trials were run.
    """
    draw_figures(study)
    configs = study.run.recorder.configs
    settings = {name: params_of(config, study.space) for name, config in configs.items()}
    return Findings(
        notes(study, ended_by, settings),
        can_retry=False,
        steps=steps(study),
        settings=settings,
        front=front_table(study),
    )


def draw_figures(study: Study) -> None:
    """Write the figures of a search into its run folder."""
    folder = study.run.folder
    trials = load_trials(folder.uri)
    proposed = trials[trials["members"].isna()]  # without soups
    figures = draw_search(proposed, load_epochs(folder.uri), study.space, study.objectives)
    pictures = folder.child(FIGURES_FOLDER)
    pictures.make()
    for name, figure in figures.items():
        write_figure(pictures, f"{name}.png", figure)


def notes(study: Study, ended_by: str | None, settings: dict[str, dict[str, Any]]) -> list[str]:
    """Return lines on the best settings and the statuses of the trials.

    Args:
        study: study of the run.
        ended_by: as in `conclude_search`.
        settings: what each trial was trained with, by its name.
    """
    recorder = study.run.recorder
    rows = [row for row in recorder.rows.values() if not is_soup(row)]
    statuses = Counter(str(row["status"]) for row in rows)
    counts = ", ".join(f"{count} {status}" for status, count in statuses.items())
    limit = f"; {ended_by} reached" if ended_by else ""
    if study.exhausted:
        limit = f"; ended, as {MOST_REFUSED} proposals in a row violate a constraint"
    lines = [f"{len(rows)} trials: {counts}{limit}", *feasibility(study)]
    lines += [LATENCY_NOTE] * ("latency_ms" in study.run.options.costs)
    if best := best_row(recorder):
        whose = "settings of its first member: " if is_soup(best) else ""
        words = (f"{name}={shown_setting(v)}" for name, v in settings[best["trial"]].items())
        own = [f"  {whose}{'  '.join(words)}", *against_recipe(study, best, settings)]
        lines = own + lines
    return lines


def against_recipe(study: Study, best: TrialRow, settings: dict[str, dict[str, Any]]) -> list[str]:
    """Return a line on whether the search has beaten the settings of the recipe.

    None if no trial has them.

    Args:
        study: study of the run.
        best: row of the best trial.
        settings: what each trial was trained with, by its name.
    """
    target, recipe = study.run.target, params_of(study.base, study.space)
    tried = [
        row
        for name, row in study.run.recorder.rows.items()
        if recipe.items() <= settings.get(name, {}).items() and has_scores(row)
    ]
    if not tried:
        return []
    row, whose = tried[0], "the settings of the recipe that the space has"
    if row is best:
        return [f"{row['trial']} has {whose}: no other trial is better"]
    score = f"{target.label} {shown_score(row, target)}"
    ended = f"{row['status']} after {counted(row['epochs'], 'epoch')}"
    return [f"{row['trial']} has {whose}: {score}, {ended}"]


def front_table(study: Study) -> Table | None:
    """Return the Pareto front of several objectives; None for one."""
    if len(study.objectives) == 1:
        return None
    table = plain_table()
    table.add_column("trial", no_wrap=True)
    for name in study.objectives:
        heading = TARGETS[name].label if name in TARGETS else name.removesuffix("_ms")
        table.add_column(heading, justify="right", no_wrap=True)
    for row in load_front(study.run.folder.uri).to_dict("records"):
        cells = (
            (TARGETS[name].show if name in TARGETS else SHOWN[name])(row[objective_column(name)])
            for name in study.objectives
        )
        table.add_row(row["trial"], *cells)
    return table


def feasibility(study: Study) -> list[str]:
    """Return a line on the trials that satisfy the constraints; none without constraints."""
    constraints, recorder = study.constraints, study.run.recorder
    if not constraints:
        return []
    rows = [row for row in recorder.rows.values() if not is_soup(row)]
    within = sum(recorder.feasible(row) is True for row in rows)
    bounds = describe(constraints)
    if within:
        return [f"{within} of {len(rows)} trials satisfy {bounds}; only they are chosen from"]
    nearest = []
    for constraint in constraints:
        values = [value for row in rows if (value := constraint.value(row)) is not None]
        if values:
            closest = min(values) if constraint.upper else max(values)
            word = "lowest" if constraint.upper else "highest"
            nearest.append(f"the {word} {constraint.name} is {closest:.6g}")
    found = f": {', '.join(nearest)}" if nearest else ""
    return [f"No trial satisfies {bounds}, so none is chosen{found}"]


def steps(study: Study) -> list[NextStep]:
    """Return the commands that extend the run, and that open the dashboard if it is installed."""
    more = str(max(MORE_TRIALS, len(study.run.recorder.rows)))
    found = [NextStep("more trials", resume_command(study.run, "--extend", more))]
    remote = study.storage.file and study.storage.remote
    if not remote and shutil.which("optuna-dashboard"):
        dashboard = shlex.join(["optuna-dashboard", study.storage.url])
        found.append(NextStep("the study in a browser", dashboard))
    return found
