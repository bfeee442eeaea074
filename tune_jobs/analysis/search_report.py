"""All figures of a search, and its Pareto front, out of the tables."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from trainables.errors import InputError
from tune_jobs.analysis.importance import importance_info, plot_importance
from tune_jobs.analysis.parameter_figures import (
    parallel_info,
    plot_parallel,
    plot_slices,
    slices_info,
)
from tune_jobs.analysis.pareto import pareto_front, pareto_info, plot_pareto
from tune_jobs.analysis.results import load_run, load_trials
from tune_jobs.analysis.search_figures import (
    Mode,
    history_info,
    plot_history,
    plot_pruning,
    pruning_info,
)
from tune_jobs.run_folder.schema import objective_column
from tune_jobs.search_space.space import Space


def draw_search(
    trials: pd.DataFrame, epochs: pd.DataFrame, space: Space, objectives: dict[str, Mode]
) -> dict[str, Figure]:
    """Figures by name: history, pruning, parallel, slices, importance, and fronts of two.

    Args:
        trials: of `load_trials`.
        epochs: of `load_epochs`.
        space: what was searched.
        objectives: of the search -> which way is better; the first is drawn alone.
    """
    columns = {name: objective_column(name) for name in objectives}
    first, mode = columns[next(iter(objectives))], next(iter(objectives.values()))
    figures = {
        "history": plot_history(history_info(trials, first, mode)),
        "pruning": plot_pruning(pruning_info(trials, epochs)),
        "parallel": plot_parallel(parallel_info(trials, space, first, mode)),
        "slices": plot_slices(slices_info(trials, space, first)),
        "importance": plot_importance(importance_info(trials, space, first)),
    }
    for pair in combinations(objectives, 2):
        two = {columns[name]: objectives[name] for name in pair}
        finished = trials[trials["status"] == "finished"]  # as Optuna's front
        figures[f"pareto-{'-'.join(pair)}"] = plot_pareto(pareto_info(finished, two))
    return figures


def load_front(path: str | Path) -> pd.DataFrame:
    """The trials of a search that no other one beats in every objective, by the first of them.

    Args:
        path: a run folder, local or s3://… or gs://….

    Raises:
        InputError: there is no search at that path or URI, or a newer version wrote it.
    """
    objectives = load_run(path)["search"].get("objectives")
    if objectives is None:
        raise InputError(f"{path} is no search but a grid, which has no objectives: check the path")
    columns = {objective_column(name): mode for name, mode in objectives.items()}
    trials = load_trials(path)
    return pareto_front(trials[trials["status"] == "finished"], columns)
