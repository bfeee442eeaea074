"""Trials through Ray Tune: what is tried, and how it is trained."""

from __future__ import annotations

import functools
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from ray import tune
from ray.tune.schedulers import TrialScheduler
from rich.console import Console

from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.models import build_model, parameter_count
from trainables.models.weights import Weights
from trainables.trainable import train_trial
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.ray_runtime.capacity import TrialResources, TrialSlots
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.tuning.node_failures import LostMachines
from tune_jobs.tuning.progress import TerminalProgress
from tune_jobs.tuning.recorder import Recorder, trial_name
from tune_jobs.tuning.schedulers import build_scheduler

WORKER_RETRIES = 3


@dataclass(frozen=True)
class Run:
    """A run that is under way: what a job works with."""

    command: CommandLine[JobOptions]
    folder: RunFolder
    recorder: Recorder
    data: TrainingData
    weights: dict[str, Weights]
    """What training starts from, by model; empty where that is random."""
    console: Console

    @property
    def options(self) -> JobOptions:
        """The options of the job."""
        return self.command.options


class Search:
    """What is tried in a run, and what is made of how it went. Here nothing beyond the trials."""

    trials: int
    """Of the run, in all."""
    changes: bool = False
    """Whether the scheduler changes the settings of trials while they run."""

    def examples(self, count: int) -> list[TrialConfig]:
        """Trials such as the run will have."""
        raise NotImplementedError

    def models(self) -> dict[str, str]:
        """Networks that trials may have, and the weights that each starts from."""
        raise NotImplementedError

    def check(self, folder: RunFolder, record: dict[str, Any]) -> None:
        """Raise InputError if this cannot be done with what run.json says; nothing is written."""

    def begin(self, folder: RunFolder) -> None:
        """Write what --resume reads, before run.json makes the folder a run."""

    def open(self, run: Run, record: dict[str, Any]) -> dict[str, TrialConfig]:
        """Begin, or go on.

        Args:
            run: this one.
            record: its run.json.

        Returns:
            The trials that are known already, by name.

        Raises:
            InputError: it cannot.
        """
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """The parts of run.json that say what is tried, and how it ended."""
        raise NotImplementedError

    def left(self, names: dict[str, str | None]) -> dict[str, str | None]:
        """Those of the trials without an end, and their checkpoints, that go on."""
        return names

    def samples(self) -> int:
        """How many trials that are not known yet may begin."""
        return 0

    def tuner_arguments(
        self, run: Run, left: dict[str, str | None], places: Callable[[], int]
    ) -> dict[str, Any]:
        """`param_space`, and what else of TuneConfig says which trials there are."""
        raise NotImplementedError

    def scheduler(self, run: Run) -> TrialScheduler:
        """What stops, pauses or changes trials while they run."""
        return build_scheduler(run.options, run.recorder.epochs)

    def callbacks(self) -> list[tune.Callback]:
        """What learns how trials went, after the recorder."""
        return []

    def stopper(self) -> tune.Stopper | None:
        """What ends the run."""
        return None

    def settle(self) -> None:
        """Give the trials an end that still ran when the run was ended."""

    def draw(self) -> None:
        """Write figures, when the tables are complete."""

    def notes(self) -> list[str]:
        """Lines on what was found."""
        return []

    def commands(self) -> list[str]:
        """What a person may type next."""
        return []

    def close(self) -> None:
        """Let go of everything."""


class Grid(Search):
    """Trials that are all known from the start."""

    def __init__(self, known: dict[str, TrialConfig]):
        self.known, self.trials = known, len(known)

    def examples(self, count: int) -> list[TrialConfig]:
        """Every k-th, as those of a network stand together."""
        every = -(-len(self.known) // count)
        return list(self.known.values())[::every]

    def models(self) -> dict[str, str]:
        """Those of the trials."""
        return {config.model: config.weights for config in self.known.values()}

    def open(self, run: Run, record: dict[str, Any]) -> dict[str, TrialConfig]:
        """All of them."""
        return self.known

    def describe(self) -> dict[str, Any]:
        """The trials."""
        return {
            "search": {"algorithm": "grid"},
            "budget": {
                "trials": len(self.known),
                "epochs": sum(config.epochs for config in self.known.values()),
            },
            "trials": {name: config.to_dict() for name, config in self.known.items()},
        }

    def tuner_arguments(
        self, run: Run, left: dict[str, str | None], places: Callable[[], int]
    ) -> dict[str, Any]:
        """Ray's own grid search, over one setting that is the whole trial."""
        trials = [ray_config(run, name, resume)["trial"] for name, resume in left.items()]
        return {
            "param_space": {"trial": tune.grid_search(trials)},
            "max_concurrent_trials": run.options.run.max_concurrent,
        }


def add_trials(run: Run, trials: dict[str, TrialConfig]) -> None:
    """Enter trials into the tables; raises InputError if a model cannot be built."""
    for name, config in trials.items():
        run.recorder.add(name, config, count_parameters(config, run.data))


def count_parameters(config: TrialConfig, data: TrainingData) -> int:
    """Learnable parameters of a trial's model; raises InputError if it cannot be built."""
    size = config.input_size or data.image_size
    return _parameters(config.model, len(data.classes), size, json.dumps(config.build_args))


@functools.cache
def _parameters(model: str, num_classes: int, image_size: int, arguments: str) -> int:
    with torch.device("meta"):
        return parameter_count(build_model(model, num_classes, image_size, **json.loads(arguments)))


def tune_trials(
    run: Run,
    search: Search,
    left: dict[str, str | None],
    trackers: list[tune.Callback],
    resources: TrialResources,
) -> None:
    """Train the trials in `left` from their checkpoints, and those that the search proposes.

    A resumed run is a new experiment for Ray, over the trials that have not ended: what has been
    done is in the checkpoints and tables, so nothing depends on a state of Ray's, which a kill
    can leave behind them or empty.
    """
    recorder = run.recorder
    places = TrialSlots(resources, run.options.run.max_concurrent)
    samples = search.samples()
    arguments = search.tuner_arguments(run, left, places)
    progress = TerminalProgress(recorder, run.console, places, len(recorder.rows) + samples)
    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(train_trial, data=run.data, weights=run.weights),
            {"cpu": resources.cpus, "gpu": resources.gpus},
        ),
        param_space=arguments.pop("param_space"),
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            scheduler=search.scheduler(run),
            trial_name_creator=trial_name,
            trial_dirname_creator=trial_name,
            **arguments,
        ),
        run_config=tune.RunConfig(
            name=run.folder.name,
            storage_path=run.folder.parent.uri,
            failure_config=tune.FailureConfig(max_failures=WORKER_RETRIES),
            callbacks=[recorder, *search.callbacks(), progress, LostMachines(), *trackers],
            stop=search.stopper(),
            verbose=0,
        ),
    )
    # A polite kill ends a run as well as Ctrl-C does, which Ray Tune catches; Ray's own handler
    # would abort.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    with progress.live:
        tuner.fit()


def ray_config(run: Run, name: str, resume: str | None, latency: bool = False) -> dict[str, Any]:
    """A trial as Ray Tune hands it to `train_trial`.

    The settings are one text: Ray flattens and copies what it hands out, and keeps each copy.
    """
    return {
        "trial": {
            "name": name,
            "config": json.dumps(run.recorder.configs[name].to_dict()),
            "cpus": run.options.run.cpus_per_trial,
            "resume": resume,
            "latency": latency,
        }
    }
