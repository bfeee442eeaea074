"""From options and trials to a finished run folder: data, Ray, Ray Tune, tables, best model."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

# Read when ray is imported. Ours are the tables, the loggers and what the terminal shows.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")  # a diverged trial has no score
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # keeps the GPU setting, quietly
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "200")  # a search knows how many
# Nothing is restored from Ray's own state, which takes longer to write the more trials there are.
os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "3600")
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
from ray.tune.search import Searcher
from rich.console import Console

from trainables.config import TrialConfig
from trainables.data import ImageDataset, Split, TrainingData, split
from trainables.errors import InputError
from trainables.models import build_model, parameter_count
from trainables.sources import load_dataset
from trainables.trainable import train_trial
from tune_jobs.options import STARTED, JobOptions, RunOptions, checked_run
from tune_jobs.plan import PLANS_FOLDER, Clock, Plan, make_plan, plan_file, print_plan
from tune_jobs.progress import TerminalProgress, duration
from tune_jobs.recorder import Recorder, trial_name
from tune_jobs.run_record import continued, describe_run
from tune_jobs.schedulers import build_scheduler
from tune_jobs.storage import RUN_FILE, RunFolder
from tune_jobs.summary import conclude, finish
from tune_jobs.tracking import tracking_callbacks

WORKER_RETRIES = 3
SMOKE_TRAIN, SMOKE_VALIDATION = 512, 256


@dataclass(frozen=True)
class Run:
    """A run that is under way: what a job works with."""

    job: str
    options: JobOptions
    folder: RunFolder
    recorder: Recorder
    dataset: ImageDataset
    data: TrainingData
    console: Console


class Search(Protocol):
    """What proposes trials while others run."""

    trials: int
    """Of the run, in all."""

    def examples(self, count: int) -> list[TrialConfig]:
        """Trials such as it may propose."""

    def check(self, record: dict[str, Any]) -> None:
        """Raise InputError if the search cannot be what run.json says; nothing is written yet."""

    def open(self, run: Run, record: dict[str, Any]) -> dict[str, TrialConfig]:
        """Begin, or go on.

        Args:
            run: this one.
            record: its run.json.

        Returns:
            The trials that an earlier driver began, by name.

        Raises:
            InputError: it cannot.
        """

    def describe(self) -> dict[str, Any]:
        """The parts of run.json that say what is searched and how it ended."""

    def left(self, names: dict[str, str | None]) -> dict[str, str | None]:
        """Those of the trials without an end, and their checkpoints, that go on."""

    def samples(self) -> int:
        """How many trials may still begin."""

    def searcher(self, left: dict[str, str | None], places: Callable[[], int]) -> Searcher:
        """What Ray Tune asks for trials: those in `left` first, as many at a time as `places`."""

    def callback(self) -> tune.Callback:
        """What learns how trials went, after the recorder."""

    def stopper(self) -> tune.Stopper:
        """What ends the run."""

    def settle(self) -> None:
        """Give the trials an end that still ran when the run was ended."""

    def draw(self) -> None:
        """Write the figures, when the tables are complete."""

    def notes(self) -> list[str]:
        """Lines on what was found."""

    def commands(self) -> list[str]:
        """What a person may type next."""

    def close(self) -> None:
        """Let go of everything."""


def run(
    job: str, options: JobOptions, trials: dict[str, TrialConfig], search: Search | None = None
) -> int:
    """Train trials on Ray Tune and leave a complete run folder.

    Args:
        job: name of the job, and of the run where none is given.
        options: the command line.
        trials: what to train, by name.
        search: proposes trials; there are none in `trials` then.

    Returns:
        The exit code: 0, 1 if no trial was trained to an end, 130 after Ctrl-C.

    Raises:
        InputError: something a person gave cannot be used; nothing has been started then.
    """
    console = Console(width=None if sys.stdout.isatty() else 100)  # a log has no width of its own
    checked_run(options.run)
    folder = find_folder(job, options.run)
    trackers = tracking_callbacks(options.run.track, folder)
    dataset, parts, data = load_data(options)
    run = Run(job, options, folder, Recorder(folder), dataset, data, console)
    add_trials(run, trials)
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
        if search:
            search.check(record)
        if options.run.plan:
            plan_run(run, trials, search, gpus)
            return 0
        folder.make()
        stack.enter_context(folder.lock())
        if options.run.resume:
            record = continued(folder.read_json(RUN_FILE), record)
        folder.write_json(RUN_FILE, record)
        if search:
            add_trials(run, search.open(run, record))
            stack.callback(search.close)
            folder.write_json(RUN_FILE, record := record | search.describe())
        left = run.recorder.restore() if options.run.resume else dict.fromkeys(trials)
        if search:
            left = search.left(left)
        run.recorder.write(force=True)
        samples = len(left) + (search.samples() if search else 0)
        if samples:
            tune_trials(run, left, samples, search, trackers, gpus)
        if search:
            search.settle()
            record |= search.describe()
        run.recorder.close()
        finish(folder, run.recorder, data, record)
        if search:
            search.draw()
    notes, commands = (search.notes(), search.commands()) if search else ([], [])
    code = conclude(folder, run.recorder, record, options.run, console, notes, commands)
    if not options.run.resume:
        compare_plan(options, console)
    return code


def plan_run(run: Run, trials: dict[str, TrialConfig], search: Search | None, gpus: float) -> None:
    """Print what the run would take, and keep that to compare the run with."""

    def train(
        folder: RunFolder, probed: dict[str, TrialConfig], part: TrainingData, clock: Clock
    ) -> Recorder:
        folder.make()
        probe = dataclasses.replace(
            run, folder=folder, recorder=Recorder(folder), data=part, console=Console(quiet=True)
        )
        add_trials(probe, probed)
        tune_trials(probe, dict.fromkeys(probed), len(probed), None, [clock], gpus)
        return probe.recorder

    options = run.options
    places = Places(options.run, gpus)()
    examples = search.examples(places) if search else list(trials.values())
    count = search.trials if search else len(trials)
    plan = make_plan(options, count, examples, run.data, places, train)
    print_plan(plan, options.run.price_per_hour, run.console)
    kept = RunFolder.at(options.run.storage_path).child(PLANS_FOLDER)
    kept.make()
    kept.write_json(plan_file(options), dataclasses.asdict(plan))


def compare_plan(options: JobOptions, console: Console) -> None:
    """Print planned against actual time, where the same run was planned before."""
    kept = RunFolder.at(options.run.storage_path).child(PLANS_FOLDER)
    if kept.has(plan_file(options)):
        plan = Plan(**kept.read_json(plan_file(options)))
        planned, took = plan.seconds(share=plan.share), time.monotonic() - STARTED
        console.print(
            f"planned {duration(planned)}, took {duration(took)} ({took / planned - 1:+.0%})",
            highlight=False,
        )


def add_trials(run: Run, trials: dict[str, TrialConfig]) -> None:
    """Enter trials into the tables; raises InputError if a model cannot be built."""
    for name, config in trials.items():
        run.recorder.add(name, config, count_parameters(config, run.data))


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
    run: Run,
    left: dict[str, str | None],
    samples: int,
    search: Search | None,
    trackers: list[tune.Callback],
    gpus: float,
) -> None:
    """Train the trials in `left` from their checkpoints, and what a search proposes.

    A resumed run is a new experiment for Ray, over the trials that have not ended: what has been
    done is in the checkpoints and tables, so nothing depends on a state of Ray's, which a kill
    can leave behind them or empty.
    """
    options, recorder = run.options.run, run.recorder
    places = Places(options, gpus)
    progress = TerminalProgress(
        recorder, run.console, places, len(recorder.rows) - len(left) + samples
    )
    callbacks = [recorder, progress, *trackers]
    space: dict[str, Any] = {}
    chosen: dict[str, Any] = {}
    if search:
        callbacks.insert(1, search.callback())
        chosen = {"search_alg": search.searcher(left, places), "num_samples": samples}
    else:
        trials = [
            ray_config(name, recorder.configs[name], options, resume)["trial"]
            for name, resume in left.items()
        ]
        space["trial"] = tune.grid_search(trials)
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(train_trial, data=run.data),
            {"cpu": options.cpus_per_trial, "gpu": gpus},
        ),
        param_space=space,
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            max_concurrent_trials=None if search else options.max_concurrent,
            scheduler=build_scheduler(run.options, recorder.epochs),
            trial_name_creator=trial_name,
            trial_dirname_creator=trial_name,
            **chosen,
        ),
        run_config=tune.RunConfig(
            name=run.folder.name,
            storage_path=run.folder.uri.rsplit("/", 1)[0],
            failure_config=tune.FailureConfig(max_failures=WORKER_RETRIES),
            callbacks=callbacks,
            stop=search.stopper() if search else None,
            verbose=0,
        ),
    )
    # A polite kill ends a run as well as Ctrl-C does, which Ray Tune catches; Ray's own handler
    # would abort.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    with progress.live:
        tuner.fit()


class Places:
    """How many trials can run at a time, as nodes come and go; it is asked for often."""

    LOOK_EVERY_S = 2.0

    def __init__(self, options: RunOptions, gpus: float):
        self.options, self.gpus = options, gpus
        self.seen, self.next_look = 0, 0.0

    def __call__(self) -> int:
        """Trials that --max-concurrent allows, else those that the cluster has room for now."""
        if self.options.max_concurrent is not None:
            return self.options.max_concurrent
        if time.monotonic() >= self.next_look:
            self.next_look = time.monotonic() + self.LOOK_EVERY_S
            resources = ray.cluster_resources()
            self.seen = int(resources.get("CPU", 1) // self.options.cpus_per_trial)
            if self.gpus:
                self.seen = min(self.seen, int(resources.get("GPU", 0) / self.gpus))
        return self.seen


def ray_config(
    name: str,
    config: TrialConfig,
    options: RunOptions,
    resume: str | None,
    latency: bool = False,
) -> dict[str, Any]:
    """A trial as Ray Tune hands it to `train_trial`."""
    return {
        "trial": {
            "name": name,
            "config": config.to_dict(),
            "cpus": options.cpus_per_trial,
            "resume": resume,
            "latency": latency,
        }
    }
