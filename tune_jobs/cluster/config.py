"""A cluster's configuration, read as Ray reads it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

from trainables.errors import InputError

ROOT = Path(__file__).parents[2]
CLUSTER_FILE = ROOT / "cluster.yaml"
CONSTRAINTS = ROOT / "constraints.txt"


def read_config(path: str | Path) -> dict[str, Any]:
    """A cluster.yaml that Ray's own schema takes, as it is written.

    Raises:
        InputError: it is not there, is no YAML, or has a key or value that Ray refuses.
    """
    try:
        config = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is no YAML ({' '.join(str(error).split())})") from error
    if not isinstance(config, dict):
        raise InputError(f"{path} must be a mapping with cluster_name and provider")
    try:
        # Mounts apart: Ray warns of each that is a file.
        validate_config(prepare_config(copy.deepcopy(config) | {"file_mounts": {}}))
    except (ValidationError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        reason, place = str(error), str(path)
        if isinstance(error, ValidationError):
            reason = error.message
            place = ": ".join([place, ".".join(map(str, error.absolute_path))]).removesuffix(": ")
        raise InputError(f"{place} is refused by Ray: {reason}") from error
    return config


def pinned(package: str) -> str:
    """The version of a package in constraints.txt."""
    for line in CONSTRAINTS.read_text().splitlines():
        name, _, version = line.partition("==")
        if name.lower() == package:
            return version.split(";")[0].strip()
    raise AssertionError(package)
