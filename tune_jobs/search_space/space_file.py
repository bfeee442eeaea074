"""YAML files of search spaces: writing, and reading with errors that name the line."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import yaml

from trainables.config import TrialConfig
from trainables.errors import InputError
from tune_jobs.search_space.line_reader import at_line, read_entries
from tune_jobs.search_space.space import (
    NOT_SEARCHED,
    PRETRAINED_ONLY,
    Parameter,
    Space,
    contains,
    is_among,
    searchable,
)

MOST_CHOICES = 1_000
"""Highest number of choices of a parameter."""
MOST_STEPS = 1_000_000
"""Highest number of values of a range with a step."""
LARGEST = 2**53
"""Largest whole number, which floats and databases hold exactly."""
HEADER = """\
# Search space, one parameter per line. Edit it, and pass the file with --space.
#   low, high  range, both ends included
#   log: true  sample the range on a logarithmic scale
#   step       only the values low, low + step, low + 2 * step, ...
#   choices    list of values, instead of a range
#   when       condition: the parameters named here, all above, have one of these values
#   model.ARG  argument ARG of the model
"""


def space_yaml(space: Space) -> str:
    """Return a search space as YAML for `load_space`, with one parameter per line."""
    text = HEADER
    for parameter in space.values():
        blank = Parameter(name=parameter.name, kind=parameter.kind)
        entry = {k: v for k, v in vars(parameter).items() if v != getattr(blank, k)}
        flow = yaml.safe_dump(entry, default_flow_style=True, sort_keys=False, width=math.inf)
        text += f"{parameter.name}: {flow}"
    return text


def load_space(path: str | Path, model: str = "cnn") -> Space:
    """Load a search space from a .yaml or .yml file.

    Args:
        path: the file.
        model: name of the network that is searched.

    Raises:
        InputError: the file cannot be read, or a parameter is invalid for the model; the message
            names the line where the parameter begins.
    """
    entries = read_entries(Path(path))
    defaults = searchable(model)
    space: Space = {}
    try:
        for entry in entries:
            _check_name(entry.name, model, defaults)
            default = defaults[entry.name]
            space[entry.name] = _parameter(entry.name, entry.value, default, space)
    except InputError as error:
        raise at_line(path, entry.line, error) from None
    except ValueError as error:  # a number that is too long to be shown
        raise at_line(path, entry.line, f"{entry.name} cannot be read ({error})") from None
    return space


def _check_name(name: str, model: str, known: Iterable[str]) -> None:
    if name in known:
        return
    if name in (*NOT_SEARCHED, *PRETRAINED_ONLY):
        raise InputError(
            f"{name} is the same for every trial and cannot be searched: leave it out, and set it "
            "by its command-line option"
        )
    if name == "dropout":
        raise InputError(f"the model {model} has no dropout: remove the parameter")
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    if name.startswith("model."):
        accepted = ", ".join(k for k in known if k.startswith("model.")) or "no arguments"
        raise InputError(
            f"{name} is not an argument of the model {model}, which accepts {accepted}{hint}"
        )
    raise InputError(f"{name} is not a parameter; must be one of {', '.join(known)}{hint}")


def _parameter(name: str, entry: Any, default: Any, before: Space) -> Parameter:
    if not isinstance(entry, dict):
        raise InputError(
            f"{name} is {entry!r} and must have a range or choices, e.g. {{low: 1, high: 10}} or "
            "{choices: [1, 10]}"
        )
    for key in entry:
        if key not in ("low", "high", "log", "step", "choices", "when"):
            raise InputError(
                f"{name} has key {key}, which must be one of low, high, log, step, choices and when"
            )
    when = _conditions(name, entry.get("when", {}), before)
    if "choices" not in entry:
        return _range(name, entry, default, when)
    for key in ("low", "high", "log", "step"):
        if key in entry:
            raise InputError(
                f"{name} has both choices and {key}, which exclude each other: leave one out"
            )
    choices = _choices(name, entry["choices"], default)
    return Parameter(name=name, kind="categorical", choices=choices, when=when)


def _choices(name: str, choices: Any, default: Any) -> tuple[Any, ...]:
    if not isinstance(choices, list) or not choices:
        raise InputError(
            f"{name} has choices {choices!r}, which must be a list of one or more values"
        )
    if len(choices) > MOST_CHOICES:
        raise InputError(
            f"{name} has {len(choices):,} choices, and at most {MOST_CHOICES:,} are searched: give "
            "fewer, or a range"
        )
    checked: list[Any] = []
    for choice in choices:
        value = _allowed(name, choice, default)
        if is_among(value, checked):
            raise InputError(
                f"{name} has the choice {choice!r} twice, and choices must be unique: remove one"
            )
        checked.append(value)
    return tuple(checked)


def _range(name: str, entry: dict[str, Any], default: Any, when: dict[str, Any]) -> Parameter:
    for key in ("low", "high"):
        if key not in entry:
            raise InputError(f"{name} has no {key}: give both low and high, or choices")
    if default is None:  # the range determines the type
        default = 0 if type(entry["low"]) is type(entry["high"]) is int else 0.0
    if type(default) not in (int, float):
        raise InputError(
            f"{name} is not numeric (e.g. {default!r}) and cannot have a range: give choices"
        )
    low, high = (_allowed(name, entry[key], default) for key in ("low", "high"))
    log, step = entry.get("log", False), entry.get("step")
    if not low < high:
        raise InputError(f"{name} has low {low} and high {high}: low must be below high")
    if not isinstance(log, bool):
        raise InputError(f"{name} has log {log!r}, which must be true or false")
    if log and low <= 0:
        raise InputError(
            f"{name} has log and low {low}, which must be above 0 on a logarithmic scale"
        )
    if step is not None:
        step = _typed(f"step of {name}", step, default)
        _check_step(name, low, high, log, step)
    kind: Literal["int", "float"] = "int" if isinstance(default, int) else "float"
    return Parameter(name=name, kind=kind, low=low, high=high, log=log, step=step, when=when)


def _check_step(name: str, low: float, high: float, log: bool, step: float) -> None:
    if log:
        raise InputError(
            f"{name} has both log and step {step}, which exclude each other: leave one out"
        )
    if step <= 0:
        raise InputError(f"{name} has step {step}, which must be above 0")
    if (high - low) / step > MOST_STEPS:
        raise InputError(
            f"{name} has step {step}, with which its range has more than {MOST_STEPS:,} values: "
            "make the step larger, or leave it out"
        )
    # In decimal, as written: 0.1 has no exact binary representation.
    start, end, stride = (Decimal(str(number)) for number in (low, high, step))
    if (end - start) % stride:
        last = end - (end - start) % stride
        raise InputError(
            f"{name} has step {step}, which must divide the range from low {low} to high "
            f"{high}: " + (f"try high {last}" if last > start else "make the step smaller")
        )


def _conditions(name: str, when: Any, before: Space) -> dict[str, tuple[Any, ...]]:
    if not isinstance(when, dict):
        raise InputError(
            f"{name} has when {when!r}, which must be a mapping, e.g. {{optimizer: [sgd]}}"
        )
    conditions = {}
    for other, values in when.items():
        if other not in before:
            raise InputError(
                f"{name} depends on {other}, which must be a parameter above it: move {other} "
                "up, or remove the condition"
            )
        if before[other].kind == "float":
            raise InputError(
                f"{name} depends on {other}, and conditions need choices or whole numbers: give "
                f"{other} choices, or remove the condition"
            )
        values = values if isinstance(values, list) else [values]
        if not values:
            raise InputError(
                f"{name} depends on {other} being one of [], which never holds: list a value, or "
                "remove the condition"
            )
        for value in values:
            if not contains(before[other], value):
                raise InputError(
                    f"{name} depends on {other} being {value!r}, which must be one of its values, "
                    f"{_values(before[other])}"
                )
        conditions[other] = tuple(values)
    return conditions


def _values(parameter: Parameter) -> str:
    if parameter.choices:
        return ", ".join(map(str, parameter.choices))
    return f"{parameter.low} to {parameter.high}"


_TYPES: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a finite number"),
    str: ((str,), "text"),
    list: ((list,), "a list"),
}
_ANY = ((bool, int, float, str, list, type(None)), "a finite number, text, true, false or a list")


def _allowed(name: str, value: Any, default: Any) -> Any:
    """Return a value that is valid for its setting or its model argument."""
    value = _typed(name, value, default)
    if not name.startswith("model."):
        # With SGD, whose rule for momentum is the strictest, and with weights, as modes need them.
        replace(TrialConfig(lr=1e-3, optimizer="sgd", weights="default"), **{name: value})
    return value


def _typed(name: str, value: Any, like: Any) -> Any:
    """Return a value of the same type as `like`; of any YAML type if `like` is None."""
    like = list(like) if isinstance(like, tuple) else like
    types, words = _TYPES.get(type(like), _ANY)
    if isinstance(value, int) and abs(value) > LARGEST:
        raise InputError(
            f"{name} is a number of {value.bit_length()} bits, and must be at most 2**53: give a "
            "smaller one"
        )
    if type(value) not in types or (isinstance(value, float) and not math.isfinite(value)):
        example = "" if like is None else f", e.g. {like}"
        raise InputError(f"{name} is {value!r} and must be {words}{example}")
    if isinstance(value, list):
        return [_typed(name, element, like[0] if like else None) for element in value]
    return float(value) if isinstance(like, float) else value
