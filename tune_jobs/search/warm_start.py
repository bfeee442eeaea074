"""What a new search takes over from earlier runs: their trials, and their best settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.metrics import TARGET
from trainables.models import model_arguments
from tune_jobs.analysis.results import load_run
from tune_jobs.run_folder.folder import EPOCHS_FILE, TRIALS_FILE, RunFolder
from tune_jobs.run_folder.records import RunRecord
from tune_jobs.run_folder.schema import SCORE, config_of, objective_column
from tune_jobs.search.study import Study
from tune_jobs.search.study_storage import SOURCE, STATES
from tune_jobs.search_space.space import Space, distributions, params_of, suggest, to_config

BEST = 3
"""Settings of each run that are tried again where the study cannot be told how they went."""


def warm_start(study: Study, paths: Sequence[str], record: RunRecord, force: bool) -> list[str]:
    """Tell a study of the trials of earlier runs, or put their best settings first in line.

    It is told of trials that were trained as its own will be, from their first epoch on, on the
    same images cut alike.

    Args:
        study: of which no trial has begun; what it was told already it is not told again.
        paths: of the runs' folders.
        record: run.json of the new run.
        force: take settings from runs on other images too.

    Returns:
        A line on each run, on what was taken.

    Raises:
        InputError: there is no run at a path, or it is on other images and `force` is not set.
    """
    lines = []
    known = {trial.user_attrs.get(SOURCE) for trial in study.optuna.get_trials(deepcopy=False)}
    for path in paths:
        alike = same_images(path, record, force)
        folder = RunFolder.at(path)
        curves: dict[str, dict[int, float]] = {}
        for row in folder.read_rows(EPOCHS_FILE):
            curves.setdefault(row["trial"], {})[row["epoch"]] = row[TARGET]
        rows = [row for row in folder.read_rows(TRIALS_FILE) if row["epochs"]]
        told = queued = 0
        for row in sorted(rows, key=lambda row: -row[SCORE]):
            config = config_of(row)
            params = params_of(config, study.space)
            values = [row[objective_column(objective)] for objective in study.objectives]
            if (
                alike
                # The settings of a copy did not earn its score alone.
                and row.get("copied") is None
                and row["status"] in STATES
                and None not in values
                and same_training(config, params, study.space, study.base)
            ):
                trial = as_trial(row, params, study.space, values, curves[row["trial"]])
                source = f"{path}: {row['trial']}"
                trial.set_user_attr(SOURCE, source)
                if source not in known:
                    study.optuna.add_trial(trial)
                told += 1
            elif queued < BEST and params:
                study.optuna.enqueue_trial(params, skip_if_exists=True)
                queued += 1
        lines.append(f"{path}: {told} trials taken over, {queued} settings to try first")
    return lines


def same_images(path: str, record: RunRecord, force: bool) -> bool:
    """Whether a run is on the images of this one, cut alike.

    Raises:
        InputError: it is on others, and `force` is not set.
    """
    run = load_run(path)
    before, now = run["dataset"]["fingerprint"], record["dataset"]["fingerprint"]
    if before != now and not force:
        raise InputError(
            f"{path} is on {run['dataset']['name']} with fingerprint {before}, and this run on "
            f"{record['dataset']['name']} with {now}: take a run on the same images, or its best "
            "settings alone with --force"
        )
    cuts = run["split"].get("fingerprint"), record["split"]["fingerprint"]
    return bool(before == now and cuts[0] == cuts[1])


def same_training(
    config: TrialConfig, params: dict[str, Any], space: Space, base: TrialConfig
) -> bool:
    """Whether a search would train those parameters as the trial was, but for the seed."""
    try:
        proposed = to_config(suggest(space, FixedTrial(params)), base)
    except ValueError:  # a setting of the trial is outside the space
        return False
    return in_full(config) == in_full(proposed)


def in_full(config: TrialConfig) -> TrialConfig:
    """A config with every argument of its model spelt out, and no seed."""
    arguments = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in {**model_arguments(config.model), **config.build_args}.items()
    }
    return dataclasses.replace(config, seed=0, dropout=None, model_args=arguments)


def as_trial(
    row: dict[str, Any],
    params: dict[str, Any],
    space: Space,
    values: list[float],
    curve: dict[int, float],
) -> FrozenTrial:
    """A trial of an earlier run as Optuna keeps it."""
    state, single = STATES[row["status"]], len(values) == 1
    pruned_at = [curve[max(curve)]] if single else None  # as Optuna's own have it
    return optuna.trial.create_trial(
        state=state,
        values=pruned_at if state is TrialState.PRUNED else values,
        params=params,
        distributions=distributions(space, params),
        intermediate_values=curve if single else None,
    )
