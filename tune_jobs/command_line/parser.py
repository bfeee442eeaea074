"""Reading a command line, and the options of a run that is resumed."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_type_hints

import tyro

from trainables.config import Recipe, check_range
from trainables.errors import InputError
from tune_jobs.command_line.options import SEEDS, JobOptions, RunOptions, checked_name

# What may differ when a run is resumed, as it does not say what is trained.
FREE_ON_RESUME = frozenset(
    {
        "name", "storage_path", "resume", "address", "cpus_per_trial", "gpus_per_trial",
        "max_concurrent", "track", "extend", "space_print", "plan", "price_per_hour", "max_time",
        "max_epochs_total", "optuna_storage",
    }
)  # fmt: skip
SMOKE_EPOCHS = 2

AnyOptions = TypeVar("AnyOptions")
Options = TypeVar("Options", bound=JobOptions)
OptionsOf = TypeVar("OptionsOf", covariant=True)


@dataclass(frozen=True)
class CommandLine(Generic[OptionsOf]):
    """A command line that was read."""

    options: OptionsOf
    words: tuple[str, ...]
    """The words as typed, the script first."""
    started: float
    """Time at which it was read, in seconds on the clock of time.monotonic."""

    @property
    def script(self) -> str:
        """The script, as typed."""
        return self.words[0]

    @property
    def text(self) -> str:
        """The command as it can be typed again."""
        return shlex.join(["python", *self.words])

    @property
    def given(self) -> frozenset[str]:
        """Names of the options that stand on the command line."""
        words = [word.split("=")[0] for word in self.words[1:] if word.startswith("--")]
        return frozenset(word.removeprefix("--").replace("-", "_") for word in words)

    def with_options(self, options: AnyOptions) -> CommandLine[AnyOptions]:
        """Return the same command line with other options."""
        return CommandLine(options, self.words, self.started)


def parse_plain(cls: type[AnyOptions], description: str | None) -> CommandLine[AnyOptions]:
    """Read the command line of a job that is not resumed."""
    started = time.monotonic()
    return CommandLine(tyro.cli(cls, description=description), tuple(sys.argv), started)


def parse(
    cls: type[Options], description: str | None, words: Sequence[str] | None = None
) -> CommandLine[Options]:
    """Read the command line of a job that trains; with --resume, over the options of the run.

    Args:
        cls: the job's options.
        description: first line of --help.
        words: the script and its arguments; those of this process by default.

    Raises:
        InputError: a value is out of its range, the run to resume is not there, or an option
            differs from the run's.
    """
    started = time.monotonic()
    words = tuple(sys.argv if words is None else words)
    arguments = words[1:]
    stored = None
    first = _first_look(arguments)
    if first.resume or first.extend:
        if not first.name:
            raise InputError("--resume and --extend need --name, the run to go on with")
        stored = _stored_options(cls, first.storage_path, first.name)
    # An unknown recipe is reported by the full parser.
    recipe = cls.recipes().get(first.recipe, Recipe())
    options: Options = tyro.cli(
        cls,
        description=description,
        args=arguments,
        default=stored or dataclasses.replace(cls(), training=recipe),
        config=(tyro.conf.OmitArgPrefixes,),
    )
    for name, value in flatten(options).items():
        if name in ("seed", "split_seed") and not stored:
            check_range(f"--{name.replace('_', '-')}", value, 0, SEEDS)
    if options.run.smoke_test:
        few = dataclasses.replace(options.training, epochs=SMOKE_EPOCHS)
        options = dataclasses.replace(options, training=few)
    if stored:
        _refuse_changes(flatten(stored), flatten(options))
        options = dataclasses.replace(options, run=dataclasses.replace(options.run, resume=True))
    return CommandLine(options, words, started)


def _first_look(arguments: Sequence[str]) -> argparse.Namespace:
    """The few options that the defaults of the others depend on."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--recipe", default="standard")
    parser.add_argument("--name")
    parser.add_argument("--storage-path", default=RunOptions().storage_path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--extend")
    # The rest is not swallowed: tyro reads the whole line next, and refuses what it does not know.
    return parser.parse_known_args(arguments)[0]


def _stored_options(cls: type[Options], storage_path: str, name: str) -> Options:
    from tune_jobs.run_folder.folder import RUN_FILE, RunFolder

    folder = RunFolder.at(storage_path).child(checked_name(name))
    if not folder.has(RUN_FILE):
        raise InputError(
            f"there is no run {name!r} in {storage_path} to resume: check --name and "
            "--storage-path, or leave --resume out to start it"
        )
    record = folder.read_json(RUN_FILE)
    if record["job"] != cls.job:
        raise InputError(
            f"{name!r} in {storage_path} is a run of {record['job']}, and {cls.job} goes on with "
            "its own alone: resume it by the job that began it, or give another --name"
        )
    options: Options = _from_dict(cls, record["options"])
    return options


def _from_dict(cls: type[Any], values: dict[str, Any]) -> Any:
    """The inverse of dataclasses.asdict, after a way through JSON."""
    hints = get_type_hints(cls)
    arguments = {}
    for key, value in values.items():
        if dataclasses.is_dataclass(hints[key]):
            arguments[key] = _from_dict(hints[key], value)
        else:
            arguments[key] = tuple(value) if isinstance(value, list) else value
    return cls(**arguments)


def flatten(options: JobOptions) -> dict[str, Any]:
    """Options by the name they have on the command line."""
    flat: dict[str, Any] = {}
    for key, value in dataclasses.asdict(options).items():
        flat |= value if isinstance(value, dict) else {key: value}
    return flat


def _refuse_changes(old: dict[str, Any], new: dict[str, Any]) -> None:
    for key, value in old.items():
        if key not in FREE_ON_RESUME and new[key] != value:
            name = key.strip("_").replace("_", "-")
            raise InputError(
                f"--{name} {new[key]} differs from the run's {value}, and a run goes on under its "
                "own options: leave it out, or start another run"
            )
