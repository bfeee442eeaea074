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
from ray.autoscaler._private.util import prepare_config, validate_config

from trainables.errors import InputError

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
TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
TEXTS = {"type": "array", "items": TEXT}
NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
}
"""What a person calls the types of JSON."""
SHARED_COMMANDS = ("setup_commands", "initialization_commands", "worker_setup_commands")
COMMANDS = (
    *SHARED_COMMANDS,
    "head_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)


def mapping(values: Config | None = None, **known: Config) -> Config:
    """The schema of a mapping whose keys are text.

    Args:
        values: schema of the values that have none of their own.
        known: schemas of the values of these keys.
    """
    made = {"type": "object", "propertyNames": TEXT, "properties": known}
    return made if values is None else made | {"additionalProperties": values}


def on(*providers: str) -> Config:
    """The schema of a configuration for one of these providers."""
    return {"properties": {"provider": {"properties": {"type": {"enum": providers}}}}}


NODE_TYPE = mapping(
    node_config=mapping(),
    resources=mapping(NUMBER),
    min_workers=WHOLE,
    max_workers=WHOLE,
    docker=mapping(worker_image=TEXT),
    **dict.fromkeys(SHARED_COMMANDS, TEXTS),
) | {"required": ["node_config"]}
NODE_TYPES = mapping(NODE_TYPE) | {"minProperties": 1}
SCHEMA = mapping(
    cluster_name=TEXT,
    provider=mapping(
        type=TEXT,
        region=TEXT | {"minLength": 1},
        availability_zone=TEXT,
        security_group=mapping(GroupName=TEXT, IpPermissions={"type": "array"}),
    )
    | {"required": ["type"]},
    auth=mapping(ssh_private_key=TEXT),
    docker=mapping(image=TEXT, head_image=TEXT, worker_image=TEXT),
    available_node_types=NODE_TYPES,
    head_node_type=TEXT,
    max_workers=WHOLE,
    idle_timeout_minutes=NUMBER,
    file_mounts=mapping(TEXT),
    metadata=mapping(dollars_per_hour=mapping(NUMBER | {"minimum": 0})),
    **dict.fromkeys(COMMANDS, TEXTS),
) | {
    "required": ["provider"],
    "allOf": [
        {
            "if": on("aws", "gcp"),
            "then": {"required": ["available_node_types", "head_node_type"]},
        },
        {"if": on("aws"), "then": {"properties": {"provider": {"required": ["region"]}}}},
    ],
}
"""Types of what is read here, as Ray's schema leaves many of them open."""


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
        validate_config(prepare_config(copy.deepcopy(config) | {"file_mounts": {}}))
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
