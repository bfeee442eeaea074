"""A cluster's configuration, read as Ray reads it."""

from __future__ import annotations

import copy
import re
import reprlib
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from jsonschema import Draft7Validator, ValidationError
from jsonschema.exceptions import best_match

from trainables.errors import InputError
from tune_jobs.cluster.schema import SCHEMA
from tune_jobs.ray_runtime.ray_internals import check_autoscaler_config

Config: TypeAlias = dict[str, Any]
ROOT = Path(__file__).parents[2]
CLUSTER_FILE = ROOT / "cluster.yaml"
CONSTRAINTS = ROOT / "constraints.txt"

RAY_REFUSES = (
    AssertionError,
    AttributeError,
    KeyError,
    NotImplementedError,
    TypeError,
    ValueError,
)
LIKE = "write it as cluster.yaml does"
NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
}
"""What a person calls the types of JSON."""


def read_config(path: str | Path) -> Config:
    """A cluster.yaml that Ray's own schema takes, as it is written.

    Raises:
        InputError: it is not there, is no YAML, or has a key or value of another type than is read
            here, or that Ray refuses.
    """
    try:
        config = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no YAML ({' '.join(str(error).split())})") from error
    if not isinstance(config, dict):
        raise InputError(f"{path} must be a mapping with cluster_name and provider")
    if "apiVersion" in config:
        raise InputError(
            f"{path} is a manifest of Kubernetes ({config.get('kind')}), and no file of `ray up`: "
            f"kubectl apply -f {path}"
        )
    if wrong := best_match(Draft7Validator(SCHEMA).iter_errors(config)):
        raise InputError(f"{_place(path, wrong)}: {_reason(wrong)}")
    try:
        # Mounts apart: Ray warns of each that is a file.
        check_autoscaler_config(copy.deepcopy(config) | {"file_mounts": {}})
    except ValidationError as error:
        raise InputError(f"{_place(path, error)} is refused by Ray: {_reason(error)}") from error
    except RAY_REFUSES as error:
        raise InputError(f"{path} is refused by Ray: {error}: {LIKE}") from error
    return config


def _place(path: str | Path, error: ValidationError) -> str:
    key = ".".join(map(str, error.absolute_path))
    return f"{path}: {key}" if key else str(path)


def _reason(error: ValidationError) -> str:
    if error.validator == "required":
        return f"{error.message.replace('is a required property', 'is missing')}: {LIKE}"
    if error.validator == "minProperties":
        return f"must not be empty: {LIKE}"
    if error.validator == "type" and error.validator_value in NAMES:
        must = f"{reprlib.repr(error.instance)} must be {NAMES[error.validator_value]}"
        return f"{must}: {LIKE}, or leave it out"
    return f"{error.message}: {LIKE}, or leave it out"


def constraints() -> dict[str, set[str]]:
    """Versions of each package in constraints.txt, which may differ by Python."""
    found: dict[str, set[str]] = {}
    for line in CONSTRAINTS.read_text().splitlines():
        name, _, version = line.partition("==")
        found.setdefault(canonical(name), set()).add(version.split(";")[0].strip())
    return found


def pinned(package: str) -> str:
    """The only version of a package in constraints.txt."""
    (version,) = constraints()[package]
    return version


def canonical(package: str) -> str:
    """A package's name as all its spellings come to."""
    return re.sub(r"[-_.]+", "-", package).lower()
