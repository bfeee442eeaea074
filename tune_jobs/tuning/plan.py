"""Estimates of time, memory, disk and cost, before anything is spent."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from trainables.config import TrialConfig
from trainables.data import TrainingData
from tune_jobs.analysis.formatting import duration
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.ray_runtime.capacity import (
    Prices,
    TrialResources,
    TrialSlots,
    has_room,
    planned_machine,
    prices,
)
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.run_folder.records import TrialRow
from tune_jobs.tuning.grid import Grid
from tune_jobs.tuning.probe import Clock, Plan, make_plan
from tune_jobs.tuning.recorder import Recorder
from tune_jobs.tuning.strategy import Run
from tune_jobs.tuning.tuner import add_trials, tune_trials

PLANS_FOLDER = ".plans"
MACHINES = (1, 2, 4, 8)


def plan_run(run: Run, trials: int, examples: list[TrialConfig], resources: TrialResources) -> None:
    """Estimate what the run takes, print that, and keep it to compare the run with.

    Args:
        run: the run, of which nothing is written.
        trials: number of its trials.
        examples: configs of some of them.
        resources: of each trial.
    """

    def train(
        folder: RunFolder, probed: dict[str, TrialConfig], subset: TrainingData, clock: Clock
    ) -> dict[str, TrialRow]:
        folder.make()
        # On one node, or the autoscaler would start as many as there are trials for.
        on_one = dataclasses.replace(options.run, max_concurrent=slots)
        command = run.command.with_options(dataclasses.replace(options, run=on_one))
        probe = dataclasses.replace(
            run,
            command=command,
            folder=folder,
            recorder=Recorder(folder),
            data=subset,
            console=Console(quiet=True),
        )
        add_trials(probe, probed)
        tune_trials(probe, Grid(probed), dict.fromkeys(probed), 0, [clock], resources)
        return probe.recorder.rows

    options = run.options
    at_once = TrialSlots(resources, options.run.max_concurrent)()
    machine = planned_machine(resources)
    slots = min(machine.slots(resources), at_once)
    cold = not has_room(resources)
    plan = make_plan(run.command, trials, examples, run.data, slots, at_once, cold, train)
    print_plan(plan, prices(options.run.price_per_hour, machine), run.console)
    kept = RunFolder.at(options.run.storage_path).child(PLANS_FOLDER)
    kept.make()
    kept.write_json(plan_file(options), dataclasses.asdict(plan))


def compare_plan(command: CommandLine[JobOptions], console: Console) -> None:
    """Print planned against actual time, where the same run was planned before."""
    options = command.options
    kept = RunFolder.at(options.run.storage_path).child(PLANS_FOLDER)
    if kept.has(plan_file(options)):
        plan = Plan(**kept.read_json(plan_file(options)))
        planned, took = plan.seconds(plan.at_once, plan.share), time.monotonic() - command.started
        console.print(
            f"planned {duration(planned)}, took {duration(took)} ({took / planned - 1:+.0%})",
            highlight=False,
        )


def print_plan(plan: Plan, prices: Prices | None, console: Console) -> None:
    """Print what a run would take, on one machine and on more."""

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    say(
        f"{plan.trials} trials of {plan.epochs} epochs, {plan.slots} at a time on a machine; "
        f"an epoch takes {plan.epoch_s:.1f} s"
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("machines", "wall time", "machine hours", *(["dollars"] if prices else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    for machines in MACHINES:
        at_once = plan.slots * machines
        times = [plan.seconds(at_once, share) for share in sorted({plan.share, 1.0})]
        if machines > 1 and plan.trials <= plan.slots * (machines // 2):
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
