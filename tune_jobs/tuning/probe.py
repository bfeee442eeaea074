"""A short probe of a run: a few epochs of its own trials, and what the run takes by that."""

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
from trainables.data import TrainingData, part_of
from trainables.errors import InputError
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.run_folder.records import TrialRow
from tune_jobs.tuning.callbacks import DriverCallback, trial_name
from tune_jobs.tuning.schedulers import REDUCTION, grace_period

PROBE_IMAGES, PROBE_EPOCHS = 3000, 4

Kind: TypeAlias = tuple[str, str]
"""A network and a mode."""


class Clock(DriverCallback):
    """Notes when each trial reported."""

    def __init__(self) -> None:
        self.reports: dict[str, list[float]] = {}
        self.made = time.monotonic()
        self.waited_s = 0.0
        """Until the first trial had a worker."""

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial has a worker."""
        if not self.waited_s:
            self.waited_s = time.monotonic() - self.made

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch."""
        if "epoch" in result:
            self.reports.setdefault(trial_name(trial), []).append(time.monotonic())


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run is expected to take on one machine."""

    trials: int
    epochs: int
    """Of each trial."""
    share: float
    """Of the epochs that the scheduler is expected to let trials have."""
    slots: int
    """Trials at a time on a node."""
    at_once: int
    """Trials at a time in the run, on all the machines that it may have."""
    start_s: float
    """Until the first trial trains, and from the last epoch to the end."""
    epoch_s: float
    """One epoch of one trial while all slots are taken, validation and checkpoint included."""
    checkpoint_mb: float
    """Of one trial."""
    memory_mb: dict[str, float]
    """The most that a trial of each network used, the images it shares included."""

    def seconds(self, at_once: int, share: float = 1.0) -> float:
        """Wall time with so many trials at a time, when they have that share of their epochs."""
        rounds = math.ceil(self.trials / at_once)
        return self.start_s + rounds * self.epochs * share * self.epoch_s


def make_plan(
    command: CommandLine[JobOptions],
    trials: int,
    examples: list[TrialConfig],
    data: TrainingData,
    slots: int,
    at_once: int,
    cold: bool,
    train: Callable[[RunFolder, dict[str, TrialConfig], TrainingData, Clock], dict[str, TrialRow]],
) -> Plan:
    """Train a few epochs of examples on part of the images, and reckon from that.

    Args:
        command: of the job.
        trials: of the run.
        examples: configs of some of them; one of each network and mode is trained.
        data: of the run.
        slots: trials at a time on a node.
        at_once: trials at a time in the run.
        cold: whether a machine has to start first, which the plan leaves out.
        train: trains configs by name into a folder, as the run would.

    Raises:
        InputError: no example could be trained.
    """
    options = command.options
    subset, share = part_of(data, PROBE_IMAGES)
    probed = {
        f"probe-{i}": dataclasses.replace(config, epochs=PROBE_EPOCHS)
        for i, config in enumerate(to_probe(examples, slots, trials))
    }
    clock = Clock()
    with tempfile.TemporaryDirectory() as parent:
        folder = RunFolder.at(Path(parent, "probe"))
        rows = train(folder, probed, subset, clock)
        end = time.monotonic()
        checkpoints = [
            sum(file.stat().st_size for file in Path(folder.path, checkpoint).iterdir())
            for row in rows.values()
            if (checkpoint := row.get("checkpoint"))
        ]
    # The first epoch warms up.
    epochs = {n: (r[-1] - r[0]) / (len(r) - 1) for n, r in clock.reports.items() if len(r) > 1}
    if not epochs:
        errors = {row["error"] for row in rows.values()}
        raise InputError(f"no trial of the probe got through two epochs: {errors}")
    by_kind: dict[Kind, list[float]] = {}
    memory: dict[str, float] = {}
    for name, seconds in epochs.items():
        config = probed[name]
        by_kind.setdefault(kind(config), []).append(seconds)
        used = rows[name]["peak_memory_mb"]
        memory[config.model] = max(used, memory.get(config.model, 0.0))
    # Each network and mode counts as often as the run will have it.
    kinds = [kind(config) for config in examples if kind(config) in by_kind]
    epoch_s = sum(fmean(by_kind[each]) for each in kinds) / len(kinds)
    first = min(epochs, key=lambda name: clock.reports[name][0])
    last = max(reports[-1] for reports in clock.reports.values())
    waited = clock.waited_s if cold else 0.0
    return Plan(
        trials=trials,
        epochs=options.training.epochs,
        share=expected_share(options),
        slots=slots,
        at_once=at_once,
        start_s=clock.reports[first][0] - command.started - epochs[first] - waited + end - last,
        epoch_s=epoch_s / share,
        checkpoint_mb=max(checkpoints) / 1e6,
        memory_mb=memory,
    )


def kind(config: TrialConfig) -> Kind:
    """What a trial's time and memory depend on most: its network and mode."""
    return config.model, config.mode


def to_probe(examples: list[TrialConfig], slots: int, trials: int) -> list[TrialConfig]:
    """One of each network and mode, and others beside them, so that as many slots are taken."""
    firsts = list({kind(config): config for config in reversed(examples)}.values())[::-1]
    others = [config for config in examples if config not in firsts]
    wanted = min(math.ceil(len(firsts) / slots) * slots, trials)
    # There are fewer examples than slots on a large machine.
    return list(islice(chain(firsts, others, cycle(examples)), wanted))


def expected_share(options: JobOptions) -> float:
    """Share of all epochs that is left when successive halving lets a third pass each rung."""
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
