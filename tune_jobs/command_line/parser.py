"""Parse a command line, with the stored options of a run that is resumed."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_type_hints

import tyro

from trainables.class_weights import read_class_weights
from trainables.config import Recipe, check_range
from trainables.errors import InputError
from trainables.trust import trust
from tune_jobs.command_line.invocation import words_that_start
from tune_jobs.command_line.mistakes import read_options
from tune_jobs.command_line.options import (
    SEEDS,
    JobOptions,
    RunOptions,
    check_data,
    check_patience,
    check_run,
    checked_name,
    current_data_options,
    earlier_layer_decay,
)
from tune_jobs.command_line.ranges import check_ranges, check_words
from tune_jobs.command_line.trial_names import number_labels

if TYPE_CHECKING:
    from tune_jobs.run_folder.folder import RunFolder

FREE_ON_RESUME = frozenset(
    {
        "name", "storage_path", "resume", "address", "cpus_per_trial", "gpus_per_trial",
        "max_concurrent", "track", "extend", "space_print", "plan", "price_per_hour", "max_time",
        "max_epochs_total", "optuna_storage", "cache_gb", "trust",
        "trial_timeout",
    }
)  # fmt: skip
"""Options that may change when a run is resumed, as they do not affect what is trained."""
SMOKE_EPOCHS = 2
"""Epochs with --smoke-test."""
SHOWN_RUNS = 5
"""Number of runs that a message names."""

AnyOptions = TypeVar("AnyOptions")
Options = TypeVar("Options", bound=JobOptions)
OptionsOf = TypeVar("OptionsOf", covariant=True)


@dataclass(frozen=True)
class CommandLine(Generic[OptionsOf]):
    """Parsed command line."""

    options: OptionsOf
    """Options of the job."""
    words: tuple[str, ...]
    """Words as typed: those that start the job, then its arguments."""
    started: float
    """Time at which the job started, in seconds on the clock of time.monotonic."""

    @property
    def text(self) -> str:
        """Command line, quoted for a shell."""
        return shlex.join(self.words)

    @property
    def given_options(self) -> frozenset[str]:
        """Names of the options that were given, e.g. batch_size for --batch-size."""
        words = [word.split("=")[0] for word in self.words if word.startswith("--")]
        return frozenset(word.removeprefix("--").replace("-", "_") for word in words)

    def with_options(self, options: AnyOptions) -> CommandLine[AnyOptions]:
        """Return a copy of the command line with other options."""
        return CommandLine(options, self.words, self.started)


def parse_plain(
    cls: type[AnyOptions], module: str, description: str | None
) -> CommandLine[AnyOptions]:
    """Parse the command line of a job that cannot be resumed.

    Args:
        cls: options class of the job.
        module: name of the module of the job below tune_jobs.
        description: description in --help.

    Raises:
        InputError: the command line cannot be read.
    """
    started, arguments = time.monotonic(), sys.argv[1:]
    check_words(arguments)
    program = words_that_start(module)
    options = read_options(cls, arguments, program, description=description)
    check_ranges(vars(options))
    trust(getattr(options, "trust", ()))
    return CommandLine(options, (*program, *arguments), started)


def parse(
    cls: type[Options], description: str | None, arguments: Sequence[str] | None = None
) -> CommandLine[Options]:
    """Parse the command line of a training job.

    With --resume or --extend, the stored options of the run are the defaults.

    Args:
        cls: options class of the job.
        description: description in --help.
        arguments: words after those that start the job; None for those of this process.

    Raises:
        InputError: a value is out of its range, the run to resume does not exist, or an option
            differs from that of the run.
    """
    started = time.monotonic()
    arguments = sys.argv[1:] if arguments is None else arguments
    check_words(arguments)
    program = words_that_start(cls.job.replace("-", "_"))
    stored = None
    first = _first_look(arguments)
    extending = first.extend is not None and hasattr(cls, "extend")
    if first.resume or extending:
        stored = _stored_options(cls, first)
    # The full parser below reports an unknown recipe.
    recipe = cls.recipes().get(first.recipe, Recipe())
    options: Options = read_options(
        cls,
        arguments,
        program,
        description=description,
        default=stored or dataclasses.replace(cls(), training=recipe),
        config=(tyro.conf.OmitArgPrefixes,),
    )
    check_ranges(flatten(options))
    check_run(options.run)
    check_data(options.data)
    check_patience(options.scheduler, options.training)
    weights = read_class_weights(options.training.class_weights)
    training = dataclasses.replace(options.training, class_weights=weights)
    options = dataclasses.replace(options, training=training)
    for name, value in flatten(options).items():
        if name in ("seed", "split_seed") and not stored:
            check_range(f"--{name.replace('_', '-')}", value, 0, SEEDS)
    if options.run.smoke_test:
        short = dataclasses.replace(options.training, epochs=SMOKE_EPOCHS)
        options = dataclasses.replace(options, training=short)
    if stored:
        if extending:
            options = _extended(options, stored)
        _refuse_changes(flatten(stored), flatten(options), options.extended_by if extending else ())
        options = dataclasses.replace(options, run=dataclasses.replace(options.run, resume=True))
    command = CommandLine(options, (*program, *arguments), started)
    trust(named_models(command))
    return command


def named_models(command: CommandLine[Options]) -> list[str]:
    """Return the networks of one's own and the modules that the command line itself names.

    Those of a stored run do not count, as a run may come from anyone.
    """
    given, flat = command.given_options, flatten(command.options)
    named: list[str] = [*flat["trust"]]
    named += [flat["model"]] if "model" in given else []
    named += flat["models"] if "models" in given else []
    return [name for name in named if not name.startswith("timm:")]


def _first_look(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options on which the defaults of the other options depend."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    # The full parser reports an option without its value.
    parser.add_argument("--recipe", nargs="?", default="standard", const="standard")
    parser.add_argument("--name", nargs="?")
    storage = RunOptions().storage_path
    parser.add_argument("--storage-path", nargs="?", default=storage, const=storage)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--extend", nargs="?", const="")
    # Unknown arguments are not lost: tyro parses the whole line next and reports them.
    return parser.parse_known_args(arguments)[0]


def _stored_options(cls: type[Options], first: argparse.Namespace) -> Options:
    from tune_jobs.run_folder.folder import RUN_FILE, RunFolder

    storage, name = RunFolder.at(first.storage_path), first.name
    if not name:
        raise InputError(
            "--resume and --extend need the name of the run: give --name"
            + _runs_there(storage, cls.job)
        )
    folder = storage.child(checked_name(name))
    if not folder.has(RUN_FILE):
        verb = "resume" if first.resume else "extend"
        raise InputError(
            f"there is no run {name!r} in {first.storage_path} to {verb}: check --name and "
            f"--storage-path, or leave out --{verb} to start a new run"
            + _runs_there(storage, cls.job)
        )
    record = folder.read_record()
    if record["job"] != cls.job:
        raise InputError(
            f"{name!r} in {first.storage_path} is a run of {record['job']}, and {cls.job} resumes "
            "only its own runs: resume it with the job that started it, or give another --name"
        )
    try:
        return _current_options(cls, record["options"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"the options in {folder.child(RUN_FILE).uri} are not those of a run of this version "
            f"({type(error).__name__}: {error}): restore it from a backup, or start another run"
        ) from error


def _current_options(cls: type[Options], stored: dict[str, Any]) -> Options:
    """Return the options in run.json, which an earlier version may have written."""
    stored = {**stored, "data": current_data_options(stored["data"])}
    if "layer_decay" in stored and "warmup" not in stored["training"]:
        decay = earlier_layer_decay(stored["layer_decay"], stored["mode"])
        stored = {**stored, "layer_decay": decay}
    # What a run trusted does not count where it is resumed: it may come from anyone.
    stored = {**stored, "run": {**stored["run"], "trust": []}}
    options: Options = _from_dict(cls, stored)
    return options


def _runs_there(storage: RunFolder, job: str) -> str:
    """Return which runs of a job a storage folder holds, as the end of a message."""
    from tune_jobs.run_folder.folder import RUN_FILE

    try:
        names = [name for name in storage.names() if storage.child(name).has(RUN_FILE)]
        own = [name for name in names if storage.child(name).read_json(RUN_FILE)["job"] == job]
    except (InputError, KeyError, OSError):  # the message that this ends is about something else
        return ""
    return f"; its runs of {job} are {', '.join(sorted(own)[:SHOWN_RUNS])}" if own else ""


def _extended(options: Options, stored: Options) -> Options:
    """Return options with the values of a finished run before those that it is extended by.

    Raises:
        InputError: no value is new.
    """
    for name in options.extended_by:
        before, given = getattr(stored, name), getattr(options, name)
        added = tuple(value for value in given if value not in before)
        labels = number_labels((*before, *added))
        if not added or any(
            labels[value] != label for value, label in number_labels(before).items()
        ):
            raise InputError(
                f"--extend adds to the --{name} of the run, {' '.join(map(str, before))}: give "
                f"others with --{name} that differ from these in the first six digits"
            )
        changes: dict[str, Any] = {"extend": False, name: (*before, *added)}
        options = dataclasses.replace(options, **changes)
    return options


def _from_dict(cls: type[Any], values: dict[str, Any]) -> Any:
    """Return a dataclass from its dict in JSON: the inverse of dataclasses.asdict."""
    hints = get_type_hints(cls)
    arguments = {}
    for key, value in values.items():
        if dataclasses.is_dataclass(hints[key]):
            arguments[key] = _from_dict(hints[key], value)
        else:
            arguments[key] = tuple(value) if isinstance(value, list) else value
    return cls(**arguments)


def flatten(options: JobOptions) -> dict[str, Any]:
    """Return the options of all groups by name, e.g. batch_size for --batch-size."""
    flat: dict[str, Any] = {}
    for key, value in dataclasses.asdict(options).items():
        flat |= value if isinstance(value, dict) else {key: value}
    return flat


def _refuse_changes(old: dict[str, Any], new: dict[str, Any], extended: Collection[str]) -> None:
    for key, value in old.items():
        if key not in FREE_ON_RESUME and key not in extended and new[key] != value:
            name = key.strip("_").replace("_", "-")
            raise InputError(
                f"--{name} {new[key]} differs from the run's {value}, and a run is resumed with "
                "its own options: leave it out, or start another run"
            )
