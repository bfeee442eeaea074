"""Hyperparameter importance by functional ANOVA, and its figure."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from trainables.status import TrialStatus
from tune_jobs.analysis.search_figures.axes import ParameterAxis, parameter_axes
from tune_jobs.analysis.search_figures.history import SCORE, axis_label, scores
from tune_jobs.analysis.style import COLOURS, finish_axes, message_figure
from tune_jobs.search_space.space import Space

MIN_FINISHED = 10
"""Minimum number of finished trials for an importance estimate."""


@dataclass(frozen=True)
class ImportanceInfo:
    """Data of the importance figure."""

    fractions: dict[str, float]
    """Parameter -> fraction of the score variance that single parameters explain, highest first.

    Empty if too few trials have finished.
    """
    left_out: list[str]
    """Names of the parameters that cannot be assessed."""
    finished: int
    """Number of finished trials with a score."""
    label: str
    """Axis label of the score."""


def importance_info(trials: pd.DataFrame, space: Space, objective: str = SCORE) -> ImportanceInfo:
    """Estimate the importance of the parameters by functional ANOVA of the finished trials.

    Hutter, Hoos & Leyton-Brown 2014, An Efficient Approach for Assessing Hyperparameter
    Importance, as in Optuna: a random forest is fitted to the scores, and its variance over the
    space is decomposed. The space is the bounding box of the finished trials, logarithmic where
    the search is. A parameter that a finished trial lacks, or that is constant, is left out.

    Arguments and errors are the same as for `parameter_axes` and `history_info`.
    """
    finished = trials[trials["status"] == TrialStatus.FINISHED]
    finished = finished[np.isfinite(scores(finished, objective))]
    axes = parameter_axes(finished, space)
    assessed = [a for a in axes if not np.isnan(a.positions).any() and len(set(a.positions)) > 1]
    score = scores(finished, objective)
    enough = len(assessed) > 1 and len(score) >= MIN_FINISHED and np.ptp(score) > 0
    fractions = _fanova(assessed, score) if enough else {}
    left_out = [name for name in space if name not in fractions] if fractions else []
    return ImportanceInfo(fractions, left_out, len(score), axis_label(objective))


def _fanova(axes: list[ParameterAxis], score: NDArray[np.float64]) -> dict[str, float]:
    """Compute the importances by Optuna, with an in-memory study."""
    columns: dict[str, list[Any]] = {}
    space: dict[str, BaseDistribution] = {}
    for axis in axes:
        if axis.labels:
            columns[axis.name] = [axis.labels[int(position)] for position in axis.positions]
            space[axis.name] = CategoricalDistribution(axis.labels)
        else:
            # Optuna's fANOVA weights the space linearly even for logarithmic parameters, so it
            # gets the logarithms.
            values = axis.scaled(axis.positions).tolist()
            columns[axis.name] = values
            space[axis.name] = FloatDistribution(min(values), max(values))
    study = _quiet_study()
    for i, value in enumerate(score):
        params = {name: values[i] for name, values in columns.items()}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=space, value=float(value))
        )
    importances = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return {name: float(fraction) for name, fraction in importances.items()}


def _quiet_study() -> optuna.Study:
    """Create an in-memory study without the log line that Optuna prints for it."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study()
    finally:
        optuna.logging.set_verbosity(verbosity)


def plot_importance(info: ImportanceInfo) -> Figure:
    """Draw one bar per parameter, the most important at the top."""
    if not info.fractions:
        return message_figure("not enough finished trials")
    figure = Figure(figsize=(6.4, 0.32 * len(info.fractions) + 1.6), layout="constrained")
    ax = figure.subplots()
    names, fractions = list(info.fractions), list(info.fractions.values())
    bars = ax.barh(names, fractions, color=COLOURS[0], height=0.7)
    ax.bar_label(bars, [f"{fraction:.0%}" for fraction in fractions], padding=3, fontsize=8)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.1 * max(fractions))
    ax.set_xlabel(f"importance (fraction), fANOVA of {info.finished} finished trials")
    ax.set_title(info.label, fontsize=10)
    finish_axes(ax)
    ax.grid(visible=False, axis="y")
    if info.left_out:
        note = "Not assessed (missing in a finished trial, or the same value in all): " + ", ".join(
            info.left_out
        )
        figure.supxlabel(textwrap.fill(note, 90), fontsize=8, color="#404040")
    return figure
