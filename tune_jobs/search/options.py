"""The options that every search by Optuna has. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro

from trainables.config import CHANGEABLE, TrialConfig, check_positive
from trainables.errors import InputError
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.search_space.space import Space, without
from tune_jobs.search_space.space_file import load_space

OBJECTIVES = ("accuracy", "parameters", "latency_ms", "seconds")
SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, kw_only=True)
class StudyOptions(JobOptions):
    """Options of every search by Optuna."""

    trials: int = 20
    """Trials in all; --max-time and --max-epochs-total may end the search before."""
    max_time: str | None = None
    """Wall time in all, from the start of the job, e.g. 90s, 30m or 2h."""
    max_epochs_total: int | None = None
    """Epochs of all trials together."""
    extend: int = 0
    """Go on with the run --name for so many trials more, finished or not."""
    sampler: Literal["tpe", "gp", "cmaes", "random", "qmc", "nsga2"] = "tpe"
    """Of Optuna; nsga2 is for several objectives."""
    objective: str = "accuracy"
    """accuracy, or accuracy and a cost: accuracy,parameters or latency_ms or seconds."""
    space: str | None = None
    """A YAML file of what is searched, instead of the default space."""
    space_print: bool = False
    """Write the space as YAML, to start one's own from, and do nothing else."""
    optuna_storage: str | None = None
    """Database that Optuna keeps the study in, e.g. postgresql://user@host/name; SQLite in the run
    folder without it."""
    from_: Annotated[tuple[str, ...], tyro.conf.arg(name="from")] = ()
    """Earlier runs to start from: their best settings are tried first, and the sampler learns from
    their trials where these were trained alike."""
    force: bool = False
    """Start from runs on other images too."""
    seed: int = 0
    """Of the sampler, and of every training."""
    scheduler: Literal["asha", "fifo", "hyperband", "pbt"] = "asha"
    """asha stops trials that fall behind, fifo trains each to its end, hyperband pauses trials to
    compare them after the same epochs, pbt has the worst go on as changed copies of the best."""


Options = TypeVar("Options", bound=StudyOptions)


def extended(command: CommandLine[Options]) -> CommandLine[Options]:
    """Make --extend part of --trials; raises InputError if it is below zero."""
    options = command.options
    if options.extend < 0:
        raise InputError(f"--extend {options.extend} must be 1 or more: trials are not taken back")
    options = dataclasses.replace(options, trials=options.trials + options.extend, extend=0)
    return command.with_options(options)


def search_space(command: CommandLine[StudyOptions], base: TrialConfig, default: Space) -> Space:
    """What is searched: the space asked for, less the settings that the command line gives.

    Args:
        command: the command line.
        base: what trials have in common.
        default: the space where none is asked for.

    Raises:
        InputError: the space cannot be used.
    """
    options = command.options
    if options.run.resume:
        from tune_jobs.run_folder.folder import SPACE_FILE, RunFolder

        assert options.run.name is not None  # checked when the options were read
        folder = RunFolder.at(options.run.storage_path).child(options.run.name)
        with tempfile.TemporaryDirectory() as local:
            file = Path(local, SPACE_FILE)
            file.write_bytes(folder.read(SPACE_FILE))
            return load_space(file, base.model)
    space = default if options.space is None else load_space(options.space, base.model)
    # --mode takes several, which are what is searched.
    space = without(space, command.given - {"mode"}, base)
    if not space:
        raise InputError("every parameter of the space is given by an option: leave one open")
    if options.scheduler == "pbt" and not set(CHANGEABLE) & set(space):
        raise InputError(
            f"--scheduler pbt changes {', '.join(CHANGEABLE)} on the way, and the space has none "
            "of them: add one, or take asha"
        )
    return space


def check_options(options: StudyOptions) -> None:
    """Raise InputError where an option is out of its range."""
    check_positive("--trials", options.trials)
    max_seconds(options.max_time)
    if options.max_epochs_total is not None:
        check_positive("--max-epochs-total", options.max_epochs_total)
    objectives(options.objective)
    if options.sampler == "nsga2" and "," not in options.objective:
        raise InputError(
            "--sampler nsga2 is for several objectives: give two, e.g. --objective "
            "accuracy,parameters, or take --sampler tpe"
        )
    if options.sampler == "cmaes" and "," in options.objective:
        raise InputError("--sampler cmaes knows one objective: take tpe or nsga2 for several")


def objectives(text: str) -> dict[str, Literal["max", "min"]]:
    """Names of objectives and which way each is better.

    Raises:
        InputError: a name is unknown or stands there twice, or accuracy is not the first.
    """
    names = text.split(",")
    unknown = [name for name in names if name not in OBJECTIVES]
    if unknown or names[0] != "accuracy" or len(set(names)) < len(names):
        raise InputError(
            f"--objective {text} must be accuracy, or accuracy and costs out of "
            f"{', '.join(OBJECTIVES[1:])}, e.g. accuracy,parameters"
        )
    return {name: "max" if name == "accuracy" else "min" for name in names}


def max_seconds(text: str | None) -> float | None:
    """A time such as 90s, 30m or 1.5h in seconds.

    Raises:
        InputError: it is no such time, or not above zero.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not match or float(match[1]) == 0:
        raise InputError(f"--max-time {text} must be a time above 0 such as 90s, 30m or 2h")
    return float(match[1]) * SECONDS[match[2]]
