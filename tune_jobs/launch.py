"""From options and trials to a finished run folder: data, Ray, Ray Tune, tables, best model."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

# Read when ray is imported. Ours are the tables, the loggers and what the terminal shows.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")  # a diverged trial has no score
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # keeps the GPU setting, quietly
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
# glibc keeps what each thread once held, and every trial is a new thread of its worker: without
# this a worker grew from 590 MB to 1,170 MB of its own memory over two trials.
os.environ.setdefault("MALLOC_ARENA_MAX", "1")
# A batch's activations go back to the system after every step otherwise, and come back as zeroed
# pages: 4% of the training time.
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**30))
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**30))

import ray
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from rich.console import Console

from trainables.config import TrialConfig
from trainables.data import ImageDataset, Split, TrainingData, split
from trainables.errors import InputError
from trainables.metrics import TARGET
from trainables.models import build_model, parameter_count
from trainables.sources import load_dataset
from trainables.trainable import train_trial
from tune_jobs.options import JobOptions, RunOptions, checked_run
from tune_jobs.progress import TerminalProgress
from tune_jobs.recorder import Recorder, trial_name
from tune_jobs.run_record import continued, describe_run
from tune_jobs.storage import RUN_FILE, RunFolder
from tune_jobs.summary import conclude, finish
from tune_jobs.tracking import tracking_callbacks

WORKER_RETRIES = 3
SMOKE_EPOCHS, SMOKE_TRAIN, SMOKE_VALIDATION = 2, 512, 256


def run(job: str, options: JobOptions, trials: dict[str, TrialConfig]) -> int:
    """Train the trials on Ray Tune and leave a complete run folder.

    Args:
        job: name of the job, and of the run where none is given.
        options: the command line.
        trials: what to train, by name.

    Returns:
        The exit code: 0, 1 if no trial was trained to an end, 130 after Ctrl-C.

    Raises:
        InputError: something a person gave cannot be used; nothing has been started then.
    """
    console = Console(width=None if sys.stdout.isatty() else 100)  # a log has no width of its own
    checked_run(options.run)
    if options.run.smoke_test:
        trials = {
            name: dataclasses.replace(config, epochs=SMOKE_EPOCHS)
            for name, config in trials.items()
        }
    folder = find_folder(job, options.run)
    dataset, parts, data = load_data(options)
    parameters = {name: count_parameters(config, data) for name, config in trials.items()}
    recorder = Recorder(folder, trials)
    for name, count in parameters.items():
        recorder.rows[name]["parameters"] = count
    console.print(
        f"{dataset.name}: {len(parts.train):,} images to train on, {len(parts.validation):,} to "
        f"validate with, {len(parts.test):,} sealed, {len(dataset.classes)} classes",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(ray_session(options.run))
        gpus = checked_resources(options.run)
        record = describe_run(job, options, trials, dataset, parts)
        folder.make()
        stack.enter_context(folder.lock())
        if options.run.resume:
            record = continued(folder.read_json(RUN_FILE), record)
            left = recorder.restore(trials)
        else:
            left = dict.fromkeys(trials)
        folder.write_json(RUN_FILE, record)
        recorder.write(force=True)
        if left:
            tune_trials(left, trials, data, folder, recorder, options.run, gpus, console)
        recorder.close()
        finish(folder, recorder, trials, data, record)
    return conclude(folder, recorder, record, options.run, console)


def find_folder(job: str, options: RunOptions) -> RunFolder:
    """The run's folder; nothing is created yet.

    Raises:
        InputError: the name is taken.
    """
    storage = RunFolder.at(options.storage_path)
    if options.resume:
        assert options.name is not None  # checked when the options were read
        return storage.child(options.name)
    if options.name is not None:
        folder = storage.child(options.name)
        if storage.has(options.name):
            raise InputError(
                f"there is a run {options.name!r} in {options.storage_path} already: choose "
                "another --name, or go on with it by --resume"
            )
        return folder
    number = 1
    while storage.has(name := job if number == 1 else f"{job}-{number}"):
        number += 1
    return storage.child(name)


def load_data(options: JobOptions) -> tuple[ImageDataset, Split, TrainingData]:
    """Read and cut the dataset; the test part goes no further than here."""
    given = options.data
    dataset = load_dataset(given.data, given.image_size, given.image_column, given.label_column)
    parts = split(dataset, options.training.split, given.split_seed)
    if options.run.smoke_test:
        parts = Split(
            parts.train[:: -(-len(parts.train) // SMOKE_TRAIN)],
            parts.validation[:: -(-len(parts.validation) // SMOKE_VALIDATION)],
            parts.test,
        )
    return dataset, parts, TrainingData.of(dataset, parts)


def count_parameters(config: TrialConfig, data: TrainingData) -> int:
    """Learnable parameters of a trial's model; raises InputError if it cannot be built."""
    with torch.device("meta"):
        return parameter_count(
            build_model(config.model, len(data.classes), data.image_size, **config.build_args)
        )


