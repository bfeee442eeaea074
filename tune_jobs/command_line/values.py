"""Options given as values, by the Python API and in files, as words of a command line.

The words are read by the parser of the command line, so that every form of an option has the same
names, types, checks and messages.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Any, NamedTuple, get_args, get_type_hints

import tyro

from trainables.errors import InputError
from tune_jobs.command_line.mistakes import meant_by


class Option(NamedTuple):
    """An option of a job."""

    name: str
    """Name in Python: batch_size for --batch-size."""
    hint: Any
    """Type of its value."""
    default: Any
    """Default value, for training options that of the recipe standard."""
    positional: bool
    """Whether the command line has its values without its name."""

    @property
    def typed(self) -> str:
        """Name on the command line, e.g. --batch-size."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def types(self) -> tuple[Any, ...]:
        """The types that a union is of, else the type alone."""
        return get_args(self.hint) or (self.hint,)


def options_of(cls: Any) -> dict[str, Option]:
    """Return the options of a job by name, those of nested groups included.

    Args:
        cls: dataclass of the options.
    """
    found: dict[str, Option] = {}
    plain, annotated = get_type_hints(cls), get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(plain[field.name]):
            found |= options_of(plain[field.name])
            continue
        markers = getattr(annotated[field.name], "__metadata__", ())
        name, positional = field.name.strip("_"), tyro.conf.Positional in markers
        found[name] = Option(name, plain[field.name], field.default, positional)
    return found


def words_of(cls: Any, values: Mapping[str, Any], program: str) -> dict[str, list[str]]:
    """Return the words of a command line for each option, those without a name first.

    Args:
        cls: dataclass of the options.
        values: values by name of the option, with dashes or underscores; from_ is from.
        program: words that start the job, for messages.

    Raises:
        InputError: there is no such option, or a value is none that a command line could have.
    """
    options, words = options_of(cls), {}
    for given, value in values.items():
        name = given.strip("_").replace("-", "_")
        if name not in options:
            raise InputError(unknown_option(given, options, program))
        words[name] = _words(options[name], value)
    return dict(sorted(words.items(), key=lambda item: not options[item[0]].positional))


def unknown_option(given: str, names: Iterable[str], program: str) -> str:
    """Return the message on a name that no option has, with the nearest ones.

    Args:
        given: the name.
        names: names of all options.
        program: words that start the job.
    """
    meant = meant_by(given.strip("_"), [name.replace("_", "-") for name in names])
    shown = [name if "-" in given else name.replace("-", "_") for name in meant]
    hint = f"did you mean {' or '.join(shown)}? " if shown else ""
    return f"there is no option {given}: {hint}{program} --help-all explains every option"


def _words(option: Option, value: Any) -> list[str]:
    """Return the words of an option with a value."""
    if option.hint is bool:
        if not isinstance(value, bool):
            raise InputError(f"{option.typed} {value!r} must be True or False")
        return [option.typed if value else option.typed.replace("--", "--no-", 1)]
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        text = _word(option, value)
        return [text] if option.positional else [f"{option.typed}={text}"]
    texts = [_word(option, each) for each in value]
    for text in texts:
        if text.startswith("-") and not text[1:2].isdigit():
            raise InputError(f"{option.typed} {text!r} must not begin with a dash: rename it")
    return texts if option.positional else [option.typed, *texts]


def _word(option: Option, value: Any) -> str:
    """Return a single value as text."""
    value = getattr(value, "item", lambda: value)()  # NumPy's numbers
    if value is None and NoneType not in option.types:
        raise InputError(
            f"{option.typed} must have a value, and is given None: leave it out, or give a text, "
            "such as 'none' for weights"
        )
    if isinstance(value, bool) and bool not in option.types:
        raise InputError(
            f"{option.typed} {value} is true or false, which it cannot be: quote it if it is a name"
        )
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value) if isinstance(value, float) else str(value)
    raise InputError(
        f"{option.typed} {value!r} is a {type(value).__name__}: give a number, a text or a list"
    )
