"""Search spaces in YAML as entries with the lines they stand in."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MantissaNoDotYAML1_1Warning, MarkedYAMLError
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scalarfloat import ScalarFloat
from ruamel.yaml.scalarint import ScalarInt

from trainables.errors import InputError

SUFFIXES = (".yaml", ".yml")


class Entry(NamedTuple):
    """A parameter as it stands in a file."""

    name: str
    """Name of the parameter."""
    line: int
    """Line that it begins in, from 1."""
    value: Any
    """Its value in plain Python types, unchecked."""


class _Constructor(RoundTripConstructor):
    """Leaves dates as text, as no parameter has a date for a value."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)


def at_line(path: str | Path, line: int, message: object) -> InputError:
    """Return an error that names the line."""
    return InputError(f"{path} line {line}: {message}")


def read_entries(path: Path) -> list[Entry]:
    """Read the parameters of a file with their lines, in order, unchecked.

    Raises:
        InputError: the file is not there, is not YAML, or has no parameter.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"search space {path} must be a file that ends in {', '.join(SUFFIXES)}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"search space {path} cannot be read ({error.strerror}): check its name"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"search space {path} must be text in UTF-8: save it as that") from None
    entries = _read_yaml(path, text)
    if not entries:
        raise InputError(
            f"search space {path} is empty: it must have one parameter or more, e.g. "
            "lr with low 0.0001 and high 0.1"
        )
    return entries


def _read_yaml(path: Path, text: str) -> list[Entry]:
    yaml = YAML()
    yaml.Constructor = _Constructor
    yaml.version = (1, 1)  # type: ignore[assignment]  # `log: yes`, as most YAML is written
    try:
        with warnings.catch_warnings():
            # Of 1e-5, which is a number to every person.
            warnings.simplefilter("ignore", MantissaNoDotYAML1_1Warning)
            root = yaml.load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1
        raise at_line(path, line, f"not YAML: {error.problem}; correct it") from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise at_line(path, line, f"not YAML: {error.reason}; remove the character") from None
    except ValueError as error:  # of a number such as 0x_
        raise InputError(f"{path} is not YAML: {error}; correct it") from None
    if root is None:
        return []
    if not isinstance(root, CommentedMap):
        rule = "must be parameters by name, e.g. lr: {low: 0.0001, high: 0.1}"
        raise at_line(path, root.lc.line + 1 if hasattr(root, "lc") else 1, rule)
    return [Entry(str(name), root.lc.key(name)[0] + 1, _plain(root[name])) for name in root]


def _plain(value: Any) -> Any:
    """Return a value in plain Python types."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, ScalarFloat | ScalarInt):
        return float(value) if isinstance(value, ScalarFloat) else int(value)
    return value
