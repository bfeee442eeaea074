"""From options and trials to a finished run folder: data, Ray, Ray Tune, tables, best model."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import os
import platform
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Read when ray is imported. Ours are the tables, the loggers and what the terminal shows.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")  # a diverged trial has no score
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # keeps the GPU setting, quietly
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")

import ray
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from rich.console import Console
from rich.table import Table

from trainables.config import TrialConfig
from trainables.data import ImageDataset, Split, TrainingData, split
from trainables.errors import InputError
from trainables.loop import input_statistics
from trainables.metrics import TARGET
from trainables.models import build_model, parameter_count
from trainables.sources import load_dataset
from trainables.trainable import train_trial
from tune_jobs.analysis.figures import curves_info, plot_curves
from tune_jobs.analysis.results import FORMAT, load_epochs
from tune_jobs.options import JobOptions, RunOptions, checked_run, flatten
from tune_jobs.progress import TerminalProgress, duration
from tune_jobs.recorder import Recorder
from tune_jobs.storage import BEST_FOLDER, CURVES_FILE, RUN_FILE, RunFolder
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
    console = Console()
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
        f"validate with, {len(parts.test):,} sealed for the final comparison; "
        f"{len(dataset.classes)} classes",
        highlight=False,
    )
    with ray_session(options.run):
        gpus = checked_resources(options.run)
        record = describe_run(job, options, trials, dataset, parts)
        folder.make()
        if options.run.resume:
            record = continued(folder.read_json(RUN_FILE), record)
            left = recorder.restore()
        else:
            left = list(trials)
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
            build_model(config.model, len(data.classes), data.image_size, **config.model_args)
        )


@contextlib.contextmanager
def ray_session(options: RunOptions) -> Iterator[None]:
    """A local Ray of our own, or a connection to a cluster, given back in the end.

    Raises:
        InputError: no cluster answers at the address.
    """
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
    # Failed and interrupted trials are in our tables and on our terminal.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        ray.shutdown()


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
    left: list[str],
    trials: dict[str, TrialConfig],
    data: TrainingData,
    folder: RunFolder,
    recorder: Recorder,
    options: RunOptions,
    gpus: float,
    console: Console,
) -> None:
    """Train the trials in `left`, each from where it is, until they end or Ctrl-C is pressed.

    A resumed run is a new experiment for Ray, over the trials that have not ended: what has been
    done is in the checkpoints and tables, so nothing depends on a state of Ray's, which a kill
    can leave behind them or empty.
    """
    cpus = options.cpus_per_trial
    space = [
        {"name": name, "config": trials[name].to_dict(), "cpus": cpus} for name in left
    ]
    parallel = int(ray.cluster_resources().get("CPU", 1) // cpus)
    if gpus:
        parallel = min(parallel, int(ray.cluster_resources()["GPU"] / gpus))
    progress = TerminalProgress(
        recorder, console, min(parallel, options.max_concurrent or parallel)
    )
    trainable = tune.with_resources(
        tune.with_parameters(train_trial, data=data, run_path=folder.uri),
        {"cpu": cpus, "gpu": gpus},
    )
    tuner = tune.Tuner(
        trainable,
        param_space={"trial": tune.grid_search(space)},
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            max_concurrent_trials=options.max_concurrent,
            scheduler=build_scheduler(options.scheduler, max(t.epochs for t in trials.values())),
            trial_name_creator=trial_folder,
            trial_dirname_creator=trial_folder,
        ),
        run_config=tune.RunConfig(
            name=folder.path.rsplit("/", 1)[-1],
            storage_path=folder.uri.rsplit("/", 1)[0],
            failure_config=tune.FailureConfig(max_failures=WORKER_RETRIES),
            callbacks=[recorder, progress, *tracking_callbacks(options.track, folder)],
            verbose=0,
        ),
    )
    # Ctrl-C is Ray Tune's to catch; a polite kill shall end a run as well as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    with progress.live:
        tuner.fit()


def trial_folder(trial: Any) -> str:
    """Our name of a trial is its name and its folder for Ray too."""
    name: str = trial.config["trial"]["name"]
    return name


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


def describe_run(
    job: str,
    options: JobOptions,
    trials: dict[str, TrialConfig],
    dataset: ImageDataset,
    parts: Split,
) -> dict[str, Any]:
    """What run.json holds at the start of a run."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    packages = ("bakeoff", "ray", "torch", "torchvision", "numpy", "pyarrow")
    return {
        "format": FORMAT,
        "job": job,
        "command": shlex.join(["python", *sys.argv]),
        "status": "running",
        "started": now(),
        "ended": None,
        "resumed": [],
        "options": dataclasses.asdict(options),
        "dataset": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "classes": list(dataset.classes),
            "image_size": int(dataset.images.shape[1]),
            "images": len(dataset.images),
        },
        "split": {
            "seed": options.data.split_seed,
            "shares": options.training.split,
            "train": len(parts.train),
            "validation": len(parts.validation),
            "test": len(parts.test),
        },
        "search": {"algorithm": "grid", "scheduler": options.run.scheduler},
        "budget": {
            "trials": len(trials),
            "epochs": sum(config.epochs for config in trials.values()),
        },
        "trials": {name: config.to_dict() for name, config in trials.items()},
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in packages},
        },
        "commit": git_commit(),
        "hardware": {
            "machine": platform.machine(),
            "nodes": len(nodes),
            "cpus": sum(node["Resources"].get("CPU", 0) for node in nodes),
            "gpus": sum(node["Resources"].get("GPU", 0) for node in nodes),
            "capabilities": sorted(
                name for name, has in torch.cpu.get_capabilities().items() if has is True
            ),
        },
    }


