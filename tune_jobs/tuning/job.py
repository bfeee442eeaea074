"""Run a job: from its options and a strategy to a complete run folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console

from trainables.augment import describe as augmentation
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.models.weights import read_weights
from tune_jobs.analysis.repetition import differences, repetition
from tune_jobs.analysis.results import load_run
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.ray_runtime.capacity import trial_resources
from tune_jobs.ray_runtime.session import ray_session
from tune_jobs.ray_runtime.storage_check import check_source, check_storage
from tune_jobs.run_folder.checkpoints import write_initial_weights
from tune_jobs.run_folder.folder import RUN_FILE
from tune_jobs.run_folder.records import RunRecord
from tune_jobs.tuning.best_model import finish
from tune_jobs.tuning.copies import describe_copies
from tune_jobs.tuning.data import describe_data, read_images, views_of, write_test_digests
from tune_jobs.tuning.found_images import FoundImages, find_images_of_job
from tune_jobs.tuning.new_folder import find_folder
from tune_jobs.tuning.pilot import Plan
from tune_jobs.tuning.plan import compare_plan, plan_run
from tune_jobs.tuning.recorder import Recorder
from tune_jobs.tuning.run_json import describe_run, resumed_record
from tune_jobs.tuning.sizes import size_notes
from tune_jobs.tuning.soup import make_soups
from tune_jobs.tuning.strategy import Findings, Run, Strategy
from tune_jobs.tuning.summary import print_summary, resumable, warnings_of
from tune_jobs.tuning.tracking import tracking_callbacks
from tune_jobs.tuning.trial_checks import (
    check_drop_path,
    check_loss_weights,
    check_models,
    check_weights,
    own_weights_notes,
)
from tune_jobs.tuning.tuner import add_trials, count_parameters, tune_trials

EXAMPLES = 50
"""Maximum number of trials whose models are built as a check before a run starts."""


@dataclass(frozen=True)
class FinishedRun:
    """A run whose trials have ended, or were interrupted."""

    run: Run
    """The run."""
    record: RunRecord
    """Content of its run.json."""
    findings: Findings
    """Findings of its strategy."""


def run(
    command: CommandLine[JobOptions],
    make_strategy: Callable[[FoundImages], Strategy],
    found: FoundImages | None,
    console: Console,
) -> int:
    """Train the trials with Ray Tune, write a complete run folder, and print a summary.

    Args:
        command: the command line.
        make_strategy: returns what proposes the trials, from the images that were found.
        found: images of the job; None to find them now.
        console: terminal or log file.

    Returns:
        The exit code: 0, 1 if no trial has a result, 130 after Ctrl-C.

    Raises:
        InputError: the input is invalid; no trial has been started then.
    """
    finished = train(command, make_strategy, console, found)
    if isinstance(finished, Plan):
        return 0
    code = print_summary(finished.run, finished.record, finished.findings)
    if not command.options.run.resume:
        compare_plan(command, finished.record, console)
    print_repetition(finished, console)
    return code


def print_repetition(finished: FinishedRun, console: Console) -> None:
    """Print whether a run came out the same as the run that --from-run repeats."""
    first = finished.run.options.run.from_run
    if first is None or finished.record["status"] == "interrupted":
        return
    try:
        text = repetition(first, finished.run.folder.uri).text
    except (InputError, OSError) as error:  # the run itself is complete
        text = f"{first} cannot be read any more, to say whether this run is the same: {error}"
    console.print(f"\n{text}", markup=False, highlight=False, soft_wrap=True)


def train(
    command: CommandLine[JobOptions],
    make_strategy: Callable[[FoundImages], Strategy],
    console: Console,
    found: FoundImages | None = None,
) -> FinishedRun | Plan:
    """Train the trials with Ray Tune and write a complete run folder; with --plan, plan to.

    Arguments and errors are those of `run`.
    """
    options = command.options
    folder = find_folder(options)
    trackers = tracking_callbacks(options.run.track, folder)
    found = found or find_images_of_job(options)
    strategy = make_strategy(found)
    examples = strategy.examples(min(strategy.num_trials, EXAMPLES))
    split, smoke_test = options.training.split, options.run.smoke_test
    check_models(examples, found)
    sources = strategy.models()
    weights = {
        model: read_weights(model, source) for model, source in sources.items() if source != "none"
    }
    # On a cluster the nodes that train decode the images for themselves.
    views = views_of(examples) if options.run.address is None else []
    images = read_images(found, views, split, smoke_test, console)
    for config in examples:
        count_parameters(config, images.trials)  # raises InputError if the model cannot be built
        check_loss_weights(config, images.trials)
        if "drop_path" in command.given_options:  # a recipe's is for the networks that have it
            check_drop_path(config, images.trials)
    check_weights(weights, images.trials, examples)
    recorder = Recorder(folder, options.constraints, options.run.trial_timeout)
    run = Run(command, folder, recorder, images.trials, weights, console)
    lines = [
        *describe_data(images),
        *describe_copies(images.copies, images.dropped),
        *size_notes(examples, found),
        *augmentation_notes(examples),
        *own_weights_notes(examples, len(found.listing.classes)),
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False)
    with contextlib.ExitStack() as stack:
        stack.enter_context(ray_session(options.run.address))
        resources = trial_resources(options.run.cpus_per_trial, options.run.gpus_per_trial)
        check_storage(folder.parent)
        check_source(options.data.data, images.trials.images.encoded)
        record = describe_run(command, images, weights) | {"about": lines}
        if options.run.from_run is not None and not options.run.resume:
            for text in differences(load_run(options.run.from_run), record):
                line = f"Different from {options.run.from_run}: {text}"
                console.print(line, markup=False, highlight=False, soft_wrap=True)
        strategy.check(folder, record)
        if options.run.plan:
            return plan_run(run, strategy.num_trials, examples, resources, images.decoding_s)
        folder.make()
        stack.enter_context(folder.lock())
        if options.run.resume:
            record = resumed_record(folder, record)
        elif folder.has(RUN_FILE):
            raise InputError(
                f"another job has started a run in {folder.uri} in the meantime: start this job "
                "again, with another --name if you gave one"
            )
        else:
            strategy.prepare(folder)
            write_initial_weights(folder, weights, examples)
            write_test_digests(folder, images)
        folder.write_json(RUN_FILE, record)
        known = strategy.open(run, record)
        stack.callback(strategy.close)
        add_trials(run, known)
        add_description(record, strategy)
        folder.write_json(RUN_FILE, record)
        unfinished: dict[str, str | None] = dict.fromkeys(known)
        if options.run.resume:
            unfinished = run.recorder.restore(strategy.mutates_trials)
        unfinished, proposals = strategy.remaining(unfinished)
        run.recorder.write(force=True)
        stack.enter_context(resumable(run))
        if unfinished or proposals:
            tune_trials(run, strategy, unfinished, proposals, trackers, resources)
        strategy.stop_open_trials()
        if options.makes_soups:
            make_soups(run, record, resources)
        run.recorder.close()
        add_description(record, strategy)
        finish(run, record)
        findings = strategy.summarise()
        record["warnings"] = warnings_of(run, record, findings)
        folder.write_json(RUN_FILE, record)
        return FinishedRun(run, record, findings)


def add_description(record: RunRecord, strategy: Strategy) -> None:
    """Update run.json with the description of the strategy."""
    record |= strategy.describe()  # type: ignore[typeddict-item]


def augmentation_notes(configs: list[TrialConfig]) -> list[str]:
    """Return a sentence on each augmentation that trials draw at random."""
    random = [config for config in configs if config.augment in ("photo", "strong")]
    return list(dict.fromkeys(f"Training images: {augmentation(config)}" for config in random))
