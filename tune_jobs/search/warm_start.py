"""Warm start of a search from the trials and the best settings of earlier runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.models import model_arguments
from trainables.target import TARGETS
from tune_jobs.analysis.results import load_run
from tune_jobs.run_folder.constraints import violated
from tune_jobs.run_folder.folder import EPOCHS_FILE, TRIALS_FILE, RunFolder
from tune_jobs.run_folder.records import RunRecord
from tune_jobs.run_folder.schema import config_of, merit, objective_column
from tune_jobs.search.study import Study, config_from
from tune_jobs.search.study_storage import SOURCE, STATES
from tune_jobs.search_space.space import Space, distributions, params_of, suggest

BEST = 3
"""Highest number of settings of each run that are enqueued to be tried again."""


def warm_start(study: Study, paths: Sequence[str], record: RunRecord, force: bool) -> list[str]:
    """Add comparable trials of earlier runs to a study, and enqueue the best of the other settings.

    A trial is comparable if it was trained as the study's own trials will be, from the first epoch
    on, on the same images with the same split, and selected by the same metric.

    Args:
        study: study without started trials; trials that it has already are not added again.
        paths: folders of the earlier runs.
        record: run.json of the new run.
        force: accept runs on different images, and enqueue their best settings.

    Returns:
        One line per run with the numbers of added trials and enqueued settings.

    Raises:
        InputError: there is no run at a path, or it used other images and `force` is not set.
    """
    lines = []
    known = {
        trial.user_attrs.get(SOURCE) for trial in study.optuna_study.get_trials(deepcopy=False)
    }
    for path in paths:
        same_data = check_images(path, record, force)
        folder = RunFolder.at(path)
        rows = [(row, config_of(row)) for row in folder.read_rows(TRIALS_FILE) if row["epochs"]]
        metrics = {row["trial"]: TARGETS[config.metric] for row, config in rows}
        curves: dict[str, dict[int, float]] = {}
        for row in folder.read_rows(EPOCHS_FILE):
            score = row[metrics[row["trial"]].column]
            curves.setdefault(row["trial"], {})[row["epoch"]] = score
        added = enqueued = 0
        for row, config in sorted(
            rows, key=lambda each: merit(each[0], metrics[each[0]["trial"]])[0], reverse=True
        ):
            params = params_of(config, study.space)
            # Runs of earlier versions lack some metrics.
            values: list[Any] = [
                row.get(objective_column(objective)) for objective in study.objectives
            ]
            bounds = {each.text: each.violation(row) for each in study.constraints}
            if (
                same_data
                # A copied trial (population-based training) has had several settings.
                and row.get("copied") is None
                and row["status"] in STATES
                and None not in values
                and None not in bounds.values()
                and same_training(config, params, study)
            ):
                trial = as_trial(row, params, study.space, values, curves[row["trial"]], bounds)
                source = f"{path}: {row['trial']}"
                trial.set_user_attr(SOURCE, source)
                if source not in known:
                    study.optuna_study.add_trial(trial)
                added += 1
            elif enqueued < BEST and params and not violated(row, study.constraints):
                study.optuna_study.enqueue_trial(params, skip_if_exists=True)
                enqueued += 1
        lines.append(f"{path}: {added} trials added to the study, {enqueued} settings to try first")
    return lines


def check_images(path: str, record: RunRecord, force: bool) -> bool:
    """Return whether an earlier run used the same images and the same split as this one.

    Args:
        path: folder of the earlier run.
        record: run.json of this run.
        force: accept different images.

    Raises:
        InputError: the images differ, and `force` is not set.
    """
    run = load_run(path)
    theirs, ours = (
        each["dataset"].get("source_fingerprint") or each["dataset"]["fingerprint"]
        for each in (run, record)
    )
    if theirs != ours and not force:
        raise InputError(
            f"{path} used {run['dataset']['name']} with fingerprint {theirs}, and this run uses "
            f"{record['dataset']['name']} with {ours}: give a run on the same images, or use only "
            "its best settings with --force"
        )
    splits = run["split"].get("fingerprint"), record["split"]["fingerprint"]
    return bool(theirs == ours and splits[0] == splits[1])


def same_training(config: TrialConfig, params: dict[str, Any], study: Study) -> bool:
    """Return whether a search would train a trial's settings the same way, random seed aside.

    Args:
        config: configuration of the trial.
        params: its values of the searched parameters, as Optuna stores them.
        study: study of the search.
    """
    try:
        proposed = config_from(suggest(study.space, FixedTrial(params)), study.bases)
    except ValueError:  # a setting of the trial is outside the space
        return False
    return in_full(config) == in_full(proposed)


def in_full(config: TrialConfig) -> TrialConfig:
    """Return a configuration with all model arguments spelt out and the seed set to 0."""
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
    constraints: dict[str, Any],
) -> FrozenTrial:
    """Return a trial of an earlier run as a finished Optuna trial.

    Args:
        row: the trial's row of trials.parquet.
        params: values of the searched parameters, as Optuna stores them.
        space: search space.
        values: value of each objective.
        curve: metric that the trial was selected by, by epoch.
        constraints: how far it is beyond each constraint, by the constraint's text.
    """
    state, single = STATES[row["status"]], len(values) == 1
    pruned_at = [curve[max(curve)]] if single else None  # as Optuna does when it prunes
    return optuna.trial.create_trial(
        state=state,
        values=pruned_at if state is TrialState.PRUNED else values,
        params=params,
        distributions=distributions(space, params),
        intermediate_values=curve if single else None,
        constraints=constraints,
    )
