"""Reader of search spaces in YAML that keeps the line number of every parameter."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MantissaNoDotYAML1_1Warning, MarkedYAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scalarfloat import ScalarFloat
from ruamel.yaml.scalarint import ScalarInt

from trainables.errors import InputError

SUFFIXES = (".yaml", ".yml")
LONGEST = 100_000
"""Largest size of a file in bytes."""
DEEPEST = 8
"""Deepest nesting of lists and mappings; a parameter needs 4."""


class Entry(NamedTuple):
    """A parameter as written in a file."""

    name: str
    """Name of the parameter."""
    line: int
    """Line number of its first line, from 1."""
    value: Any
    """Its value in plain Python types, not validated."""


class _Constructor(RoundTripConstructor):
    """YAML constructor that reads dates as text, as no parameter is a date."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)


def at_line(path: str | Path, line: int, message: object) -> InputError:
    """Return an InputError that names the file and the line."""
    return InputError(f"{path} line {line}: {message}")


def read_entries(path: Path) -> list[Entry]:
    """Read the parameters of a file in order, with their line numbers, without validation.

    Raises:
        InputError: the file does not exist, is not YAML, or has no parameters.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"search space {path} must be a file with suffix {' or '.join(SUFFIXES)}: rename it"
        )
    try:
        if (size := path.stat().st_size) > LONGEST:
            raise InputError(
                f"search space {path} has {size:,} bytes, and at most {LONGEST:,} are read: give "
                "fewer choices"
            )
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"search space {path} cannot be read ({error.strerror}): check its name"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"search space {path} must be UTF-8 text: save it as UTF-8") from None
    entries = _read_yaml(path, text)
    if not entries:
        raise InputError(
            f"search space {path} is empty and must have at least one parameter: add one, e.g. "
            "lr: {low: 0.0001, high: 0.1}"
        )
    return entries


def _read_yaml(path: Path, text: str) -> list[Entry]:
    yaml = YAML()
    yaml.Constructor = _Constructor
    yaml.version = (1, 1)  # so that `log: yes` is a boolean
    try:
        with warnings.catch_warnings():
            # YAML 1.1 warns of 1e-5, which people mean as a number.
            warnings.simplefilter("ignore", MantissaNoDotYAML1_1Warning)
            _check_nesting(path, text)
            root = yaml.load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1
        raise at_line(path, line, f"not YAML: {error.problem}; correct it") from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise at_line(path, line, f"not YAML: {error.reason}; remove the character") from None
    except InputError:
        raise
    except ValueError as error:  # a malformed number, e.g. 0x_
        raise InputError(f"{path} is not YAML: {error}; correct it") from None
    if root is None:
        return []
    if not isinstance(root, CommentedMap):
        rule = "must map names to parameters: write it by name, e.g. lr: {low: 0.0001, high: 0.1}"
        raise at_line(path, root.lc.line + 1 if hasattr(root, "lc") else 1, rule)
    return [Entry(str(name), root.lc.key(name)[0] + 1, _plain(root[name])) for name in root]


def _check_nesting(path: Path, text: str) -> None:
    """Raise InputError where the values of a file would have no end, or end in the millions."""
    depth = 0
    for event in YAML().parse(text):
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent):
            raise at_line(
                path, line, f"not YAML as it is read here: write out what *{event.anchor} refers to"
            )
        if isinstance(event, CollectionStartEvent | CollectionEndEvent):
            depth += 1 if isinstance(event, CollectionStartEvent) else -1
        if depth > DEEPEST:
            raise at_line(path, line, f"is nested more than {DEEPEST} deep: write it flatter")


def _plain(value: Any) -> Any:
    """Return a value in plain Python types."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, ScalarFloat | ScalarInt):
        return float(value) if isinstance(value, ScalarFloat) else int(value)
    return value
