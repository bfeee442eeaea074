"""Run trials with tune.Tuner."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import torch
from ray import tune

from trainables.config import TrialConfig
from trainables.costs import count_macs
from trainables.errors import InputError
from trainables.models import build_model, parameter_count
from trainables.trainable import train_trial
from trainables.trial_images import TrialImages
from tune_jobs.command_line.terminal import QuietConsole
from tune_jobs.ray_runtime.capacity import TrialResources, TrialSlots
from tune_jobs.ray_runtime.epoch_progress import send_progress
from tune_jobs.ray_runtime.tune_internals import (
    actors_in_idle_workers,
    lean_controller,
    trial_actors,
)
from tune_jobs.run_folder.folder import RUN_FILE
from tune_jobs.tuning.bar import BarProgress
from tune_jobs.tuning.callbacks import trial_name
from tune_jobs.tuning.node_failures import NodeFailures
from tune_jobs.tuning.progress import TerminalProgress
from tune_jobs.tuning.strategy import Run, Strategy

WORKER_RETRIES = 3
"""Number of times that a trial's worker process is restarted after it died."""
HANDLED = ("SIGINT", "SIGTERM", "SIGUSR1")
"""Signals whose handlers Ray Tune or this module replaces during a run."""
LATENCY_NOTE = (
    "Latencies were measured while other trials ran, and whatever else this machine did: compare "
    "measures them in turns, and states none on a busy machine"
)
"""What is said beside latencies that trials have measured."""


def add_trials(run: Run, trials: dict[str, TrialConfig]) -> None:
    """Add trials to the tables; raises InputError if a model cannot be built."""
    for name, config in trials.items():
        run.recorder.add(name, config, count_parameters(config, run.data))
        if "macs" in run.options.costs:
            run.recorder.rows[name]["macs"] = count_macs_of(config, run.data)


def count_parameters(config: TrialConfig, data: TrialImages) -> int:
    """Return the number of learnable parameters of a trial's model.

    Raises:
        InputError: the model cannot be built.
    """
    return parameters_at(config, len(data.classes), data.network_size(config))


def parameters_at(config: TrialConfig, num_classes: int, size: int) -> int:
    """Return the number of learnable parameters for inputs of `size` pixels; errors as above."""
    return _parameters(config.model, num_classes, size, json.dumps(config.build_args))


def count_macs_of(config: TrialConfig, data: TrialImages) -> int:
    """Return the multiply-accumulates of a trial's model for one image; errors as above."""
    return macs_at(config, len(data.classes), data.network_size(config))


def macs_at(config: TrialConfig, num_classes: int, size: int) -> int:
    """Return the multiply-accumulates for one image of `size` pixels; errors as above."""
    return _macs(config.model, num_classes, size, json.dumps(config.build_args))


@functools.cache
def _macs(model: str, num_classes: int, image_size: int, arguments: str) -> int:
    with torch.device("meta"):  # where nothing is computed; some networks ignore it
        built = build_model(model, num_classes, image_size, **json.loads(arguments))
    return count_macs(built, image_size, next(built.parameters()).device)


@functools.cache
def _parameters(model: str, num_classes: int, image_size: int, arguments: str) -> int:
    with torch.device("meta"):
        return parameter_count(build_model(model, num_classes, image_size, **json.loads(arguments)))


def tune_trials(
    run: Run,
    strategy: Strategy,
    unfinished: dict[str, str | None],
    proposals: int,
    trackers: list[tune.Callback],
    resources: TrialResources,
) -> None:
    """Train the unfinished trials from their checkpoints, and those that the strategy proposes.

    A resumed run is a new experiment for Ray, with the trials that have not ended. Our checkpoints
    and tables have all that was done, so nothing depends on the experiment state that Ray stores,
    which may be outdated or empty after a kill.

    Args:
        run: the run.
        strategy: strategy of the run.
        unfinished: trials with the URI of the checkpoint that each resumes from, or None.
        proposals: number of trials that the strategy may still propose.
        trackers: callbacks that log to trackers.
        resources: resources that each trial reserves.

    Raises:
        InputError: the run folder is not there any more.
    """
    recorder = run.recorder
    slots = TrialSlots(resources, run.options.run.max_concurrent)
    settings = strategy.tuner_settings(run, unfinished, proposals, slots)
    trials = len(recorder.rows) + proposals
    quiet = isinstance(run.console, QuietConsole)
    progress: BarProgress | TerminalProgress
    if quiet:
        progress = BarProgress(recorder, slots, trials)
    else:
        progress = TerminalProgress(recorder, run.console, slots, trials)
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(
                train_trial, images=run.data, weights=run.weights, send_progress=send_progress
            ),
            {"cpu": resources.cpus, "gpu": resources.gpus},
        ),
        param_space=settings.param_space,
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            search_alg=settings.search_alg,
            num_samples=settings.num_samples,
            max_concurrent_trials=settings.max_concurrent_trials,
            scheduler=settings.scheduler,
            trial_name_creator=trial_name,
            trial_dirname_creator=trial_name,
        ),
        run_config=tune.RunConfig(
            name=run.folder.name,
            storage_path=run.folder.parent.uri,
            failure_config=tune.FailureConfig(max_failures=WORKER_RETRIES),
            # The recorder first: the strategy, the terminal and the trackers read its tables.
            callbacks=[recorder, *settings.callbacks, progress, NodeFailures(), *trackers],
            stop=settings.stop,
            verbose=0,
            progress_reporter=tune.CLIReporter(),  # silent, too; the one for notebooks is not
        ),
    )
    is_local = run.options.run.address is None
    idle = actors_in_idle_workers() if is_local else contextlib.nullcontext()
    with progress.live, idle, restored_signals(), trial_actors(), lean_controller():
        if not quiet:  # the signals of a caller in Python are its own
            # SIGTERM ends a run like Ctrl-C, which Ray Tune handles; Ray's own handler would abort.
            signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
        try:
            tuner.fit()
        except Exception as error:
            if run.folder.has(RUN_FILE):
                raise
            raise InputError(
                f"{run.folder.uri} was deleted or moved while its run went on: start the run again"
            ) from error


@contextlib.contextmanager
def restored_signals() -> Iterator[None]:
    """Restore the handlers of signals: Ray Tune leaves its own for Ctrl-C, which ends nothing."""
    if threading.current_thread() is not threading.main_thread():  # Ray Tune sets none here
        yield
        return
    numbers = [getattr(signal, name) for name in HANDLED if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ray_config(
    run: Run,
    name: str,
    resume: str | None,
    latency: bool = False,
    latency_limit: float | None = None,
    splits: int = 0,
) -> dict[str, Any]:
    """Return the configuration of a trial as Ray Tune passes it to `train_trial`.

    The settings are one JSON text, because Ray flattens and copies a configuration and keeps every
    copy.

    Args:
        run: the run.
        name: name of the trial.
        resume: URI of the checkpoint to resume from, or None.
        latency: whether the trial measures the latency of its model.
        latency_limit: latency in milliseconds above which the trial is not trained; None for none.
        splits: number of other splits of the images that a probe is scored on.
    """
    return {
        "trial": {
            "name": name,
            "config": json.dumps(run.recorder.configs[name].to_dict()),
            "cpus": run.options.run.cpus_per_trial,
            "resume": resume,
            "latency": latency,
            "latency_limit": latency_limit,
            "splits": splits,
            "timeout": run.options.run.trial_timeout,
        }
    }
