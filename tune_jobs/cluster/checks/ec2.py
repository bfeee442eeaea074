"""Parts of a configuration: its commands and node types, and what EC2 would refuse of them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from tune_jobs.cluster.config import Config


def commands(config: Config, key: str) -> str:
    """A list of commands as one text."""
    return "\n".join(config.get(key, []))


def zones(config: Config) -> list[str]:
    """Zones in which machines may be started; empty for all of the region."""
    given = config["provider"].get("availability_zone", "").split(",")
    return [zone.strip() for zone in given if zone.strip()]


def workers(config: Config) -> dict[str, Config]:
    """Node types beside the head's."""
    types = config.get("available_node_types", {})
    return {name: kind for name, kind in types.items() if name != config.get("head_node_type")}


def on_aws(config: Config) -> dict[str, Config]:
    """Node types on AWS that EC2 would not refuse unseen, by name."""
    if config["provider"]["type"] != "aws":
        return {}
    types = config["available_node_types"]
    return {name: kind for name, kind in types.items() if not list(refused(kind["node_config"]))}


def is_spot(kind: Config) -> bool:
    """Whether machines of a node type on AWS are of the spot market."""
    options = kind["node_config"].get("InstanceMarketOptions", {})
    return bool(options.get("MarketType") == "spot")


def node_config(config: Config) -> Iterator[str]:
    """Typing errors that EC2 would refuse only when a machine is asked for."""
    if config["provider"]["type"] == "aws":
        for name, kind in config["available_node_types"].items():
            for reason in refused(kind["node_config"]):
                yield f"available_node_types.{name}.node_config: {reason}"


def refused(node: Config) -> Iterator[str]:
    """What of a machine's description EC2 takes for none."""
    yield from mistyped("RunInstances", {**node, "MinCount": 1, "MaxCount": 1})
    if "InstanceType" not in node:
        yield "there is no InstanceType, for which AWS takes m1.small: name one"


def mistyped(operation: str, given: dict[str, Any]) -> Iterator[str]:
    """Names and types that an operation of EC2 does not know."""
    shape = _ec2().operation_model(operation).input_shape
    for line in ParamValidator().validate(given, shape).generate_report().splitlines():
        yield line.split(", must be one of")[0]


@functools.cache
def _ec2() -> ServiceModel:
    # Without a session, which would look for the credentials' profile.
    return ServiceModel(Loader().load_service_model("ec2", "service-2"), "ec2")
