"""A pilot run: train a few epochs of the trials of a run, and extrapolate to the whole run."""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, cycle, islice
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

from ray.tune.experiment import Trial

from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.status import TrialStatus
from trainables.trial_images import TrialImages
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.run_folder.records import TrialRow
from tune_jobs.run_folder.schema import training_seconds
from tune_jobs.tuning.callbacks import DriverCallback, trial_name
from tune_jobs.tuning.data import views_of
from tune_jobs.tuning.schedulers import REDUCTION, grace_period

PILOT_IMAGES, PILOT_EPOCHS = 3000, 4
"""Approximate number of training images, and number of epochs, of the pilot run's trials."""
PILOT_SHARE, LEAST_IMAGES = 0.2, 500
"""Share of the images that a trial of the run reads that one of the pilot may read, unless that are
fewer training images than the second number: a pilot must not take as long as the run."""

Kind: TypeAlias = tuple[str, str, int]
"""Model, mode and image size of a trial."""


class Clock(DriverCallback):
    """Callback that records the times at which trials report epochs."""

    def __init__(self) -> None:
        self.reports: dict[str, list[float]] = {}
        """Times of the reports of each trial, in seconds on the clock of time.monotonic."""
        self.made = time.monotonic()
        self.waited_s = 0.0
        """Seconds until the first trial had a worker process."""

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Record how long the first trial waited for a worker process."""
        if not self.waited_s:
            self.waited_s = time.monotonic() - self.made

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Record the time of an epoch."""
        if "epoch" in result:
            self.reports.setdefault(trial_name(trial), []).append(time.monotonic())


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Estimated time, memory and disk space of a run."""

    trials: int
    """Number of trials of the run."""
    epochs: int
    """Number of epochs of each trial."""
    share: float
    """Expected fraction of all epochs that the scheduler lets trials train, above 0, at most 1."""
    slots: int
    """Number of concurrent trials on one node."""
    at_once: int
    """Number of concurrent trials of the run, on all nodes that it may use."""
    start_s: float
    """Time before the first epoch starts and after the last one ends, in seconds."""
    epoch_s: float
    """Time of one epoch while all slots are taken, validation and checkpoint included, in
    seconds."""
    checkpoint_mb: float
    """Size of the checkpoint of one trial, in MB."""
    features_s: float = 0.0
    """Time in which one slot computes the backbone features of all probes, in seconds; less if the
    cache had them."""
    decoding_s: float = 0.0
    """Time in which a node decodes all images, in seconds; little if the cache had them."""
    images_mb: float = 0.0
    """Size of the decoded images on the disk of each node, in MB."""
    memory_mb: dict[str, float]
    """Peak memory of a trial by model, shared images included, in MB."""

    def seconds(self, at_once: int, share: float = 1.0) -> float:
        """Return the estimated wall time of the run in seconds.

        Args:
            at_once: number of concurrent trials.
            share: fraction of their epochs that trials train, above 0, at most 1.
        """
        rounds = math.ceil(self.trials / at_once)
        training_s = rounds * self.epochs * share * self.epoch_s
        return self.start_s + training_s + self.features_s / at_once


def make_plan(
    command: CommandLine[JobOptions],
    trials: int,
    examples: list[TrialConfig],
    data: TrialImages,
    slots: int,
    at_once: int,
    cold: bool,
    train: Callable[[RunFolder, dict[str, TrialConfig], TrialImages, Clock], dict[str, TrialRow]],
    decoding_s: float = 0.0,
) -> Plan:
    """Train a few epochs of example trials on a subset of the images, and extrapolate.

    Args:
        command: command line of the job.
        trials: number of trials of the run.
        examples: configurations of some trials; at least one of each model and mode is trained.
        data: training and validation images of the run.
        slots: number of concurrent trials on one node.
        at_once: number of concurrent trials of the run.
        cold: whether a node has to start first, which the plan does not include.
        train: trains trials, by name, on a subset of the images as the run would, with a clock
            among the callbacks, and returns their rows of trials.parquet.
        decoding_s: seconds that this job took to decode images, which the run finds in the cache.

    Raises:
        InputError: no example completed two epochs.
        KeyboardInterrupt: the pilot run was interrupted.
    """
    options = command.options
    subset, fraction = data.subsample(pilot_images(options.training.epochs, len(data.train_labels)))
    configs = {
        f"pilot-{i}": config
        if config.mode == "probe"
        else dataclasses.replace(config, epochs=PILOT_EPOCHS, patience=None)
        for i, config in enumerate(pilot_trials(examples, slots, trials))
    }
    clock = Clock()
    with tempfile.TemporaryDirectory() as parent:
        folder = RunFolder.at(Path(parent, "pilot"))
        rows = train(folder, configs, subset, clock)
        end = time.monotonic()
        checkpoints = [
            sum(file.stat().st_size for file in Path(folder.path, checkpoint).iterdir())
            for row in rows.values()
            if (checkpoint := row.get("checkpoint"))
        ]
    # The first epoch includes the warm-up. Of a probe, only computing the features takes time.
    probes = {n for n in clock.reports if configs[n].mode == "probe"}
    epochs = {n: (r[-1] - r[0]) / (len(r) - 1) for n, r in clock.reports.items() if len(r) > 1}
    epochs |= dict.fromkeys(probes, 0.0)
    if any(TrialStatus(row["status"]).is_open for row in rows.values()):
        raise KeyboardInterrupt  # Ray Tune has ended the pilot run in its own way
    if not epochs:
        errors = {row.get("error") or row["status"] for row in rows.values()}
        raise InputError(
            f"no trial of the pilot run completed two epochs ({errors}): fix the error, then "
            "run --plan again"
        )
    features: dict[Kind, float] = {}
    for name in probes:
        features[kind(configs[name])] = rows[name]["features_s"]  # once for all on a network
    by_kind: dict[Kind, list[float]] = {}
    memory: dict[str, float] = {}
    for name, seconds in epochs.items():
        config = configs[name]
        by_kind.setdefault(kind(config), []).append(seconds)
        used = rows[name]["peak_memory_mb"]
        memory[config.model] = max(used, memory.get(config.model, 0.0))
    # Each model and mode is weighted by its number of trials.
    kinds = [kind(config) for config in examples if kind(config) in by_kind]
    epoch_s = sum(fmean(by_kind[each]) for each in kinds) / len(kinds)
    first = min(epochs, key=lambda name: clock.reports[name][0])
    last = max(reports[-1] for reports in clock.reports.values())
    waited = clock.waited_s if cold else 0.0
    before_s = clock.reports[first][0] - command.started - waited - decoding_s
    training_s = sum(training_seconds([rows[first]])) if first in probes else epochs[first]
    cached = sum(map(data.images.nbytes, views_of(examples))) if data.images.limit else 0
    return Plan(
        trials=trials,
        epochs=options.training.epochs,
        share=expected_share(options),
        slots=slots,
        at_once=at_once,
        # Features that were in the cache took none of this time.
        start_s=(before_s - training_s if training_s < before_s else before_s) + end - last,
        epoch_s=epoch_s / fraction,
        features_s=sum(features.values()) / fraction,
        checkpoint_mb=max(checkpoints) / 1e6,
        memory_mb=memory,
        decoding_s=decoding_s,
        images_mb=cached / 1e6,
    )


def pilot_images(epochs: int, images: int) -> int:
    """Return the approximate number of training images of a pilot of trials.

    Args:
        epochs: number of epochs of each trial.
        images: number of training images.
    """
    allowed = int(PILOT_SHARE * epochs * images / PILOT_EPOCHS)
    return min(PILOT_IMAGES, max(LEAST_IMAGES, allowed))


def kind(config: TrialConfig) -> Kind:
    """Return model, mode and image size of a trial, on which its time and memory depend most."""
    return config.model, config.mode, config.network_size(0)


def pilot_trials(examples: list[TrialConfig], slots: int, trials: int) -> list[TrialConfig]:
    """Return a trial of each model, mode and size, and more trials until all slots are taken."""
    firsts = list({kind(config): config for config in reversed(examples)}.values())[::-1]
    others = [config for config in examples if config not in firsts]
    wanted = min(math.ceil(len(firsts) / slots) * slots, trials)
    # A large node may have more slots than there are examples.
    return list(islice(chain(firsts, others, cycle(examples)), wanted))


def expected_share(options: JobOptions) -> float:
    """Return the fraction of epochs that are trained if a third of the trials passes each rung."""
    epochs = options.training.epochs
    if options.scheduler in ("fifo", "pbt"):  # neither stops a trial
        return 1.0
    total, reached, alive = 0.0, 0, 1.0
    rung = grace_period(epochs)
    while reached < epochs:
        rung = min(rung, epochs)
        total += alive * (rung - reached)
        reached, alive, rung = rung, alive / REDUCTION, rung * REDUCTION
    return total / epochs