def continued(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The record of a resumed run: the old one, and when it was resumed.

    Raises:
        InputError: the images are not those that the run was started with.
    """
    for key in ("dataset", "split"):
        before, after = old[key], {**new[key]}
        # A path may be another on another machine.
        if {**before, "name": ""} != {**after, "name": ""} and key == "dataset":
            raise InputError(
                f"{after['name']} has fingerprint {after['fingerprint']}, and the run was started "
                f"on {before['fingerprint']}: give it the images it began with, or start another"
            )
    return {**old, "status": "running", "resumed": [*old["resumed"], new["started"]]}


def git_commit() -> str | None:
    """The commit of this source tree, marked when it has been changed; None outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def now() -> str:
    """This moment in UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def finish(
    folder: RunFolder,
    recorder: Recorder,
    trials: dict[str, TrialConfig],
    data: TrainingData,
    record: dict[str, Any],
) -> None:
    """Write what is made of a run's tables: best/, curves.png and the end of run.json."""
    best = best_row(recorder)
    if best is not None:
        write_best(folder, best, trials[best["trial"]], data, record)
        picture = io.BytesIO()
        plot_curves(curves_info(load_epochs(folder.uri))).savefig(picture, dpi=120)
        folder.write(CURVES_FILE, picture.getvalue())
    statuses = {row["status"] for row in recorder.rows.values()}
    unfinished = statuses & {"pending", "interrupted"}
    record |= {"status": "interrupted" if unfinished else "finished", "ended": now()}
    folder.write_json(RUN_FILE, record)


def best_row(recorder: Recorder) -> dict[str, Any] | None:
    """The trial with the highest validation accuracy; of equals the one with the lower loss."""
    scored = [row for row in recorder.rows.values() if row.get("checkpoint")]
    return max(
        scored, key=lambda row: (row[f"best/{TARGET}"], -row["best/val_loss"]), default=None
    )


def write_best(
    folder: RunFolder,
    row: dict[str, Any],
    config: TrialConfig,
    data: TrainingData,
    record: dict[str, Any],
) -> None:
    """Write best/: weights, and all that is needed to rebuild the model without the run."""
    from trainables.checkpoint import BEST_FILE

    best = folder.child(BEST_FOLDER)
    best.make()
    best.write("model.safetensors", folder.read(f"{row['checkpoint']}/{BEST_FILE}"))
    mean, std = input_statistics(config, data)
    best.write_json(
        "model.json",
        {
            "format": FORMAT,
            "model": config.model,
            "model_args": config.model_args,
            "classes": list(data.classes),
            "image_size": data.image_size,
            "mean": mean,
            "std": std,
            "trial": row["trial"],
            "epoch": row["best/epoch"],
            TARGET: row[f"best/{TARGET}"],
            "dataset": record["dataset"]["fingerprint"],
        },
    )


def conclude(
    folder: RunFolder,
    recorder: Recorder,
    record: dict[str, Any],
    options: RunOptions,
    console: Console,
) -> int:
    """Print the table, the best trial and what to type next; returns the exit code."""
    rows = list(recorder.rows.values())
    best = best_row(recorder)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("trial")
    for heading in ("epochs", "train loss", "val loss", "best val accuracy", "time", "images/s"):
        table.add_column(heading, justify="right")
    table.add_column("status")
    for row in rows:
        cells = [row["trial"], str(row.get("epochs") or 0)]
        if row.get("epochs"):
            cells += [
                f"{row['last/train_loss']:.4f}",
                f"{row['last/val_loss']:.4f}",
                f"{row[f'best/{TARGET}']:.2%} (epoch {row['best/epoch']})",
                duration(row["seconds"]),
                f"{row['images_per_second']:,.0f}",
            ]
        else:
            cells += [""] * 5
        table.add_row(*cells, row["status"], style="bold green" if row is best else None)
    console.print()
    console.print(table)
    console.print()
    say = lambda text: console.print(text, highlight=False, soft_wrap=True)  # noqa: E731
    if best is not None:
        say(
            f"Best: [bold]{best['trial']}[/] with {best[f'best/{TARGET}']:.2%} of the validation "
            f"images right after epoch {best['best/epoch']}"
        )
    say(f"Written to {folder.uri}")
    failed = [row["trial"] for row in rows if row["status"] == "failed"]
    for row in rows:
        if row["status"] in ("failed", "diverged"):
            say(f"[red]{row['trial']} {row['status']}[/]: {row['error'].strip().splitlines()[-1]}")
    resume = shlex.join(
        ["python", sys.argv[0], "--name", folder.path.rsplit("/", 1)[-1]]
        + (["--storage-path", options.storage_path] if options.storage_path != "./runs" else [])
        + (["--address", options.address] if options.address else [])
        + ["--resume"]
    )
    if record["status"] == "interrupted":
        say(f"\nInterrupted. To go on where it stopped:\n  {resume}")
        return 130
    if failed:
        say(f"\nTo try {', '.join(failed)} again:\n  {resume}")
    say(
        "\nNext:\n"
        f"  python -c \"from tune_jobs.analysis.results import load_trials; "
        f"print(load_trials('{folder.uri}'))\"\n"
        f"  tensorboard --logdir {folder.uri}"
    )
    return 0 if best is not None else 1
