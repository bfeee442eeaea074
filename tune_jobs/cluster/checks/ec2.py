"""Accessors of a configuration, and the check of node_config against the schema of EC2's API."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from tune_jobs.cluster.config import Config


def commands(config: Config, key: str) -> str:
    """Return a list of commands as one text, a line each."""
    return "\n".join(config.get(key, []))


def zones(config: Config) -> list[str]:
    """Return the availability zones in which nodes may start; empty means all of the region."""
    given = config["provider"].get("availability_zone", "").split(",")
    return [zone.strip() for zone in given if zone.strip()]


def workers(config: Config) -> dict[str, Config]:
    """Return the worker node types by name."""
    types = config.get("available_node_types", {})
    return {name: kind for name, kind in types.items() if name != config.get("head_node_type")}


def on_aws(config: Config) -> dict[str, Config]:
    """Return the node types, by name, whose node_config is valid for EC2; empty if not on AWS."""
    if config["provider"]["type"] != "aws":
        return {}
    types = config["available_node_types"]
    return {name: kind for name, kind in types.items() if not list(invalid(kind["node_config"]))}


def is_spot(kind: Config) -> bool:
    """Return whether a node type on AWS uses spot instances."""
    options = kind["node_config"].get("InstanceMarketOptions", {})
    return bool(options.get("MarketType") == "spot")


def node_config(config: Config) -> Iterator[str]:
    """Check names and types of node_config, which EC2 would only reject at node launch."""
    if config["provider"]["type"] == "aws":
        for name, kind in config["available_node_types"].items():
            for reason in invalid(kind["node_config"]):
                yield f"available_node_types.{name}.node_config: {reason}"


def invalid(node: Config) -> Iterator[str]:
    """Yield why EC2 would reject a node_config."""
    yield from mistyped("RunInstances", {**node, "MinCount": 1, "MaxCount": 1})
    if "InstanceType" not in node:
        yield "InstanceType is missing, and EC2 would use m1.small: set it"


def mistyped(operation: str, given: dict[str, Any]) -> Iterator[str]:
    """Yield the unknown names and wrong types among the parameters of an EC2 operation."""
    shape = _ec2().operation_model(operation).input_shape
    for line in ParamValidator().validate(given, shape).generate_report().splitlines():
        yield line.split(", must be one of")[0] + ": correct the name or the value"


@functools.cache
def _ec2() -> ServiceModel:
    # A session would fail if AWS_PROFILE names a profile that does not exist.
    return ServiceModel(Loader().load_service_model("ec2", "service-2"), "ec2")
