"""Winners trained again with other seeds, through Ray Tune, in run folders of their own."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re

from rich.console import Console

from trainables.config import TrialConfig
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
from tune_jobs.run_folder.folder import RUN_FILE, RunFolder
from tune_jobs.run_folder.records import RunRecord
from tune_jobs.run_folder.schema import config_of
from tune_jobs.test_set.options import CompareOptions
from tune_jobs.tuning import job
from tune_jobs.tuning.data import data_options
from tune_jobs.tuning.grid import Grid


class RetrainingOptions(JobOptions):
    """Options of the run folder that a winner is trained again in."""

    job = "retraining"


class Retraining(Grid):
    """Trials that must begin from the weights that the winner began from."""

    def __init__(self, known: dict[str, TrialConfig], winner: Candidate):
        super().__init__(known)
        self.winner = winner

    def check(self, folder: RunFolder, record: RunRecord) -> None:
        """Raise InputError if the weights are others by now."""
        model, before = self.winner.config.model, self.winner.run.record["weights"]
        if self.winner.config.weights != "none" and record["weights"][model] != before[model]:
            raise InputError(
                f"the weights {self.winner.config.weights} of {model} are not those that "
                f"{self.winner.run.name} began from: put them back, or leave --seeds out"
            )


def first_seed(winner: Candidate, runs: list[LoadedRun]) -> int:
    """The lowest seed above those of all trials of the winner's family."""
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
    """Train a winner's settings with consecutive seeds, or go on with what an earlier call began.

    Args:
        winner: of a family.
        count: of seeds.
        start: the first of them.
        storage: that the run folder is in.
        command: command line of the comparison.
        console: that shows how it goes.

    Raises:
        InputError: the images or weights are no longer those of the winner, or a training failed.
        KeyboardInterrupt: it was interrupted.
    """
    record = winner.run.record
    wanted = {
        f"seed={seed}": dataclasses.replace(winner.config, seed=seed)
        for seed in range(start, start + count)
    }
    name = run_name(winner)
    folder = storage.child(name)
    known: dict[str, TrialConfig] = {}
    if folder.has(RUN_FILE):
        kept = folder.read_json(RUN_FILE)["trials"]
        known = {trial: TrialConfig.from_dict(config) for trial, config in kept.items()}
    had = record["options"]["run"]
    split = winner.config.split
    options = RetrainingOptions(
        training=dataclasses.replace(JobOptions().training, split=split),
        data=data_options(record, command.options.data),
        run=RunOptions(
            name=name,
            storage_path=storage.uri,
            resume=bool(known),
            address=command.options.address,
            cpus_per_trial=had["cpus_per_trial"],
            gpus_per_trial=had["gpus_per_trial"] if has_gpus() else None,
            smoke_test=had["smoke_test"],
        ),
    )
    trained = job.train(command.with_options(options), Retraining(known | wanted, winner), console)
    assert trained is not None  # it is no plan
    if trained.record["status"] == "interrupted":
        raise KeyboardInterrupt
    found = {c.trial: c for c in candidates(load_run_folder(folder.uri))}
    status = {trial: trained.run.recorder.rows[trial]["status"] for trial in wanted}
    # One that diverged may have left weights before it did.
    lacking = {trial: how for trial, how in status.items() if how != TrialStatus.FINISHED}
    if lacking:
        told = ", ".join(f"{trial} {how}" for trial, how in lacking.items())
        raise InputError(
            f"{winner.family} did not train to an end with every seed ({told}), and a mean over "
            f"the others would flatter it: {folder.uri} says why. What failed is tried again by "
            "the same command; what diverged stays so: leave --seeds out"
        )
    return [found[trial] for trial in wanted]


def run_name(winner: Candidate) -> str:
    """Of the run folder: the same for the same settings on the same cut, whatever the seed."""
    settings = winner.config.to_dict() | {"seed": None}
    record = winner.run.record
    images = record["dataset"]["fingerprint"], record["split"].get("fingerprint")
    about = settings, images, record.get("weights", {})
    digest = hashlib.blake2b(json.dumps(about).encode(), digest_size=4).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', winner.family).strip('-')[:80]}-{digest}"
