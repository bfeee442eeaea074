"""Which trained models of which runs are compared, chosen on validation images alone."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.models import is_registered
from trainables.status import TrialStatus
from tune_jobs.analysis.results import load_epochs, load_run, load_trials
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.run_folder.schema import SCORE, config_of, merit

NEEDED = ("trial", "status", "checkpoint", SCORE, "best/val_loss", "seconds", "parameters")
"""Columns of trials.parquet without which nothing can be compared."""


@dataclass(frozen=True)
class LoadedRun:
    """A run folder, read."""

    name: str
    """In tables and figures, of no other run that is compared."""
    folder: RunFolder
    record: dict[str, Any]
    """run.json."""
    trials: pd.DataFrame
    epochs: pd.DataFrame

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Of the trials."""
        return [{str(key): row[key] for key in row} for row in self.trials.to_dict("records")]

    @property
    def unfinished(self) -> list[str]:
        """Trials without an end."""
        return [row["trial"] for row in self.rows if TrialStatus(row["status"]).is_open]


@dataclass(frozen=True)
class Candidate:
    """A trained model of a run."""

    run: LoadedRun
    row: dict[str, Any]
    """Of trials.parquet."""
    config: TrialConfig

    @property
    def trial(self) -> str:
        """Name of the trial."""
        return str(self.row["trial"])

    @property
    def family(self) -> str:
        """What it is a candidate of: the network, and whether it began pretrained."""
        return family(self.config)


def family(config: TrialConfig) -> str:
    """The kind of model that settings belong to, as tables and figures name it."""
    if is_registered(config.model):
        return f"custom {config.model.upper()}"
    if is_custom(config):
        return f"custom {config.model}"
    if config.weights == "none":
        return f"{config.model} from scratch"
    return f"pretrained {config.model}"


def is_custom(config: TrialConfig) -> bool:
    """Whether a network is one's own, and not a published one."""
    own = ":" in config.model and not config.model.startswith("timm:")
    return is_registered(config.model) or (own and config.weights == "none")


def load_runs(paths: Sequence[str], partial: bool = False) -> list[LoadedRun]:
    """Read runs that can be compared.

    Args:
        paths: run folders, local or s3://… or gs://….
        partial: compare what is there of a run that is not finished.

    Raises:
        InputError: none is given or one is given twice; one is no run, is damaged, is not finished,
            or has no finished trial; or they are not on the same images, cut alike.
    """
    if not paths:
        raise InputError("no run is given: name one or more run folders, e.g. runs/lr-grid")
    seen: dict[str, str] = {}
    for path in paths:
        uri = RunFolder.at(path).uri
        uri = uri.rstrip("/") if "://" in uri else str(Path(uri).resolve())
        if uri in seen:
            raise InputError(f"{path} is given twice, first as {seen[uri]}: each run counts once")
        seen[uri] = path
    names = Counter(RunFolder.at(uri).name for uri in seen)
    runs = [load_run_folder(path) for path in paths]
    runs = [
        dataclasses.replace(run, name=run.folder.uri) if names[run.name] > 1 else run
        for run in runs
    ]
    for run in runs:
        _check_finished(run, partial)
    for run in runs[1:]:
        _check_same_images(runs[0], run)
    return runs


def candidates(run: LoadedRun) -> list[Candidate]:
    """The trials of a run that were trained to an end and left weights."""
    return [
        Candidate(run, row, config_of(row))
        for row in run.rows
        if TrialStatus(row["status"]).is_ended and isinstance(row["checkpoint"], str)
    ]


def winners(runs: Sequence[LoadedRun]) -> list[Candidate]:
    """The candidate of each family with the highest validation accuracy, the best family first.

    Of equals the one with the lower validation loss.
    """
    best: dict[str, Candidate] = {}
    for run in runs:
        for candidate in candidates(run):
            known = best.get(candidate.family)
            if known is None or merit(candidate.row) > merit(known.row):
                best[candidate.family] = candidate
    return sorted(best.values(), key=lambda candidate: merit(candidate.row), reverse=True)


def load_run_folder(path: str) -> LoadedRun:
    """Read a run, whatever has become of its trials.

    Raises:
        InputError: it is no run, is damaged, or of another version.
    """
    record = load_run(path)
    try:
        trials, epochs = load_trials(path), load_epochs(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"the tables of {path} cannot be read ({error}): take them from a backup, or leave the "
            "run out"
        ) from error
    missing = [name for name in NEEDED if name not in trials]
    if missing:
        raise InputError(
            f"trials.parquet of {path} has no column {', '.join(missing)}, it is of another "
            "version: compare it with the version that wrote it, or run it again"
        )
    folder = RunFolder.at(path)
    return LoadedRun(folder.name, folder, record, trials, epochs)


def _check_finished(run: LoadedRun, partial: bool) -> None:
    if not candidates(run):
        raise InputError(
            f"{run.folder.uri} has no finished trial, so there is nothing to compare: go on with "
            "it by --resume, or leave it out"
        )
    if partial or (run.record["status"] == "finished" and not run.unfinished):
        return
    status = run.trials.set_index("trial")["status"]
    left = ", ".join(f"{trial} ({status[trial]})" for trial in run.unfinished)
    raise InputError(
        f"{run.folder.uri} is not finished, it lacks {left or 'the end of its search'}: go on with "
        "it by --resume, or compare what is there with --partial"
    )


def _check_same_images(first: LoadedRun, other: LoadedRun) -> None:
    """By what their records say; those of earlier versions say less, and the images tell."""
    images = [run.record["dataset"].get("source_fingerprint") for run in (first, other)]
    cuts = [run.record["split"].get("fingerprint") for run in (first, other)]
    check_same(first.name, other.name, images, cuts)


def check_same(
    first: str, other: str, images: Sequence[str | None], cuts: Sequence[str | None]
) -> None:
    """Raise InputError if two runs are on different images, or cut differently.

    Args:
        first: name of a run.
        other: of another one.
        images: fingerprint of the images of each, whatever size they were resized to.
        cuts: fingerprint of the cut of each. None is not known.
    """
    for kind, (ours, theirs), remedy in (
        ("is on images", images, "compare runs on the same images"),
        ("was cut", cuts, "compare runs that were chosen and are scored on the same images, with "
                          "one --split and --split-seed"),
    ):  # fmt: skip
        if None not in (ours, theirs) and ours != theirs:
            raise InputError(
                f"{first} {kind} with fingerprint {ours}, and {other} with {theirs}: {remedy}"
            )
