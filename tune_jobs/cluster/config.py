"""Read a cluster configuration, validated against our schema and Ray's."""

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
HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
INSTALLED = (HERE / "cluster.yaml").exists()
"""Whether this package is installed, with copies of both files, and not a checkout."""
CLUSTER_FILE = (HERE if INSTALLED else ROOT) / "cluster.yaml"
CONSTRAINTS = (HERE if INSTALLED else ROOT) / "constraints.txt"

RAY_REJECTS = (
    AssertionError,
    AttributeError,
    KeyError,
    NotImplementedError,
    TypeError,
    ValueError,
)
"""Exceptions of Ray's validation for an invalid configuration."""
SEE_EXAMPLE = "see cluster.yaml for an example"
NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
}
"""JSON type -> its name in messages."""


def read_config(path: str | Path) -> Config:
    """Load a cluster configuration and validate it, without filling in Ray's defaults.

    Raises:
        InputError: the file cannot be read, is not valid YAML, has a value of the wrong type, or
            is rejected by Ray.
    """
    try:
        config = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not valid YAML ({' '.join(str(error).split())}): correct the syntax"
        ) from error
    if not isinstance(config, dict):
        raise InputError(
            f"{path}: {reprlib.repr(config)} must be a mapping with cluster_name and provider: "
            f"{SEE_EXAMPLE}"
        )
    if "apiVersion" in config:
        raise InputError(
            f"{path} is a Kubernetes manifest ({config.get('kind')}), not a configuration for "
            f"`ray up`: start it with kubectl apply -f {path}"
        )
    if wrong := best_match(Draft7Validator(SCHEMA).iter_errors(config)):
        raise InputError(f"{_place(path, wrong)}: {_reason(wrong)}")
    try:
        # Without mounts, as Ray logs a warning for each one that is a file.
        check_autoscaler_config(copy.deepcopy(config) | {"file_mounts": {}})
    except ValidationError as error:
        raise InputError(f"{_place(path, error)} is rejected by Ray: {_reason(error)}") from error
    except RAY_REJECTS as error:
        raise InputError(f"{path} is rejected by Ray: {error}: {SEE_EXAMPLE}") from error
    return config


def _place(path: str | Path, error: ValidationError) -> str:
    key = ".".join(map(str, error.absolute_path))
    return f"{path}: {key}" if key else str(path)


def _reason(error: ValidationError) -> str:
    if error.validator == "required":
        return f"{error.message.replace('is a required property', 'is missing')}: {SEE_EXAMPLE}"
    if error.validator == "minProperties":
        return f"must not be empty: {SEE_EXAMPLE}"
    if error.validator == "type" and error.validator_value in NAMES:
        must = f"{reprlib.repr(error.instance)} must be {NAMES[error.validator_value]}"
        return f"{must}: {SEE_EXAMPLE}, or remove the key"
    return f"{error.message}: {SEE_EXAMPLE}, or remove the key"


def constraints() -> dict[str, set[str]]:
    """Return the versions of each package in constraints.txt; they may depend on Python's."""
    found: dict[str, set[str]] = {}
    for line in CONSTRAINTS.read_text().splitlines():
        name, _, version = line.partition("==")
        found.setdefault(canonical(name), set()).add(version.split(";")[0].strip())
    return found


def pinned(package: str) -> str:
    """Return the version of a package that constraints.txt pins once for all Pythons."""
    (version,) = constraints()[package]
    return version


def canonical(package: str) -> str:
    """Normalize a package name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()
