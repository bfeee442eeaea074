"""Parse a command line, with the stored options of a run that is resumed."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import tyro

from trainables.class_weights import read_class_weights
from trainables.config import Recipe, check_range
from trainables.errors import InputError
from trainables.trust import trust
from tune_jobs.command_line.invocation import JOBS, words_that_start
from tune_jobs.command_line.mistakes import read_options
from tune_jobs.command_line.options import (
    SEEDS,
    JobOptions,
    RunOptions,
    check_data,
    check_patience,
    check_run,
)
from tune_jobs.command_line.options_file import OptionsFile, named_options, read_options_file
from tune_jobs.command_line.ranges import check_ranges, check_words
from tune_jobs.command_line.stored import (
    extended,
    refuse_changes,
    repeated_options,
    stored_options,
)
from tune_jobs.command_line.values import options_of

SMOKE_EPOCHS = 2
"""Epochs with --smoke-test."""

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
    file: OptionsFile | None = None
    """File with further options, which the words override; None for none."""
    repeated: frozenset[str] = frozenset()
    """Names of the options that the run which --from-run repeats was given."""

    @property
    def text(self) -> str:
        """Command line, quoted for a shell."""
        return shlex.join(self.words)

    @property
    def typed_options(self) -> frozenset[str]:
        """Names of the options that the words give, e.g. batch_size for --batch-size."""
        return named_options(self.words)

    @property
    def given_options(self) -> frozenset[str]:
        """Names of the options that were given: typed, in the file, or of the repeated run."""
        return self.typed_options | self.repeated | frozenset(self.file.lines if self.file else ())

    def located(self) -> contextlib.AbstractContextManager[None]:
        """Have an InputError about an option of the file name the file and the line."""
        return self.file.located() if self.file else contextlib.nullcontext()

    def with_options(self, options: AnyOptions) -> CommandLine[AnyOptions]:
        """Return a copy of the command line with other options."""
        return CommandLine(options, self.words, self.started, self.file, self.repeated)


def parse_plain(
    cls: type[AnyOptions],
    module: str,
    description: str | None,
    arguments: Sequence[str] | None = None,
    *,
    program: Sequence[str] = (),
    file: OptionsFile | None = None,
) -> CommandLine[AnyOptions]:
    """Parse the command line of a job that cannot be resumed.

    Args:
        cls: options class of the job.
        module: name of the module of the job below tune_jobs.
        description: description in --help.
        arguments: words after those that start the job; None for those of this process.
        program: words that start the job; none for those that started this process.
        file: file with further options; None if the words name it, with --config.

    Raises:
        InputError: the command line cannot be read.
    """
    started = time.monotonic()
    words = sys.argv[1:] if arguments is None else arguments
    check_words(words)
    program = program or words_that_start(module)
    rest, file = _with_file(cls, words, module, program, file)
    with file.located() if file else contextlib.nullcontext():
        options = read_options(cls, rest, program, description=description)
        check_ranges(vars(options))
    trust(getattr(options, "trust", ()))
    return CommandLine(options, (*program, *words), started, file)


def parse(
    cls: type[Options],
    description: str | None,
    arguments: Sequence[str] | None = None,
    *,
    program: Sequence[str] = (),
    file: OptionsFile | None = None,
) -> CommandLine[Options]:
    """Parse the command line of a training job.

    With --resume, --extend or --from-run, the stored options of the run are the defaults.

    Args:
        cls: options class of the job.
        description: description in --help.
        arguments: words after those that start the job; None for those of this process.
        program: words that start the job; none for those that started this process.
        file: file with further options; None if the words name it, with --config.

    Raises:
        InputError: a value is out of its range, the run to resume does not exist, or an option
            differs from that of the run.
    """
    started = time.monotonic()
    words = sys.argv[1:] if arguments is None else arguments
    check_words(words)
    module = cls.job.replace("-", "_")
    program = program or words_that_start(module)
    rest, file = _with_file(cls, words, module, program, file)
    with file.located() if file else contextlib.nullcontext():
        options, repeated = _read(cls, rest, program, description)
    command = CommandLine(options, (*program, *words), started, file, repeated)
    trust(named_models(command))
    return command


def _with_file(
    cls: Any, words: Sequence[str], module: str, program: Sequence[str], file: OptionsFile | None
) -> tuple[list[str], OptionsFile | None]:
    """Return the words with those for the options of a file before them, and the file.

    Args:
        cls: options class of the job.
        words: words after those that start the job.
        module: name of the module of the job below tune_jobs.
        program: words that start the job.
        file: the file; None if the words name it, with --config.

    Raises:
        InputError: the file cannot be read.
    """
    if "config" not in options_of(cls):
        return [*words], None
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", nargs="?", const="")
    found, rest = parser.parse_known_args(words)
    if file is None and found.config in (None, "None"):
        return rest, None
    if file is None:
        if not found.config:
            raise InputError("--config has no value: give a file, e.g. --config run.yaml")
        job = next(name for name, job in JOBS.items() if job.module == module)
        file = read_options_file(found.config, cls, job, shlex.join(program))
    file = file.overridden_by(rest)
    return [*file.arguments, *rest], file


def _read(
    cls: type[Options], arguments: Sequence[str], program: Sequence[str], description: str | None
) -> tuple[Options, frozenset[str]]:
    """Return the options of a training job, and the names of those of a run that is repeated."""
    stored, repeated = None, frozenset[str]()
    first = _first_look(arguments)
    repeating = first.from_run not in (None, "None")
    extending = first.extend not in (None, "0") and hasattr(cls, "extend")
    resuming = first.resume or extending
    if repeating and resuming:
        raise InputError("--from-run starts a new run: leave it out, or --resume and --extend")
    if resuming:
        stored = stored_options(cls, first)
    elif repeating:
        stored, repeated = repeated_options(cls, first.from_run)
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
        changeable = options.extended_by if extending else ()
        what = "extended" if extending else "resumed" if resuming else "repeated"
        refuse_changes(flatten(stored), flatten(options), changeable, what)
        if extending:
            options = extended(options, stored)
    if resuming:
        options = dataclasses.replace(options, run=dataclasses.replace(options.run, resume=True))
    return options, repeated


def named_models(command: CommandLine[Options]) -> list[str]:
    """Return the networks of one's own and the modules that the command line itself names.

    Those of a stored run or of a file do not count, as they may come from anyone.
    """
    given, flat = command.typed_options, flatten(command.options)
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
    parser.add_argument("--from-run", "--from_run")
    # Unknown arguments are not lost: tyro parses the whole line next and reports them.
    return parser.parse_known_args(arguments)[0]


def flatten(options: JobOptions) -> dict[str, Any]:
    """Return the options of all groups by name, e.g. batch_size for --batch-size."""
    flat: dict[str, Any] = {}
    for key, value in dataclasses.asdict(options).items():
        flat |= value if isinstance(value, dict) else {key: value}
    return flat
