"""Further trainings of the winners, through Ray Tune, in run folders of their own.

They have other random seeds (--seeds), or also fewer training images (--learning-curve). Those of a
winner are in one run folder, which a comparison with more of them resumes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import time

from rich.console import Console

from trainables.config import GRADUAL_DECAY, TrialConfig
from trainables.errors import InputError
from trainables.status import TrialStatus
from tune_jobs.analysis.comparison.candidates import (
    Candidate,
    LoadedRun,
    candidates,
    family,
    load_run_folder,
)
from tune_jobs.analysis.formatting import duration
from tune_jobs.command_line.options import JobOptions, RunOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.ray_runtime.capacity import has_gpus
from tune_jobs.ray_runtime.session import ray_session
from tune_jobs.run_folder.folder import RUN_FILE, RunFolder
from tune_jobs.run_folder.records import RunRecord
from tune_jobs.run_folder.schema import ADDED_SETTINGS, config_of, members_of
from tune_jobs.test_set.learning_curve import (
    CURVE_SEEDS,
    Retrained,
    curve_sizes,
    divided,
    wanted_trials,
)
from tune_jobs.test_set.options import CompareOptions
from tune_jobs.tuning import job
from tune_jobs.tuning.data import RunData, data_options
from tune_jobs.tuning.grid import Grid
from tune_jobs.tuning.pilot import Plan

SEEDS_FOLDER = "seeds"
"""Folder of the trainings, in that of the comparison."""
SINCE_VERSION_0_1 = (
    "image_size", "resize", "resize_to", "interpolation", "horizontal_flip", "vertical_flip",
    "rotation", "mixup", "cutmix", "warmup", "clip_norm", "ema", "drop_path", "patience",
    "lora_rank", "train_size",
)  # fmt: skip
"""Settings that runs of version 0.1 lack, besides ADDED_SETTINGS."""


class RetrainingOptions(JobOptions):
    """Options of the run that trains a winner with different random seeds."""

    job = "retraining"


class Retraining(Grid):
    """Grid whose trials must start from the same initial weights as the winner.

    Args:
        known: configurations of the trials by name.
        winner: trial whose settings are trained.
    """

    def __init__(self, known: dict[str, TrialConfig], winner: Candidate):
        super().__init__(known)
        self.winner = winner

    def check(self, folder: RunFolder, record: RunRecord) -> None:
        """Raise InputError if the initial weights have changed since the winner was trained."""
        model, before = self.winner.config.model, self.winner.run.record["weights"]
        if self.winner.config.weights != "none" and record["weights"][model] != before[model]:
            raise InputError(
                f"the weights {self.winner.config.weights} of {model} have changed since "
                f"{self.winner.run.name} started from them: restore them, or leave --seeds out"
            )


def retrain_all(
    chosen: list[Candidate],
    runs: list[LoadedRun],
    images: list[RunData],
    folder: RunFolder,
    command: CommandLine[CompareOptions],
    console: Console,
) -> list[Retrained]:
    """Train each winner as --seeds and --learning-curve say, or plan to with --plan.

    Args:
        chosen: winners of the model families.
        runs: compared runs.
        images: images of the run of each winner.
        folder: folder of the comparison.
        command: command line of the comparison.
        console: terminal for the progress display.

    Returns:
        The trainings of each winner; none with --plan.

    Raises:
        InputError, KeyboardInterrupt: as `retrain` does.
    """
    options = command.options
    if not (options.seeds or options.learning_curve):
        return [Retrained() for _ in chosen]
    # Refused before the first training, as --learning-curve may be of any family.
    sizes = [curve_sizes(data) if options.learning_curve else [] for data in images]
    retrained: list[Retrained] = []
    plans: list[Plan] = []
    with ray_session(options.address):
        for candidate, own in zip(chosen, sizes, strict=True):
            if members := members_of(candidate.row):
                console.print(
                    f"\n{candidate.name}: its winner averages {len(members)} trainings, which no "
                    "training with another random seed repeats, so it is left out of "
                    + " and ".join(asked_for(options)),
                    markup=False,
                )
                retrained.append(Retrained())
                continue
            console.print(
                f"\n{candidate.name}: {what_is_trained(options, own)}", markup=False, style="bold"
            )
            if candidate.config.mode == "probe" and options.seeds:
                console.print(
                    "a head on fixed features is the same with every random seed, so that it has "
                    "no variation over seeds",
                    style="dim", highlight=False,
                )  # fmt: skip
            wanted = wanted_trials(candidate, options.seeds, first_seed(candidate, runs), own)
            storage = folder.child(SEEDS_FOLDER)
            trained = retrain(candidate, wanted, storage, command, console)
            if isinstance(trained, Plan):
                plans.append(trained)
                continue
            retrained.append(divided(trained, options.seeds, bool(own)))
    if len(plans) > 1:
        seconds = sum(plan.seconds(plan.at_once, plan.share) for plan in plans)
        console.print(f"\nWall time of all, one after another: {duration(seconds)}")
    return retrained


def asked_for(options: CompareOptions) -> list[str]:
    """Return the options that train the winners again, as they are typed."""
    return ["--seeds"] * bool(options.seeds) + ["--learning-curve"] * options.learning_curve


def what_is_trained(options: CompareOptions, sizes: list[int]) -> str:
    """Announce the trainings of a winner."""
    texts = [f"{options.seeds} random seeds"] * bool(options.seeds)
    if sizes:
        numbers = ", ".join(f"{size:,}" for size in sizes)
        texts.append(f"{CURVE_SEEDS} seeds on each of {numbers} images")
    return "training with " + ", and ".join(texts)


def first_seed(winner: Candidate, runs: list[LoadedRun]) -> int:
    """Return the lowest random seed above those of all trials of the winner's model family."""
    configs = [config_of(row) for run in runs for row in run.rows]
    return 1 + max(config.seed for config in configs if family(config) == winner.family)


