"""Files in YAML or TOML as entries with the lines they stand in."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from trainables.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Entry(NamedTuple):
    """A parameter as it stands in a file."""

    name: str
    line: int
    value: Any


def at_line(path: str | Path, line: int, message: object) -> InputError:
    """What is wrong, and where."""
    return InputError(f"{path} line {line}: {message}")


def read_entries(path: Path) -> list[Entry]:
    """The parameters of a file with their lines, in order, unchecked.

    Raises:
        InputError: the file is not there, is not YAML or TOML, or has no parameter.
    """
    readers = {".yaml": _read_yaml, ".yml": _read_yaml, ".toml": _read_toml}
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise InputError(f"search space {path} must be a file that ends in {', '.join(readers)}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"search space {path} cannot be read ({error.strerror}): check its name"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"search space {path} must be text in UTF-8: save it as that") from None
    entries = readers[suffix](path, text)
    if not entries:
        raise InputError(
            f"search space {path} is empty: it must have one parameter or more, e.g. "
            "lr with low 0.0001 and high 0.1"
        )
    return entries


def _read_yaml(path: Path, text: str) -> list[Entry]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            return []
        if not isinstance(root, yaml.MappingNode):
            rule = "must be parameters by name, e.g. lr: {low: 0.0001, high: 0.1}"
            raise at_line(path, root.start_mark.line + 1, rule)
        return [Entry(name, line, _plain(path, node)) for name, line, node in _pairs(path, root)]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1
        raise at_line(path, line, f"not YAML: {error.problem}; correct it") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise at_line(path, line, f"not YAML: {error.reason}; remove the character") from None


def _pairs(path: Path, mapping: Any) -> list[tuple[str, int, Any]]:
    """Keys with their lines and nodes. YAML would let the last of equal keys win."""
    lines: dict[str, int] = {}
    for key, _ in mapping.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise at_line(path, line, "a name must be plain text, e.g. lr")
        if key.value in lines:
            first = lines[key.value]
            raise at_line(path, line, f"{key.value} stands in line {first} too: leave one out")
        lines[key.value] = line
    return [(key.value, key.start_mark.line + 1, node) for key, node in mapping.value]


def _plain(path: Path, node: Any) -> Any:
    """The value of a node; YAML's dates and other tags stay text."""
    if isinstance(node, yaml.MappingNode):
        return {name: _plain(path, value) for name, _, value in _pairs(path, node)}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(path, value) for value in node.value]
    if node.tag.rpartition(":")[2] in ("bool", "int", "float", "null"):
        with contextlib.suppress(ValueError):  # 0x_ passes for a number, and is none
            return yaml.safe_load(node.value)
    # To YAML 1.1 a number with an exponent has a point and a sign, and 1e-5 is text.
    if node.style is None and re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+", node.value):
        return float(node.value)
    return node.value


def _read_toml(path: Path, text: str) -> list[Entry]:
    try:
        pairs = _with_dots(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        message = str(error).partition(" (at ")[0]
        raise at_line(path, line, f"not TOML: {message}; correct it") from None
    for _, value in pairs:
        if isinstance(value, dict) and isinstance(value.get("when"), dict):
            value["when"] = dict(_with_dots(value["when"]))
    entries = [Entry(name, _toml_line(text, name), value) for name, value in pairs]
    return sorted(entries, key=lambda entry: entry.line)  # the parser groups what is in a table


def _with_dots(values: dict[str, Any]) -> list[tuple[str, Any]]:
    """To TOML a name with a dot is a table in a table: make it one name again."""
    pairs = []
    for name, value in values.items():
        if name == "model" and isinstance(value, dict):
            pairs += [(f"model.{argument}", inner) for argument, inner in value.items()]
        else:
            pairs.append((name, value))
    return pairs


def _toml_line(text: str, name: str) -> int:
    """The line where a parameter begins; the parser does not tell."""
    lines = text.splitlines()
    # model.ARG may stand as ARG in [model], or inside of model = {…}.
    for part in (name, name.partition(".")[2] or name, name.partition(".")[0]):
        key = re.compile(rf"""\s*\[?\s*["']?{re.escape(part)}["']?\s*[].=]""")
        for number, line in enumerate(lines, start=1):
            if key.match(line):
                return number
    return 1
