"""Selection of the trained models to compare, by their metric on the validation images alone."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.models import is_registered
from trainables.status import TrialStatus
from trainables.storage import PARQUET_DAMAGE
from trainables.target import ACCURACY, TARGETS, Target
from tune_jobs.analysis.comparison.names import display_name, is_custom, short_name
from tune_jobs.analysis.datasets import dataset_labels, differing, metric_of, together
from tune_jobs.analysis.formatting import listed
from tune_jobs.analysis.results import load_epochs, load_run, load_trials
from tune_jobs.run_folder.constraints import may_be_chosen
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.run_folder.schema import config_of, members_of, training_seconds

NEEDED = ("trial", "status", "checkpoint", ACCURACY.best, "best/val_loss", "seconds", "parameters")
"""Columns of trials.parquet that a comparison requires."""
REMEDIES = {
    "images": "compare runs on the same images",
    "split": "compare runs with the same --split and --split-seed, so that models are selected and "
    "scored on the same images",
    "metric": "compare runs of one --metric",
}
"""What to do about runs that differ, by what they differ in."""


@dataclass(frozen=True)
class LoadedRun:
    """Contents of a run folder."""

    name: str
    """Name in tables and figures, unique among the compared runs."""
    folder: RunFolder
    """Folder of the run."""
    record: dict[str, Any]
    """Contents of run.json."""
    trials: pd.DataFrame
    """One row per trial, as `load_trials` returns it."""
    epochs: pd.DataFrame
    """One row per trial and epoch, as `load_epochs` returns it."""

    @property
    def target(self) -> Target:
        """Metric that epochs and trials of the run were selected by."""
        return TARGETS[metric_of(self.record)]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of `trials` as dictionaries."""
        return [{str(key): row[key] for key in row} for row in self.trials.to_dict("records")]

    @property
    def unfinished(self) -> list[str]:
        """Names of the trials that have not ended."""
        return [row["trial"] for row in self.rows if TrialStatus(row["status"]).is_open]


@dataclass(frozen=True)
class Candidate:
    """A trained model that may take part in a comparison."""

    run: LoadedRun
    """Run that trained the model."""
    row: dict[str, Any]
    """Row of the trial in trials.parquet."""
    config: TrialConfig
    """Complete configuration of the trial."""
    qualified: bool = False
    """Whether the names have the module or tag of the network too, as those of another winner would
    be the same without it."""
    as_trained: Mapping[str, float] = field(default_factory=dict)
    """Validation scores in the precision of the training, by column of `row`, where `row` has those
    in fp32; empty for a trial that was not scored again."""

    @property
    def trial(self) -> str:
        """Name of the trial."""
        return str(self.row["trial"])

    def may_win(self) -> bool:
        """Return whether the trial satisfies the constraints of its search."""
        return may_be_chosen(self.row)

    @property
    def training_seconds(self) -> float:
        """Time in seconds that the model, the members of a soup or a probe's features took."""
        parts = {self.trial, *members_of(self.row)}
        return sum(training_seconds(row for row in self.run.rows if row["trial"] in parts))

    @property
    def network_size(self) -> int:
        """Height and width of the network inputs in pixels."""
        # Trials of earlier versions have the size of all images of their run.
        return self.config.network_size(self.run.record["dataset"].get("image_size", 0))

    @property
    def family(self) -> str:
        """Model family: the network and whether its initial weights were pretrained."""
        return family(self.config)

    @property
    def name(self) -> str:
        """Name in tables and figures: EfficientNet-Lite0, ImageNet weights, 224 px."""
        averaged = len(members_of(self.row) or ())
        return display_name(self.config, self.network_size, self.qualified, averaged)

    @property
    def short_name(self) -> str:
        """Name in sentences: pretrained EfficientNet-Lite0."""
        return short_name(self.config, self.qualified)


def family(config: TrialConfig) -> str:
    """Return the name of the model family of a configuration, as in tables and figures."""
    if is_registered(config.model):
        return f"custom {config.model.upper()}"
    if is_custom(config):
        return f"custom {config.model}"
    if config.weights == "none":
        return f"{config.model} from scratch"
    return f"pretrained {config.model}"