def retrain(
    winner: Candidate,
    wanted: dict[str, TrialConfig],
    storage: RunFolder,
    command: CommandLine[CompareOptions],
    console: Console,
) -> list[Candidate] | Plan:
    """Train a winner's settings anew, or resume an earlier run that did; with --plan, estimate it.

    Args:
        winner: winner of a model family.
        wanted: configurations of the trainings by name.
        storage: folder that holds the run folder.
        command: command line of the comparison.
        console: terminal for the progress display.

    Returns:
        The trained candidates, in the order of `wanted`; with --plan the plan, or none where
        nothing is left to train.

    Raises:
        InputError: the images or weights have changed since the winner's run, or a trial failed.
        KeyboardInterrupt: training was interrupted.
    """
    record = winner.run.record
    name = run_name(winner)
    folder = storage.child(name)
    known: dict[str, TrialConfig] = {}
    if folder.has(RUN_FILE):
        earlier = folder.read_record()["trials"]
        known = {trial: TrialConfig.from_dict(config) for trial, config in earlier.items()}
    plan = command.options.plan
    trials = wanted | known
    if plan:
        trials = {trial: config for trial, config in wanted.items() if trial not in known}
        if not trials:
            console.print(f"nothing is left to train: {folder.uri} has it", markup=False)
            return []
    run_options = record["options"]["run"]
    # The other settings are those of the winner's trial.
    own = {name: getattr(winner.config, name) for name in ("split", "metric", "epochs")}
    options = RetrainingOptions(
        training=dataclasses.replace(JobOptions().training, **own),
        data=data_options(record, command.options.data),
        run=RunOptions(
            name=name,
            storage_path=storage.uri,
            resume=bool(known),
            address=command.options.address,
            cpus_per_trial=run_options["cpus_per_trial"],
            gpus_per_trial=run_options["gpus_per_trial"] if has_gpus() else None,
            smoke_test=run_options["smoke_test"],
            plan=plan,
            price_per_hour=command.options.price_per_hour if plan else None,
        ),
    )
    strategy = Retraining(trials, winner)
    # Its wall time must not have that of the winners before it.
    own_command = dataclasses.replace(command.with_options(options), started=time.monotonic())
    trained = job.train(own_command, lambda _: strategy, console)
    if isinstance(trained, Plan):
        return trained
    if trained.record["status"] == "interrupted":
        raise KeyboardInterrupt
    found = {c.trial: c for c in candidates(load_run_folder(folder.uri))}
    status = {trial: trained.run.recorder.rows[trial]["status"] for trial in wanted}
    # A diverged trial may have left weights of earlier epochs.
    unfinished = {trial: end for trial, end in status.items() if end != TrialStatus.FINISHED}
    if unfinished:
        named = ", ".join(f"{trial} {end}" for trial, end in unfinished.items())
        options_to_leave = " and ".join(asked_for(command.options))
        raise InputError(
            f"{winner.name} did not finish with every seed ({named}), and a mean over the other "
            f"seeds would be too optimistic (see {folder.uri}). Run the same command again to "
            f"retry failed seeds; for diverged ones, leave {options_to_leave} out"
        )
    return [found[trial] for trial in wanted]


def run_name(winner: Candidate) -> str:
    """Return the run folder's name, which has a hash of settings without seed, images and split."""
    settings = winner.config.to_dict() | {"seed": None}
    # As in earlier versions, whose runs are found by this name.
    blank = TrialConfig(lr=1.0)
    added = {*ADDED_SETTINGS, *SINCE_VERSION_0_1}
    settings = {k: v for k, v in settings.items() if k not in added or v != getattr(blank, k)}
    if settings["layer_decay"] is None:
        settings["layer_decay"] = GRADUAL_DECAY
    record = winner.run.record
    images = record["dataset"]["fingerprint"], record["split"].get("fingerprint")
    about = settings, images, record.get("weights", {})
    digest = hashlib.blake2b(json.dumps(about).encode(), digest_size=4).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', winner.family).strip('-')[:80]}-{digest}"
