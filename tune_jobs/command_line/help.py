"""What --help explains: the options that a person decides first; of all of them, --help-all."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, get_type_hints

import tyro

from tune_jobs.command_line.invocation import JOBS

HELP_ALL = "--help-all"
HELP = frozenset({"-h", "--help", HELP_ALL})
"""Words that ask for help."""


class _Option(NamedTuple):
    """An option of a job."""

    group: str
    """Group of the options that it is explained with."""
    name: str
    """Name of its field."""
    hint: Any
    """Type with what it is annotated with."""
    default: Any
    """Default value."""
    help: str
    """Explanation."""


def help_class(cls: Any, default: Any, everything: bool) -> Any:
    """Return a dataclass of the options that are to be explained, which is for the parser's help.

    It groups them by the fields of `cls` that hold several options, with those of the data first.

    Args:
        cls: dataclass of the options of a job, which may name in `first_options` those that --help
            explains; without such names, or if it is no dataclass, it is returned unchanged.
        default: instance of it with the defaults; None for those of the class.
        everything: whether all options are to be explained.
    """
    first = getattr(cls, "first_options", ())
    if not first:
        return cls
    options = list(_options(cls, cls() if default is None else default))
    shown = [option for option in options if everything or option.name.strip("_") in first]
    groups: dict[str, list[tuple[Any, ...]]] = {}
    for option in shown:
        hint: Any = option.hint
        explained: Any = Annotated[hint, tyro.conf.arg(help=option.help)]
        field = option.name, explained, dataclasses.field(default=option.default)
        groups.setdefault(option.group, []).append(field)
    fields = groups.pop("", [])
    for name, group in groups.items():
        made = dataclasses.make_dataclass(name, group, frozen=True, kw_only=True)
        fields.append((name, made, dataclasses.field(default_factory=made)))
    if not everything:
        text = f"explain all {len(options)} options and exit"
        every = tyro.conf.arg(help=text, help_behavior_hint="")
        flag = Annotated[tyro.conf.FlagCreatePairsOff[bool], every]
        fields.insert(0, ("help_all", flag, dataclasses.field(default=False)))
    return dataclasses.make_dataclass(cls.__name__, fields, frozen=True, kw_only=True)


def _options(cls: Any, instance: Any, group: str = "") -> Iterator[_Option]:
    """Yield the options of a job with the values of an instance, those of the data first."""
    plain, hints = get_type_hints(cls), get_type_hints(cls, include_extras=True)
    texts = _explanations(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    nested = {name for name in names if dataclasses.is_dataclass(plain[name])}
    if nested:
        module = cls.job.replace("-", "_")
        group = next(name for name, job in JOBS.items() if job.module == module).replace("-", "_")
    for name in sorted(names, key=lambda name: ("data", *names).index(name)):
        value = getattr(instance, name)
        if name in nested:
            yield from _options(plain[name], value, name)
        else:
            yield _Option(group, name, hints[name], value, texts[name])


def _explanations(cls: Any) -> dict[str, str]:
    """Return the docstring of each field, with line breaks after whole sentences only."""
    import docstring_parser  # not before help is asked for

    found = {}
    for each in reversed(cls.__mro__[:-1]):
        for field in docstring_parser.parse_from_object(each).params:
            text = re.sub(r"\n *", "\n", field.description or "")
            found[field.arg_name] = re.sub(r"(?<![.:])\n", " ", text)
    return found
