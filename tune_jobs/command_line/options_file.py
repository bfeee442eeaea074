"""Options in a YAML file: what --config reads, and --write-config writes."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.errors import InputError
from tune_jobs.command_line.invocation import JOBS, PROGRAM
from tune_jobs.command_line.values import options_of, words_of
from tune_jobs.search_space.line_reader import Entry, Kind, at_line, read_entries

KIND = Kind("run file", "option", "epochs: 5", "leave out what has its default")
JOB = "job"
"""Entry that names the job whose options a file has."""
LINE_ONLY = frozenset({"config", "write_config", "trust"})
"""Options that no file gives: a file may come from anyone, and what is trusted must not."""
OTHER_NAMES = {"lr": ("learning rate",)}
"""What messages call options, besides their names."""


@dataclass(frozen=True)
class OptionsFile:
    """Options of one job that a file gives, without those that the command line overrides."""

    path: str
    """Path of the file."""
    lines: Mapping[str, int]
    """Line number of each option, from 1, by its name in Python."""
    words: Mapping[str, Sequence[str]]
    """Words of a command line that give each option, by its name in Python."""

    def overridden_by(self, arguments: Sequence[str]) -> OptionsFile:
        """Return the file without the options that a command line gives itself."""
        given = named_options(arguments)
        if arguments and not arguments[0].startswith("-"):  # values of an option without a name
            given |= {name for name, words in self.words.items() if not words[0].startswith("-")}
        kept = {name: words for name, words in self.words.items() if name not in given}
        return OptionsFile(self.path, {name: self.lines[name] for name in kept}, kept)

    @property
    def arguments(self) -> list[str]:
        """Words that give all of its options."""
        return [word for words in self.words.values() for word in words]

    @contextlib.contextmanager
    def located(self) -> Iterator[None]:
        """Have an InputError about an option of the file name the file and the line."""
        try:
            yield
        except InputError as error:
            if str(error).startswith(f"{self.path} "):
                raise
            for called in ("--{}", "{}"):
                for name, line in self.lines.items():
                    names = (name.replace("_", "-"), name, *OTHER_NAMES.get(name, ()))
                    words = (re.escape(called.format(each)) for each in names)
                    if re.search(rf"(?<![\w-])({'|'.join(words)})(?![\w-])", str(error)):
                        raise at_line(self.path, line, error) from error
            raise


def named_options(words: Iterable[str]) -> frozenset[str]:
    """Return the names of the options that words of a command line give, e.g. batch_size."""
    named = [word.split("=")[0][2:].replace("-", "_") for word in words if word.startswith("--")]
    return frozenset({*named, *(name.removeprefix("no_") for name in named)})


def read_options_file(path: str, cls: Any, job: str, program: str) -> OptionsFile:
    """Read the options of one job from a file.

    Args:
        path: the file.
        cls: dataclass of the options.
        job: name of the job in the console command.
        program: words that start the job, for messages.

    Raises:
        InputError: the file cannot be read, is of another job, or an entry is no option of the job.
    """
    return options_of_entries(path, read_entries(Path(path), KIND), cls, job, program)


def options_of_entries(
    path: str, entries: Iterable[Entry], cls: Any, job: str, program: str
) -> OptionsFile:
    """Return the options that entries of a file give; arguments and errors are as above."""
    options = options_of(cls)
    lines: dict[str, int] = {}
    words: dict[str, list[str]] = {}
    for entry in entries:
        name = entry.name.strip("_").replace("-", "_")
        if name == "jobs":
            text = f"has several jobs: start them with {PROGRAM} run {path}"
            raise at_line(path, entry.line, text)
        if name == JOB:
            if entry.value not in (job, JOBS[job].module):
                text = f"job {entry.value!r} is not {job}, which reads it: give it to that job"
                raise at_line(path, entry.line, text)
            continue
        if name in LINE_ONLY:
            text = f"--{name.replace('_', '-')} is given on the command line only: leave it out"
            raise at_line(path, entry.line, text)
        if name in lines:
            text = f"{entry.name} is given twice, first in line {lines[name]}: give it once"
            raise at_line(path, entry.line, text)
        try:
            words |= words_of(cls, {entry.name: entry.value}, program)
        except InputError as error:
            raise at_line(path, entry.line, error) from None
        lines[name] = entry.line
    # Values without the name of their option come first, as on a command line.
    order = sorted(words, key=lambda name: options[name].positional, reverse=True)
    return OptionsFile(path, lines, {name: words[name] for name in order})


def options_yaml(job: str, values: Mapping[str, Any], given: Iterable[str]) -> str:
    """Return options as YAML: those that were given, and the others as comments.

    Args:
        job: name of the job in the console command.
        values: value of every option by its name in Python.
        given: names of the options that were given.
    """
    import yaml

    def line(name: str) -> str:
        value = values[name]
        value = list(value) if isinstance(value, tuple) else value
        entry = {name.strip("_").replace("_", "-"): value}
        text = yaml.safe_dump(entry, default_flow_style=True, width=math.inf, allow_unicode=True)
        return str(text).strip()[1:-1]

    chosen = {name.strip("_") for name in given}
    names = [name for name in values if name.strip("_") not in LINE_ONLY]
    own = [line(name) for name in names if name.strip("_") in chosen]
    others = [f"# {line(name)}" for name in names if name.strip("_") not in chosen]
    header = (
        f"# Start it with {PROGRAM} run FILE, or {PROGRAM} {job} --config FILE. Options on the "
        "command line override those here."
    )
    text = [header, f"{JOB}: {job}", *own, "", "# Options with their defaults:", *others]
    return "\n".join(text) + "\n"
