"""Runs of the winners with different random seeds, through Ray Tune, in their own run folders."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re

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
from tune_jobs.command_line.options import JobOptions, RunOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.ray_runtime.capacity import has_gpus
from tune_jobs.ray_runtime.session import ray_session
from tune_jobs.run_folder.folder import RUN_FILE, RunFolder
from tune_jobs.run_folder.records import RunRecord
from tune_jobs.run_folder.schema import ADDED_SETTINGS, config_of, members_of
from tune_jobs.test_set.options import CompareOptions
from tune_jobs.tuning import job
from tune_jobs.tuning.data import data_options
from tune_jobs.tuning.found_images import stored_size
from tune_jobs.tuning.grid import Grid

SEEDS_FOLDER = "seeds"
"""Folder of the trainings, in that of the comparison."""
SINCE_VERSION_0_1 = (
    "image_size", "resize", "resize_to", "interpolation", "horizontal_flip", "vertical_flip",
    "rotation", "mixup", "cutmix", "warmup", "clip_norm", "ema", "drop_path", "patience",
    "lora_rank",
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
    folder: RunFolder,
    command: CommandLine[CompareOptions],
    console: Console,
) -> list[list[Candidate]]:
    """Train each winner with different random seeds, and return the candidates of each."""
    options = command.options
    if not options.seeds:
        return [[] for _ in chosen]
    retrained: list[list[Candidate]] = []
    with ray_session(options.address):
        for candidate in chosen:
            if members := members_of(candidate.row):
                console.print(
                    f"\n{candidate.name}: its winner averages {len(members)} trainings, which no "
                    "training with another random seed repeats, so it is left out of --seeds",
                    markup=False,
                )
                retrained.append([])
                continue
            console.print(
                f"\n{candidate.name}: training with {options.seeds} random seeds",
                markup=False,
                style="bold",
            )
            retrained.append(
                retrain(
                    candidate, options.seeds, first_seed(candidate, runs),
                    folder.child(SEEDS_FOLDER), command, console,
                )
            )  # fmt: skip
    return retrained


def first_seed(winner: Candidate, runs: list[LoadedRun]) -> int:
    """Return the lowest random seed above those of all trials of the winner's model family."""
    configs = [config_of(row) for run in runs for row in run.rows]
    return 1 + max(config.seed for config in configs if family(config) == winner.family)


def retrain(
    winner: Candidate,
    count: int,
    start: int,
    storage: RunFolder,
    command: CommandLine[CompareOptions],
    console: Console,
) -> list[Candidate]:
    """Train a winner's settings with consecutive random seeds, or resume an earlier such run.

    Args:
        winner: winner of a model family.
        count: number of seeds.
        start: first seed.
        storage: folder that holds the run folder.
        command: command line of the comparison.
        console: terminal for the progress display.

    Returns:
        The trained candidates, in the order of their seeds.

    Raises:
        InputError: the images or weights have changed since the winner's run, or a trial failed.
        KeyboardInterrupt: training was interrupted.
    """
    record = winner.run.record
    settings = winner.config
    if settings.image_size is None:  # the winner is of an earlier version
        size = stored_size(record)
        settings = dataclasses.replace(settings, image_size=size, resize="squash")
    wanted = {
        f"seed={seed}": dataclasses.replace(settings, seed=seed)
        for seed in range(start, start + count)
    }
    name = run_name(winner)
    folder = storage.child(name)
    known: dict[str, TrialConfig] = {}
    if folder.has(RUN_FILE):
        earlier = folder.read_record()["trials"]
        known = {trial: TrialConfig.from_dict(config) for trial, config in earlier.items()}
    run_options = record["options"]["run"]
    # The other settings are those of the winner's trial.
    own = {name: getattr(winner.config, name) for name in ("split", "metric")}
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
        ),
    )
    strategy = Retraining(wanted | known, winner)
    trained = job.train(command.with_options(options), lambda _: strategy, console)
    assert trained is not None  # as --plan is not set
    if trained.record["status"] == "interrupted":
        raise KeyboardInterrupt
    found = {c.trial: c for c in candidates(load_run_folder(folder.uri))}
    status = {trial: trained.run.recorder.rows[trial]["status"] for trial in wanted}
    # A diverged trial may have left weights of earlier epochs.
    unfinished = {trial: end for trial, end in status.items() if end != TrialStatus.FINISHED}
    if unfinished:
        trials = ", ".join(f"{trial} {end}" for trial, end in unfinished.items())
        raise InputError(
            f"{winner.name} did not finish with every seed ({trials}), and a mean over the other "
            f"seeds would be too optimistic (see {folder.uri}). Run the same command again to "
            "retry failed seeds; for diverged ones, leave --seeds out"
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