def load_runs(
    paths: Sequence[str],
    partial: bool = False,
    words: Sequence[str] = ("bakeoff", "compare"),
) -> list[LoadedRun]:
    """Load runs and check that they can be compared.

    Args:
        paths: run folders, local or s3://… or gs://….
        partial: accept unfinished runs and compare their finished trials.
        words: words that start a comparison, for messages.

    Raises:
        InputError: no path is given or one is given twice; a path is not a run folder, is damaged,
            unfinished or without a finished trial; or the runs differ in images, split or metric.
    """
    if not paths:
        raise InputError("no run is given: name one or more run folders, e.g. runs/lr-grid")
    seen: dict[str, str] = {}
    for path in paths:
        uri = RunFolder.at(path).uri
        uri = uri.rstrip("/") if "://" in uri else str(Path(uri).resolve())
        if uri in seen:
            raise InputError(f"{path} is given twice, first as {seen[uri]}: name each run once")
        seen[uri] = path
    names = Counter(RunFolder.at(uri).name for uri in seen)
    runs = [load_run_folder(path) for path in paths]
    runs = [
        dataclasses.replace(run, name=run.folder.uri) if names[run.name] > 1 else run
        for run in runs
    ]
    _check_together(runs, paths, words)
    for run in runs:
        _check_finished(run, partial)
    return runs


def candidates(run: LoadedRun) -> list[Candidate]:
    """Return the trials of a run that have ended and saved weights."""
    return [
        Candidate(run, row, config_of(row))
        for row in run.rows
        if TrialStatus(row["status"]).is_ended and isinstance(row["checkpoint"], str)
    ]


def load_run_folder(path: str) -> LoadedRun:
    """Load a run, whatever the status of its trials.

    Raises:
        InputError: the path is not a run folder, or the run is damaged or of another version.
    """
    record = load_run(path)
    try:
        trials, epochs = load_trials(path), load_epochs(path)
    except PARQUET_DAMAGE as error:
        raise InputError(
            f"the tables of {path} cannot be read ({error}): restore them from a backup, or leave "
            "the run out"
        ) from error
    missing = [name for name in NEEDED if name not in trials]
    if missing:
        raise InputError(
            f"trials.parquet of {path} has no column {', '.join(missing)}, so another version of "
            "bakeoff wrote it: compare the run with that version, or run it again"
        )
    folder = RunFolder.at(path)
    return LoadedRun(folder.name, folder, record, trials, epochs)


def _check_finished(run: LoadedRun, partial: bool) -> None:
    goes_on = run.record["status"] == "running"
    if not candidates(run):
        remedy = "wait for its first trial" if goes_on else "resume the run with --resume"
        raise InputError(
            f"{run.folder.uri} has no finished trial, so there is nothing to compare: {remedy}, or "
            "leave it out"
        )
    if not any(map(Candidate.may_win, candidates(run))):
        bounds = " and ".join(run.record["search"].get("constraints", ()))
        raise InputError(
            f"{run.folder.uri} has no trial that satisfies its constraints {bounds}, so there is "
            "nothing to choose: add trials with --extend, or leave the run out"
        )
    if partial or (run.record["status"] == "finished" and not run.unfinished):
        return
    status = run.trials.set_index("trial")["status"]
    unfinished = ", ".join(f"{trial} ({status[trial]})" for trial in run.unfinished)
    remedy = "wait for its end" if goes_on else "resume the run with --resume"
    raise InputError(
        f"{run.folder.uri} is not finished, it lacks {unfinished or 'the end of its search'}: "
        f"{remedy}, or compare its finished trials with --partial"
    )


def _check_together(runs: Sequence[LoadedRun], paths: Sequence[str], words: Sequence[str]) -> None:
    """Raise InputError, with a comparison for each group of runs, if they differ too much for one.

    Args:
        runs: runs in the order of `paths`.
        paths: run folders as they were given.
        words: words that start a comparison.
    """
    records = [run.record for run in runs]
    groups = together(records)
    if len(groups) == 1:
        return
    differ = {
        what: remedy
        for what, remedy in REMEDIES.items()
        if any(differing(records[a[0]], records[b[0]]) == what for a in groups for b in groups)
    }
    labels = dataset_labels(records)
    lines = []
    for group in groups:
        command = shlex.join([*words, *(paths[i] for i in group)])
        about = [labels[group[0]], f"by {runs[group[0]].target.label}"]
        lines.append(f"  {command}    ({', '.join(about[: 1 + ('metric' in differ)])})")
    raise InputError(
        f"these runs differ in {listed(list(differ))}: {'; '.join(differ.values())}. "
        "Those that belong together:\n" + "\n".join(lines)
    )


def check_same(
    first: str, other: str, images: Sequence[str | None], splits: Sequence[str | None]
) -> None:
    """Raise InputError if two runs use different images or different splits.

    Args:
        first: name of the first run.
        other: name of the other run.
        images: fingerprint of each run's images, independent of the size they were resized to;
            None if unknown.
        splits: fingerprint of each run's split; None if unknown.
    """
    for what, (ours, theirs) in (("images", images), ("split", splits)):
        if None not in (ours, theirs) and ours != theirs:
            raise InputError(f"{first} and {other} differ in their {what}: {REMEDIES[what]}")
