"""From options and trials to a finished run folder: data, Ray, Ray Tune, tables, best model."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from typing import Any

from rich.console import Console

from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.errors import InputError
from trainables.features import linear_head
from trainables.models import build_for
from trainables.models.weights import Weights, load_weights, read_weights
from trainables.preparation import input_statistics
from tune_jobs.analysis.formatting import duration
from tune_jobs.command_line.options import JobOptions, RunOptions, checked_run
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.ray_runtime.capacity import (
    TrialResources,
    TrialSlots,
    has_room,
    planned_machine,
    prices,
    trial_resources,
)
from tune_jobs.ray_runtime.session import ray_session
from tune_jobs.ray_runtime.storage_check import check_storage
from tune_jobs.run_folder.checkpoints import keep_weights
from tune_jobs.run_folder.folder import RUN_FILE, RunFolder
from tune_jobs.tuning.data import load_data
from tune_jobs.tuning.plan import PLANS_FOLDER, Clock, Plan, make_plan, plan_file, print_plan
from tune_jobs.tuning.recorder import Recorder
from tune_jobs.tuning.run_json import continued, describe_run
from tune_jobs.tuning.summary import conclude, finish
from tune_jobs.tuning.tracking import tracking_callbacks
from tune_jobs.tuning.tuner import Grid, Run, Search, add_trials, count_parameters, tune_trials

EXAMPLES = 50
"""Trials whose models are tried to be built before a run starts."""


def run(command: CommandLine[JobOptions], search: Search) -> int:
    """Train trials on Ray Tune, leave a complete run folder, and say on the terminal what it holds.

    Args:
        command: the command line.
        search: what is tried.

    Returns:
        The exit code: 0, 1 if no trial was trained to an end, 130 after Ctrl-C.

    Raises:
        InputError: something a person gave cannot be used; nothing has been started then.
    """
    console = Console(width=None if sys.stdout.isatty() else 100)  # a log has no width of its own
    trained = train(command, search, console)
    if trained is None:
        return 0
    this, record, notes = trained
    commands = search.commands()
    code = conclude(this, record, notes, commands)
    if not command.options.run.resume:
        compare_plan(command, console)
    return code


def train(
    command: CommandLine[JobOptions], search: Search, console: Console
) -> tuple[Run, dict[str, Any], list[str]] | None:
    """Train trials on Ray Tune, and leave a complete run folder; args and errors as of `run`.

    Returns:
        The run, its run.json, and the search's lines on what was found; None after a plan.
    """
    options = command.options
    checked_run(options.run)
    folder = find_folder(options.job, options.run)
    trackers = tracking_callbacks(options.run.track, folder)
    images = load_data(options.data, options.training.split, options.run.smoke_test)
    dataset, parts, data = images.dataset, images.parts, images.training
    examples = search.examples(min(search.trials, EXAMPLES))
    for config in examples:
        count_parameters(config, data)  # refuses what cannot be built
        input_statistics(config, data)
    weights = initial_weights(search.models(), data, examples)
    this = Run(command, folder, Recorder(folder), data, weights, console)
    console.print(
        f"{dataset.name}: {len(parts.train):,} images to train on, {len(parts.validation):,} to "
        f"validate with, {len(parts.test):,} sealed, {len(dataset.classes)} classes",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(ray_session(options.run.address))
        resources = trial_resources(options.run.cpus_per_trial, options.run.gpus_per_trial)
        check_storage(folder.parent)
        record = describe_run(command, dataset, parts, weights)
        search.check(folder, record)
        if options.run.plan:
            plan_run(this, search, examples, resources)
            return None
        folder.make()
        stack.enter_context(folder.lock())
        if options.run.resume:
            record = continued(folder.read_json(RUN_FILE), record)
        elif folder.has(RUN_FILE):
            raise InputError(
                f"another job has begun {folder.uri} in the meantime: start this one again, with "
                "another --name if it has one"
            )
        else:
            search.begin(folder)
            keep_weights(folder, weights, examples)
        folder.write_json(RUN_FILE, record)
        known = search.open(this, record)
        stack.callback(search.close)
        add_trials(this, known)
        record |= search.describe()
        folder.write_json(RUN_FILE, record)
        left = this.recorder.restore(search.changes) if options.run.resume else dict.fromkeys(known)
        left = search.left(left)
        this.recorder.write(force=True)
        if left or search.samples():
            tune_trials(this, search, left, trackers, resources)
        search.settle()
        this.recorder.close()
        record |= search.describe()
        finish(this, record)
        search.draw()
        return this, record, search.notes()


def plan_run(
    run: Run, search: Search, examples: list[TrialConfig], resources: TrialResources
) -> None:
    """Print what the run would take, and keep that to compare the run with."""

    def train(
        folder: RunFolder, probed: dict[str, TrialConfig], part: TrainingData, clock: Clock
    ) -> Recorder:
        folder.make()
        # On one machine, or the autoscaler would start as many as there are trials for.
        on_one = dataclasses.replace(options.run, max_concurrent=places)
        probe = dataclasses.replace(
            run,
            command=dataclasses.replace(
                run.command, options=dataclasses.replace(options, run=on_one)
            ),
            folder=folder,
            recorder=Recorder(folder),
            data=part,
            console=Console(quiet=True),
        )
        add_trials(probe, probed)
        tune_trials(probe, Grid(probed), dict.fromkeys(probed), [clock], resources)
        return probe.recorder

    options = run.options
    at_once = TrialSlots(resources, options.run.max_concurrent)()
    machine = planned_machine(resources)
    places = min(machine.slots(resources), at_once)
    cold = not has_room(resources)
    plan = make_plan(run.command, search.trials, examples, run.data, places, at_once, cold, train)
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


def find_folder(job: str, options: RunOptions) -> RunFolder:
    """The run's folder; nothing is created yet.

    Raises:
        InputError: the name is taken.
    """
    storage = RunFolder.at(options.storage_path)
    name, number = options.name or job, 1
    if options.name is None:
        while storage.has(name):
            number += 1
            name = f"{job}-{number}"
    elif storage.has(name) and not options.resume:
        raise InputError(
            f"there is a run {name!r} in {options.storage_path} already: choose another --name, or "
            "go on with it by --resume"
        )
    # The store has answered; when it does not for a while, a run of hours waits for it.
    return RunFolder.at(storage.child(name).uri, patient=True)


def initial_weights(
    models: dict[str, str], data: TrainingData, examples: list[TrialConfig]
) -> dict[str, Weights]:
    """What training starts from, by model, checked to fit.

    Args:
        models: of the run, with what they start from: none, default or a file.
        data: of the run.
        examples: configs of some trials.

    Raises:
        InputError: the weights cannot be had, or do not fit their network.
    """
    weights = {
        model: read_weights(model, source) for model, source in models.items() if source != "none"
    }
    for config in {config.model: config for config in examples}.values():
        if config.model not in weights:
            continue
        size = config.input_size or data.image_size
        model = build_for(config, data)
        load_weights(model, config.model, size, weights[config.model])
        if any(c.mode == "probe" and c.model == config.model for c in examples):
            linear_head(model, config.model, size)
    return weights
