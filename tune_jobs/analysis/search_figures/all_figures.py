"""All figures of a search, drawn from its tables."""

from __future__ import annotations

from itertools import combinations

import pandas as pd
from matplotlib.figure import Figure

from trainables.status import TrialStatus
from trainables.target import TARGETS
from tune_jobs.analysis.search_figures.history import (
    allowed,
    history_info,
    plot_history,
    plot_pruning,
    pruning_info,
)
from tune_jobs.analysis.search_figures.importance import importance_info, plot_importance
from tune_jobs.analysis.search_figures.limits import Mode
from tune_jobs.analysis.search_figures.parameters import (
    parallel_info,
    plot_parallel,
    plot_slices,
    slices_info,
)
from tune_jobs.analysis.search_figures.pareto import pareto_info, plot_pareto
from tune_jobs.run_folder.schema import objective_column
from tune_jobs.search_space.space import Space


def draw_search(
    trials: pd.DataFrame, epochs: pd.DataFrame, space: Space, objectives: dict[str, Mode]
) -> dict[str, Figure]:
    """Draw all figures of a search.

    Args:
        trials: one row per trial, as `load_trials` returns it.
        epochs: one row per trial and epoch, as `load_epochs` returns it.
        space: search space.
        objectives: objective -> whether "min" or "max" of it is better; the figures of a single
            objective show the first one, the metric that trials are stopped by.

    Returns:
        Name -> figure: history, pruning, parallel, slices, importance where enough trials have
        finished for it, and the Pareto front of each pair of objectives.
    """
    columns = {name: objective_column(name) for name in objectives}
    first, mode = columns[next(iter(objectives))], next(iter(objectives.values()))
    figures = {
        "history": plot_history(history_info(trials, first, mode)),
        "pruning": plot_pruning(pruning_info(trials, epochs, TARGETS[next(iter(objectives))])),
        "parallel": plot_parallel(parallel_info(trials, space, first, mode)),
        "slices": plot_slices(slices_info(trials, space, first, mode)),
    }
    importance = importance_info(trials, space, first)
    if importance.fractions:
        figures["importance"] = plot_importance(importance)
    for pair in combinations(objectives, 2):
        two = {columns[name]: objectives[name] for name in pair}
        finished = trials[(trials["status"] == TrialStatus.FINISHED) & allowed(trials)]  # as Optuna
        figures[f"pareto-{'-'.join(pair)}"] = plot_pareto(pareto_info(finished, two))
    return figures
