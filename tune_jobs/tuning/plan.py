"""Estimate the time, memory, disk space and cost of a run before it starts (--plan)."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable

from rich.console import Console

from trainables.config import TrialConfig
from trainables.trial_images import TrialImages
from tune_jobs.analysis.formatting import duration
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.command_line.terminal import plain_table, print_table, said
from tune_jobs.ray_runtime.capacity import (
    Prices,
    TrialResources,
    TrialSlots,
    has_room,
    planned_node,
    prices,
)
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.run_folder.provenance import wall_seconds
from tune_jobs.run_folder.records import RunRecord, TrialRow
from tune_jobs.tuning.grid import Grid
from tune_jobs.tuning.pilot import Clock, Plan, make_plan
from tune_jobs.tuning.recorder import Recorder
from tune_jobs.tuning.strategy import Run
from tune_jobs.tuning.tuner import add_trials, tune_trials

PLANS_FOLDER = ".plans"
"""Folder below the storage that keeps plans, to compare runs with them."""
SHOWN_DECODING_S = 5
"""Seconds of decoding from which on a plan mentions it."""
NODE_COUNTS = (1, 2, 4, 8)
"""Numbers of nodes for which a plan is printed."""


def plan_run(
    run: Run,
    trials: int,
    examples: list[TrialConfig],
    resources: TrialResources,
    decoding_s: float,
) -> Plan:
    """Estimate the time, memory, disk space and cost of a run, print them, and store the plan.

    Args:
        run: the run; its folder is not written.
        trials: number of trials of the run.
        examples: configurations of some of the trials.
        resources: resources that each trial reserves.
        decoding_s: seconds that this job took to decode images.
    """

    def train(
        folder: RunFolder, configs: dict[str, TrialConfig], subset: TrialImages, clock: Clock
    ) -> dict[str, TrialRow]:
        folder.make()
        # Limited to one node: the autoscaler would start a node for every waiting trial.
        one_node = dataclasses.replace(options.run, max_concurrent=slots)
        command = run.command.with_options(dataclasses.replace(options, run=one_node))
        pilot = dataclasses.replace(
            run,
            command=command,
            folder=folder,
            recorder=Recorder(folder),
            data=subset,
            console=Console(quiet=True),
        )
        add_trials(pilot, configs)
        tune_trials(pilot, Grid(configs), dict.fromkeys(configs), 0, [clock], resources)
        return pilot.recorder.rows

    options = run.options
    at_once = TrialSlots(resources, options.run.max_concurrent)()
    node = planned_node(resources)
    slots = min(node.slots(resources), at_once)
    cold = not has_room(resources)
    with said("training a pilot on some of the images", run.console):
        plan = make_plan(
            run.command, trials, examples, run.data, slots, at_once, cold, train, decoding_s
        )
    print_plan(plan, prices(options.run.price_per_hour, node), run.console)
    kept = RunFolder.at(options.run.storage_path).child(PLANS_FOLDER)
    kept.make()
    kept.write_json(plan_file(options), dataclasses.asdict(plan))
    return plan


def compare_plan(command: CommandLine[JobOptions], record: RunRecord, console: Console) -> None:
    """Print the planned and the actual wall time if the same run was planned before."""
    options, took = command.options, wall_seconds(record)
    plan = stored_plan(options, RunFolder.at(options.run.storage_path))
    if plan is not None and took is not None:
        planned = plan.seconds(plan.at_once, plan.share)
        console.print(
            f"Wall time: planned {duration(planned)}, actual {duration(took)} "
            f"({took / planned - 1:+.0%})",
            highlight=False,
        )


def stored_plan(options: JobOptions, storage: RunFolder) -> Plan | None:
    """Return the plan of the run with these options; None if it was not planned.

    Args:
        options: options of the job.
        storage: folder of run folders.
    """
    kept = storage.child(PLANS_FOLDER)
    if not kept.has(plan_file(options)):
        return None
    return Plan(**kept.read_json(plan_file(options)))


def print_plan(plan: Plan, prices: Prices | None, console: Console) -> None:
    """Print the estimated time, memory, disk space and cost of a run, on one node and on more."""

    def say(text: str) -> None:
        console.print(text, highlight=False)

    epochs = f" of {plan.epochs} epochs" if plan.epoch_s else ""  # probes have none
    speed = f", {plan.epoch_s:.1f} s per epoch" if plan.epoch_s else ""
    say(f"{plan.trials} trials{epochs}, {plan.slots} concurrent trials per node{speed}")
    rows = []
    for nodes in NODE_COUNTS:
        at_once = plan.slots * nodes
        times = [plan.seconds(at_once, share) for share in sorted({plan.share, 1.0})]
        if nodes > 1 and plan.trials <= plan.slots * (nodes // 2):
            break  # further nodes would be idle
        hours = [nodes * seconds / 3600 for seconds in times]
        cells = [span(map(duration, times)), span(f"{h:.2f}" for h in hours)]
        if prices:
            price = prices.node * nodes + prices.head
            cells.append(span(f"{price * seconds / 3600:.2f}" for seconds in times))
        rows.append((str(nodes), *cells))
    if len(rows) == 1 and not prices:  # as on a laptop
        say(f"Wall time: {rows[0][1]}")
    else:
        table = plain_table()
        for heading in ("nodes", "wall time", "node hours", *(["cost ($)"] if prices else [])):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        print_table(console, table, ("node hours",))
    if prices and prices.head:
        say("The time until nodes have started, and its cost, are not included.")
    if plan.share < 1:
        say("Lower values assume that the scheduler stops two of three trials at each rung.")
    if plan.features_s > SHOWN_DECODING_S:
        say(f"Computing the backbone features of probes takes {duration(plan.features_s)} of this.")
    if plan.decoding_s > SHOWN_DECODING_S:
        say(f"A node that has not decoded the images yet takes {duration(plan.decoding_s)} for it.")
    memory = [f"{used:,.0f} MB per trial of {name}" for name, used in plan.memory_mb.items()]
    say(
        f"Disk space: {plan.trials * plan.checkpoint_mb:,.0f} MB of checkpoints, and "
        f"{plan.images_mb:,.0f} MB of decoded images on each node. Peak memory, "
        f"shared images included: {', '.join(memory)}"
    )


def span(values: Iterable[str]) -> str:
    """Return one value, or "LOWEST to HIGHEST" if there are two."""
    return " to ".join(dict.fromkeys(values))


def plan_file(options: JobOptions) -> str:
    """Return the file name of a plan, which is the same for runs with the same options."""
    shown = dataclasses.asdict(options)
    fields = [field.name for field in dataclasses.fields(Plan)]  # they differ between versions
    for name in ("name", "resume", "plan", "price_per_hour", "track", "storage_path", "trust"):
        del shown["run"][name]
    return hashlib.sha256(repr((shown, fields)).encode()).hexdigest()[:16] + ".json"
