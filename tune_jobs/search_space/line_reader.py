"""Reader of YAML files that people write, which keeps the line number of every entry."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
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
"""Deepest nesting of lists and mappings; a parameter of a search space needs 4."""


SURPRISING = re.compile(r"[^:]*:|[-+]?0[0-9]")
"""Numbers that YAML 1.1 reads to the base 60 or 8."""


class Kind(NamedTuple):
    """What a file is, for messages."""

    name: str
    """What it is called."""
    entry: str
    """What each of its entries is."""
    example: str
    """An entry."""
    shorter: str
    """What to do about a file that is too long."""


SPACE = Kind("search space", "parameter", "lr: {low: 0.0001, high: 0.1}", "give fewer choices")


class Entry(NamedTuple):
    """An entry as written in a file."""

    name: str
    """Name of the entry."""
    line: int
    """Line number of its first line, from 1."""
    value: Any
    """Its value in plain Python types, not validated."""
    inner: tuple[Entry, ...] = ()
    """The entries of its value, if that is a mapping."""


class _Constructor(RoundTripConstructor):
    """YAML constructor that reads dates as text, as no parameter is a date.

    So it reads 1:30, which is 90 in YAML 1.1, and 010, which is 8: few people mean that.
    """

    def _number(self, node: Any, read: Callable[..., Any]) -> Any:
        return node.value if SURPRISING.match(node.value) else read(self, node)


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)
_Constructor.add_constructor(
    "tag:yaml.org,2002:int",
    lambda reader, node: reader._number(node, RoundTripConstructor.construct_yaml_int),
)
_Constructor.add_constructor(
    "tag:yaml.org,2002:float",
    lambda reader, node: reader._number(node, RoundTripConstructor.construct_yaml_float),
)


def at_line(path: str | Path, line: int, message: object) -> InputError:
    """Return an InputError that names the file and the line."""
    return InputError(f"{path} line {line}: {message}")


def read_entries(path: Path, kind: Kind = SPACE) -> list[Entry]:
    """Read the entries of a file in order, with their line numbers, without validation.

    Args:
        path: the file.
        kind: what it is, for messages.

    Raises:
        InputError: the file does not exist, is not YAML, or has no entries.
    """
    what = f"{kind.name} {path}"
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{what} must be a file with suffix {' or '.join(SUFFIXES)}: rename it")
    if path.exists() and not path.is_file():  # a pipe may have no end
        raise InputError(f"{what} is no regular file: give the path of one")
    try:
        if (size := path.stat().st_size) > LONGEST:
            raise InputError(
                f"{what} has {size:,} bytes, and at most {LONGEST:,} are read: {kind.shorter}"
            )
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{what} cannot be read ({error.strerror}): check its name") from None
    except UnicodeDecodeError:
        raise InputError(f"{what} must be UTF-8 text: save it as UTF-8") from None
    entries = _read_yaml(path, text, kind)
    if not entries:
        raise InputError(
            f"{what} is empty and must have at least one {kind.entry}: add one, e.g. {kind.example}"
        )
    return entries


def _read_yaml(path: Path, text: str, kind: Kind) -> list[Entry]:
    yaml = YAML()
    yaml.Constructor = _Constructor
    yaml.version = (1, 1)  # so that `log: yes` is a boolean
    try:
        with warnings.catch_warnings():
            # YAML 1.1 warns of 1e-5, which people mean as a number.
            warnings.simplefilter("ignore", MantissaNoDotYAML1_1Warning)
            _check_events(path, text)
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
        rule = f"must map names to values: write each {kind.entry} by name, e.g. {kind.example}"
        raise at_line(path, root.lc.line + 1 if hasattr(root, "lc") else 1, rule)
    return list(_entries(root))


def _entries(mapping: CommentedMap) -> Iterator[Entry]:
    for name, value in mapping.items():
        inner = tuple(_entries(value)) if isinstance(value, CommentedMap) else ()
        yield Entry(str(name), mapping.lc.key(name)[0] + 1, _plain(value), inner)


def _check_events(path: Path, text: str) -> None:
    """Raise InputError on tags, and where values would have no end or end in the millions."""
    depth = 0
    for event in YAML().parse(text):
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent):
            raise at_line(
                path, line, f"not YAML as it is read here: write out what *{event.anchor} refers to"
            )
        if (tag := getattr(event, "tag", None)) is not None:
            raise at_line(path, line, f"not YAML as it is read here: leave out the tag {tag}")
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
