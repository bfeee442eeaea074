"""How much of the differences between trials each parameter explains, and the figure of it."""

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
from tune_jobs.analysis.search_figures.history import axis_label, scores
from tune_jobs.analysis.style import COLOURS, finish_axes, message_figure
from tune_jobs.run_folder.schema import SCORE
from tune_jobs.search_space.space import Space

MIN_FINISHED = 10
"""Fewer finished trials say nothing about importance."""


@dataclass(frozen=True)
class ImportanceInfo:
    """Shares of the variance of the score; none where too few trials have finished."""

    shares: dict[str, float]
    """Parameter -> its share of the variance that single parameters explain; highest first."""
    left_out: list[str]
    """Parameters that cannot be assessed."""
    finished: int
    """Trials that were used."""
    label: str
    """Of the score."""


def importance_info(trials: pd.DataFrame, space: Space, objective: str = SCORE) -> ImportanceInfo:
    """Importance of the parameters by functional ANOVA of the finished trials.

    Hutter, Hoos & Leyton-Brown 2014, An Efficient Approach for Assessing Hyperparameter
    Importance, as in Optuna: a random forest is fitted to the scores, and its variance over the
    space is taken apart. The space is the box around the finished trials, logarithmic where the
    search is. A parameter that a finished trial lacks, or that is the same in all, is left out.

    Args and errors are those of `parameter_axes` and `history_info`.
    """
    finished = trials[trials["status"] == TrialStatus.FINISHED]
    finished = finished[np.isfinite(scores(finished, objective))]
    axes = parameter_axes(finished, space)
    assessed = [a for a in axes if not np.isnan(a.positions).any() and len(set(a.positions)) > 1]
    score = scores(finished, objective)
    enough = len(assessed) > 1 and len(score) >= MIN_FINISHED and np.ptp(score) > 0
    shares = _fanova(assessed, score) if enough else {}
    left_out = [name for name in space if name not in shares] if shares else []
    return ImportanceInfo(shares, left_out, len(score), axis_label(objective))


def _fanova(axes: list[ParameterAxis], score: NDArray[np.float64]) -> dict[str, float]:
    """Shares by Optuna, through a study in memory."""
    columns: dict[str, list[Any]] = {}
    space: dict[str, BaseDistribution] = {}
    for axis in axes:
        if axis.labels:
            columns[axis.name] = [axis.labels[int(place)] for place in axis.positions]
            space[axis.name] = CategoricalDistribution(axis.labels)
        else:
            # Optuna's fANOVA weighs values evenly even where they were searched by their
            # logarithm, so it is handed the logarithms.
            values = axis.scaled(axis.positions).tolist()
            columns[axis.name] = values
            space[axis.name] = FloatDistribution(min(values), max(values))
    study = _quiet_study()
    for i, value in enumerate(score):
        params = {name: values[i] for name, values in columns.items()}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=space, value=float(value))
        )
    shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return {name: float(share) for name, share in shares.items()}


def _quiet_study() -> optuna.Study:
    """A study in memory, without the line that Optuna prints for each."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study()
    finally:
        optuna.logging.set_verbosity(verbosity)


def plot_importance(info: ImportanceInfo) -> Figure:
    """Draw a bar a parameter, the most important one on top."""
    if not info.shares:
        return message_figure("not enough finished trials")
    figure = Figure(figsize=(6.4, 0.32 * len(info.shares) + 1.6), layout="constrained")
    ax = figure.subplots()
    names, shares = list(info.shares), list(info.shares.values())
    bars = ax.barh(names, shares, color=COLOURS[0], height=0.7)
    ax.bar_label(bars, [f"{share:.0%}" for share in shares], padding=3, fontsize=8)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.1 * max(shares))
    ax.set_xlabel(f"importance (share), fANOVA of {info.finished} finished trials")
    ax.set_title(info.label, fontsize=10)
    finish_axes(ax)
    ax.grid(visible=False, axis="y")
    if info.left_out:
        note = (
            "Not assessed, as some finished trial lacks it or all have the same value: "
            + ", ".join(info.left_out)
        )
        figure.supxlabel(textwrap.fill(note, 90), fontsize=8, color="#404040")
    return figure
