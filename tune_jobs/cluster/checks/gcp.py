"""Check of node_config against the schema of Google's Compute Engine API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft3Validator
from referencing import Registry
from referencing.jsonschema import DRAFT3


def gcp_node_config(config: dict[str, Any]) -> Iterator[str]:
    """Check names and types of node_config, which Google would only reject at node launch."""
    if config["provider"]["type"] != "gcp":
        return
    try:
        from googleapiclient.discovery_cache import get_static_doc
    except ImportError:
        yield (
            "google-api-python-client is not installed, and Ray needs it to start nodes on Google "
            "Cloud: run pip install -e '.[cluster,gcp]' -c constraints.txt"
        )
        return
    schemas = json.loads(get_static_doc("compute", "v1"), object_hook=_strict)["schemas"]
    known = Registry().with_resources(
        (name, DRAFT3.create_resource(schema)) for name, schema in schemas.items()
    )
    validator = Draft3Validator({"$ref": "Instance"}, registry=known)
    for name, kind in config["available_node_types"].items():
        # Ray removes this key before it passes the rest to Google.
        given = {k: v for k, v in kind["node_config"].items() if k != "sourceInstanceTemplate"}
        for error in validator.iter_errors(given):
            place = ".".join(["node_config", *map(str, error.absolute_path)])
            yield (
                f"available_node_types.{name}.{place} is not valid for Compute Engine "
                f"({error.message}): correct the name or the value"
            )


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") == "object" and "properties" in schema:
        schema["additionalProperties"] = False
    # The schema describes 64-bit integers as strings, but the API accepts both.
    if schema.get("format") in ("int64", "uint64"):
        schema["type"] = ["string", "integer"]
    return schema
