"""Options of every Optuna search. This module imports nothing heavy."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro

from trainables.config import MUTABLE_SETTINGS, TrialConfig, check_positive
from trainables.errors import InputError
from trainables.target import TARGETS
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.run_folder.constraints import Constraint, parse_constraints
from tune_jobs.search_space.space import Space, without
from tune_jobs.search_space.space_file import load_space

COSTS = ("parameters", "macs", "latency_ms", "seconds")
SECONDS = {"s": 1, "m": 60, "h": 3600}
LONGEST_S = 366 * 24 * 3600
"""Longest --max-time in seconds."""


@dataclass(frozen=True, kw_only=True)
class StudyOptions(JobOptions):
    """Options of every Optuna search."""

    # The help of an option breaks its lines where the docstring has a whole sentence in a line.

    trials: int = 20
    """Number of trials; --max-time or --max-epochs-total may end the search earlier."""
    max_time: str | None = None
    """Limit of the search's wall time, e.g. 90s, 30m or 2h, added up over --resume."""
    max_epochs_total: int | None = None
    """Limit of the total number of epochs over all trials."""
    extend: int = 0
    """Resume the run --name with this many additional trials, even if it has finished."""
    sampler: Literal["tpe", "gp", "cmaes", "random", "qmc", "nsga2"] = "tpe"
    """Optuna sampler that proposes the trials; nsga2 is for several objectives only."""
    objective: str = "metric"
    """metric (that of --metric, by its name too), or metric and costs to
    minimise, e.g. metric,parameters for their Pareto front.
    Costs: parameters, macs, latency_ms, seconds."""
    constraint: tuple[str, ...] = ()
    """Bounds that a trial must satisfy to be chosen, in quotes, e.g.
    'latency_ms<=5' 'parameters<=5e6'. Columns: parameters, macs, latency_ms,
    seconds, images_per_second, peak_memory_mb and the val_* of the best epoch.
    Trials that violate a bound on parameters, macs or latency_ms are not
    trained (--sampler gp trains them, as it learns from complete trials only)."""
    space: str | None = None
    """YAML file with the search space; by default the search space of the job."""
    space_print: bool = False
    """Print the search space as YAML, as a template for --space, and exit."""
    optuna_storage: str | None = None
    """Database URL of the Optuna study, e.g. postgresql://user@host/name;
    by default SQLite in the run folder."""
    from_: Annotated[tuple[str, ...], tyro.conf.arg(name="from")] = ()
    """Run folders to warm-start from. Trials trained under the same
    conditions are added to the study; otherwise the best settings are
    tried again first."""
    force: bool = False
    """With --from: accept runs on different images, and try their best settings."""
    seed: int = 0
    """Random seed of the sampler and of every trial."""
    scheduler: Literal["asha", "fifo", "hyperband", "pbt"] = "asha"
    """asha stops trials that fall behind (asynchronous successive halving).
    fifo trains every trial for all its epochs.
    hyperband pauses trials, and resumes the best of each bracket.
    pbt is population-based training: the worst trials exploit and explore
    (continue from a copy of one of the best, with changed settings)."""

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """Constraints that trials must satisfy to be chosen."""
        return parse_constraints(self.constraint)

    @property
    def costs(self) -> frozenset[str]:
        """Columns of trials.parquet that objectives and constraints are about."""
        return frozenset({*self.objective.split(",")[1:], *(c.name for c in self.constraints)})


Options = TypeVar("Options", bound=StudyOptions)


def apply_extend(command: CommandLine[Options]) -> CommandLine[Options]:
    """Return the command line with --extend added to --trials.

    Raises:
        InputError: --extend is negative.
    """
    options = command.options
    if options.extend < 0:
        raise InputError(f"--extend {options.extend} must be 1 or more: trials cannot be removed")
    options = dataclasses.replace(options, trials=options.trials + options.extend, extend=0)
    return command.with_options(options)


