"""What Google Cloud would refuse, by its own description of a machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft3Validator
from referencing import Registry
from referencing.jsonschema import DRAFT3


def gcp_node_config(config: dict[str, Any]) -> Iterator[str]:
    """Typing errors that Compute Engine would refuse only when a machine is asked for."""
    if config["provider"]["type"] != "gcp":
        return
    try:
        from googleapiclient.discovery_cache import get_static_doc
    except ImportError:
        yield (
            "google-api-python-client is not installed, without which Ray starts nothing on Google "
            "Cloud: pip install -e '.[cluster,gcp]' -c constraints.txt"
        )
        return
    schemas = json.loads(get_static_doc("compute", "v1"), object_hook=_strict)["schemas"]
    known = Registry().with_resources(
        (name, DRAFT3.create_resource(schema)) for name, schema in schemas.items()
    )
    validator = Draft3Validator({"$ref": "Instance"}, registry=known)
    for name, kind in config["available_node_types"].items():
        # Ray takes the template out, which is no part of a machine.
        given = {k: v for k, v in kind["node_config"].items() if k != "sourceInstanceTemplate"}
        for error in validator.iter_errors(given):
            place = ".".join(["node_config", *map(str, error.absolute_path)])
            yield (
                f"available_node_types.{name}.{place} is not as Compute Engine takes it "
                f"({error.message}): correct the name or the value"
            )


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") == "object" and "properties" in schema:
        schema["additionalProperties"] = False
    # JSON has no such integers, so they are described as strings; both are taken.
    if schema.get("format") in ("int64", "uint64"):
        schema["type"] = ["string", "integer"]
    return schema
