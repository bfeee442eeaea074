"""What a run would take, from a short probe of it, before anything is spent."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain, cycle, islice
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

from ray.tune.experiment import Trial
from rich.console import Console
from rich.table import Table

from trainables.config import TrialConfig
from trainables.data import TrainingData, part_of
from trainables.errors import InputError
from tune_jobs.analysis.formatting import duration
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.ray_runtime.capacity import Prices
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.tuning.recorder import DriverCallback, Recorder, trial_name
from tune_jobs.tuning.schedulers import REDUCTION, grace_period

PROBE_IMAGES, PROBE_EPOCHS = 3000, 4
PLANS_FOLDER = ".plans"
MACHINES = (1, 2, 4, 8)

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
    places: int
    """Trials at a time on a machine."""
    at_once: int
    """Trials at a time in the run, on all the machines that it may have."""
    start_s: float
    """Until the first trial trains, and from the last epoch to the end."""
    epoch_s: float
    """One epoch of one trial while all places are taken, validation and checkpoint included."""
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
    places: int,
    at_once: int,
    cold: bool,
    train: Callable[[RunFolder, dict[str, TrialConfig], TrainingData, Clock], Recorder],
) -> Plan:
    """Train a few epochs of examples on part of the images, and reckon from that.

    Args:
        command: of the job.
        trials: of the run.
        examples: configs of some of them; one of each network and mode is trained.
        data: of the run.
        places: trials at a time on a machine.
        at_once: trials at a time in the run.
        cold: whether a machine has to start first, which the plan leaves out.
        train: trains configs by name into a folder, as the run would.

    Raises:
        InputError: no example could be trained.
    """
    options = command.options
    part, share = part_of(data, PROBE_IMAGES)
    probed = {
        f"probe-{i}": dataclasses.replace(config, epochs=PROBE_EPOCHS)
        for i, config in enumerate(to_probe(examples, places, trials))
    }
    clock = Clock()
    with tempfile.TemporaryDirectory() as parent:
        folder = RunFolder.at(Path(parent, "probe"))
        rows = train(folder, probed, part, clock).rows
        end = time.monotonic()
        checkpoints = [
            sum(file.stat().st_size for file in Path(folder.path, row["checkpoint"]).iterdir())
            for row in rows.values()
            if row.get("checkpoint")
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
        places=places,
        at_once=at_once,
        start_s=clock.reports[first][0] - command.started - epochs[first] - waited + end - last,
        epoch_s=epoch_s / share,
        checkpoint_mb=max(checkpoints) / 1e6,
        memory_mb=memory,
    )


def kind(config: TrialConfig) -> Kind:
    """What a trial's time and memory depend on most: its network and mode."""
    return config.model, config.mode


def to_probe(examples: list[TrialConfig], places: int, trials: int) -> list[TrialConfig]:
    """One of each network and mode, and others beside them, so that as many places are taken."""
    firsts = list({kind(config): config for config in reversed(examples)}.values())[::-1]
    others = [config for config in examples if config not in firsts]
    wanted = min(math.ceil(len(firsts) / places) * places, trials)
    # There are fewer examples than places on a large machine.
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


def print_plan(plan: Plan, prices: Prices | None, console: Console) -> None:
    """Print what a run would take, on one machine and on more."""

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    say(
        f"{plan.trials} trials of {plan.epochs} epochs, {plan.places} at a time on a machine; "
        f"an epoch takes {plan.epoch_s:.1f} s"
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("machines", "wall time", "machine hours", *(["dollars"] if prices else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    for machines in MACHINES:
        at_once = plan.places * machines
        times = [plan.seconds(at_once, share) for share in sorted({plan.share, 1.0})]
        if machines > 1 and plan.trials <= plan.places * (machines // 2):
            break  # more machines would stand idle
        hours = [machines * seconds / 3600 for seconds in times]
        cells = [span(map(duration, times)), span(f"{h:.2f}" for h in hours)]
        if prices:
            price = prices.machine * machines + prices.head
            cells.append(span(f"{price * seconds / 3600:.2f}" for seconds in times))
        table.add_row(str(machines), *cells)
    console.print(table)
    if prices and prices.head:
        say("machines that have to start first, and what they cost until then, are not in it")
    if plan.share < 1:
        say("the lower figure is for a scheduler that stops two of three trials at each rung")
    memory = [f"{used:,.0f} MB a trial of {name}" for name, used in plan.memory_mb.items()]
    say(
        f"checkpoints {plan.trials * plan.checkpoint_mb:,.0f} MB on disk, memory "
        f"{', '.join(memory)}, the shared images included"
    )


def span(values: Iterable[str]) -> str:
    """One value, or the lowest to the highest."""
    return " to ".join(dict.fromkeys(values))


def plan_file(options: JobOptions) -> str:
    """Name of the file that a plan is kept in: the same for runs under the same options."""
    shown = dataclasses.asdict(options)
    fields = [field.name for field in dataclasses.fields(Plan)]  # other versions had others
    for name in ("name", "resume", "plan", "price_per_hour", "track", "storage_path"):
        del shown["run"][name]
    return hashlib.sha256(repr((shown, fields)).encode()).hexdigest()[:16] + ".json"