def search_space(command: CommandLine[StudyOptions], base: TrialConfig, default: Space) -> Space:
    """Return the search space without the parameters that the command line fixes.

    Args:
        command: the command line.
        base: configuration of the parameters that are not searched.
        default: search space of the job, used without --space.

    Raises:
        InputError: the search space is invalid or has no free parameter.
    """
    options = command.options
    if options.run.resume or options.run.from_run:
        from tune_jobs.run_folder.folder import SPACE_FILE, RunFolder

        if options.run.resume:
            assert options.run.name is not None  # checked when the options were read
            folder = RunFolder.at(options.run.storage_path).child(options.run.name)
        else:
            assert options.run.from_run is not None
            folder = RunFolder.at(options.run.from_run)
        with tempfile.TemporaryDirectory() as local:
            file = Path(local, SPACE_FILE)
            file.write_bytes(folder.read(SPACE_FILE))
            return load_space(file, base.model)
    space = default if options.space is None else load_space(options.space, base.model)
    # Several values of --mode are choices of the search, and fix nothing.
    space = without(space, command.given_options - {"mode"}, base)
    if not space:
        raise InputError(
            "every parameter of the search space is fixed by an option, and at least one must be "
            "free: leave one option out"
        )
    if options.scheduler == "pbt" and not set(MUTABLE_SETTINGS) & set(space):
        raise InputError(
            f"--scheduler pbt changes {', '.join(MUTABLE_SETTINGS)} during training, and the "
            "search space has none of them: add one to the space, or use --scheduler asha"
        )
    return space


def check_options(options: StudyOptions) -> None:
    """Raise InputError if an option is out of range."""
    check_positive("--trials", options.trials)
    max_seconds(options.max_time)
    check_runs(options.from_)
    if options.optuna_storage is not None:
        check_database(options.optuna_storage)
    if options.max_epochs_total is not None:
        check_positive("--max-epochs-total", options.max_epochs_total)
    objectives(options.objective, options.training.metric)
    if options.constraints and options.sampler == "cmaes":
        raise InputError(
            f"--sampler cmaes ignores --constraint {' '.join(options.constraint)}: use tpe, gp or "
            "nsga2, which learn which trials satisfy it, or random or qmc, which learn nothing"
        )
    if options.sampler == "nsga2" and "," not in options.objective:
        raise InputError(
            "--sampler nsga2 is for several objectives: give two or more, e.g. --objective "
            "metric,parameters, or use --sampler tpe"
        )
    if options.sampler == "cmaes" and "," in options.objective:
        raise InputError(
            "--sampler cmaes supports only one objective: use tpe or nsga2 for several"
        )


def check_runs(paths: tuple[str, ...]) -> None:
    """Raise InputError if a run is given twice to --from."""
    folders = [path if "://" in path else str(Path(path).absolute()) for path in paths]
    for path, folder in zip(paths, folders, strict=True):
        if folders.count(folder) > 1:
            raise InputError(f"--from names {path} twice: name each run once")


def check_database(url: str) -> None:
    """Raise InputError if the address of a database cannot be used, before anything is started."""
    from tune_jobs.search.database import check_address  # imports SQLAlchemy

    check_address(url)


def objectives(text: str, metric: str) -> dict[str, Literal["max", "min"]]:
    """Parse --objective into names of objectives and the direction of each.

    Args:
        text: value of --objective.
        metric: value of --metric.

    Raises:
        InputError: a name is unknown or repeated, or the metric of --metric is not the first.
    """
    first, *costs = text.split(",")
    if first in TARGETS and first != metric:
        raise InputError(
            f"--objective {text} begins with {first}, and --metric is {metric}: give --metric "
            f"{first}, or begin the objectives with metric"
        )
    if first not in ("metric", metric) or set(costs) - set(COSTS) or len(set(costs)) < len(costs):
        raise InputError(
            f"--objective {text} must be metric, or metric followed by costs out of "
            f"{', '.join(COSTS)}, e.g. metric,parameters"
        )
    modes: dict[str, Literal["max", "min"]] = {metric: TARGETS[metric].mode}
    return modes | dict.fromkeys(costs, "min")


def max_seconds(text: str | None) -> float | None:
    """Convert a duration such as 90s, 30m or 1.5h to seconds.

    Raises:
        InputError: the text is not a duration above zero.
    """
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smh])", text)
    seconds = float(match[1]) * SECONDS[match[2]] if match else 0.0
    if not 1 <= seconds <= LONGEST_S:
        raise InputError(
            f"--max-time {text[:50]} must be a duration above 0, of a second to a year, e.g. 90s, "
            "30m or 2h"
        )
    return seconds
