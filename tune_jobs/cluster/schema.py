"""JSON schema of the keys that we read; Ray's own schema leaves many of their types open."""

from __future__ import annotations

from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
TEXTS = {"type": "array", "items": TEXT}
SHARED_COMMANDS = ("setup_commands", "initialization_commands", "worker_setup_commands")
COMMANDS = (
    *SHARED_COMMANDS,
    "head_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)


def mapping(values: Schema | None = None, **known: Schema) -> Schema:
    """Return the schema of a mapping with string keys.

    Args:
        values: schema of the values of all other keys; anything if omitted.
        known: schemas of the values of these keys, by key.
    """
    made = {"type": "object", "propertyNames": TEXT, "properties": known}
    return made if values is None else made | {"additionalProperties": values}


def on(*providers: str) -> Schema:
    """Return a schema that matches the configurations for one of these providers."""
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