@contextlib.contextmanager
def ray_session(options: RunOptions) -> Iterator[None]:
    """A local Ray of our own, or a connection to a cluster, given back in the end.

    Where the process is connected already, that connection is used, and kept.

    Raises:
        InputError: no cluster answers at the address.
    """
    # Failed and interrupted trials are in our tables and on our terminal.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    if ray.is_initialized():
        yield
        return
    if options.address is not None:
        check_answers(options.address)
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    try:
        if options.address is None:
            ray.init("local", include_dashboard=False, **quiet)
        else:
            ray.init(options.address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        if options.address is None:
            raise
        raise InputError(
            f"no Ray cluster answers at {options.address} ({error}): check --address, or leave it "
            "out to start a local Ray"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def check_answers(address: str) -> None:
    """Raise InputError if nothing listens at host:port, where Ray would end the process.

    Addresses without a port, such as auto, are Ray's to look up.
    """
    if address.startswith("ray://"):
        raise InputError(
            f"--address {address} is Ray Client's, through which the job could not write its "
            "tables: run the job on the cluster with --address auto, by ray submit or ray job "
            "submit"
        )
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise InputError(
            f"nothing answers at {address} ({error}): check --address, or leave it out to start a "
            "local Ray"
        ) from error


def checked_resources(options: RunOptions) -> float:
    """GPUs a trial gets.

    Raises:
        InputError: no node of the cluster is large enough for a trial.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most_gpus = max(node.get("GPU", 0) for node in nodes)
    gpus = options.gpus_per_trial
    if gpus is None:
        gpus = 1.0 if most_gpus else 0.0
    for name, asked, most in (
        ("cpus", options.cpus_per_trial, max(node.get("CPU", 0) for node in nodes)),
        ("gpus", gpus, most_gpus),
    ):
        if asked > most:
            raise InputError(
                f"--{name}-per-trial {asked:g} is more than any machine of the cluster has: "
                f"give {most:g} or fewer"
            )
    return gpus


def tune_trials(
    left: dict[str, str | None],
    trials: dict[str, TrialConfig],
    data: TrainingData,
    folder: RunFolder,
    recorder: Recorder,
    options: RunOptions,
    gpus: float,
    console: Console,
) -> None:
    """Train the trials in `left` from their checkpoints, until they end or Ctrl-C is pressed.

    A resumed run is a new experiment for Ray, over the trials that have not ended: what has been
    done is in the checkpoints and tables, so nothing depends on a state of Ray's, which a kill
    can leave behind them or empty.
    """
    cpus = options.cpus_per_trial
    space = [
        {"name": name, "config": trials[name].to_dict(), "cpus": cpus, "resume": checkpoint}
        for name, checkpoint in left.items()
    ]
    parallel = int(ray.cluster_resources().get("CPU", 1) // cpus)
    if gpus:
        parallel = min(parallel, int(ray.cluster_resources()["GPU"] / gpus))
    progress = TerminalProgress(
        recorder, console, min(parallel, options.max_concurrent or parallel)
    )
    trainable = tune.with_resources(
        tune.with_parameters(train_trial, data=data),
        {"cpu": cpus, "gpu": gpus},
    )
    tuner = tune.Tuner(
        trainable,
        param_space={"trial": tune.grid_search(space)},
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            max_concurrent_trials=options.max_concurrent,
            scheduler=build_scheduler(options.scheduler, max(t.epochs for t in trials.values())),
            trial_name_creator=trial_name,
            trial_dirname_creator=trial_name,
        ),
        run_config=tune.RunConfig(
            name=folder.name,
            storage_path=folder.uri.rsplit("/", 1)[0],
            failure_config=tune.FailureConfig(max_failures=WORKER_RETRIES),
            callbacks=[recorder, progress, *tracking_callbacks(options.track, folder)],
            verbose=0,
        ),
    )
    # A polite kill ends a run as well as Ctrl-C does, which Ray Tune catches; Ray's own handler
    # would abort.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    with progress.live:
        tuner.fit()


def build_scheduler(name: str, epochs: int) -> TrialScheduler:
    """FIFO, or ASHA (Li et al. 2020) with a third of the trials going on at each rung."""
    if name == "fifo":
        return FIFOScheduler()
    return ASHAScheduler(
        time_attr="epoch",
        metric=TARGET,
        mode="max",
        max_t=epochs,
        grace_period=max(1, epochs // 9),
        reduction_factor=3,
    )
