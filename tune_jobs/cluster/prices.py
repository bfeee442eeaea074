"""Hourly cost of a cluster."""

from __future__ import annotations

from datetime import datetime, timezone

from tune_jobs.cluster.checks.aws import ask
from tune_jobs.cluster.checks.ec2 import is_spot, on_aws, workers, zones
from tune_jobs.cluster.config import Config


def dollars_an_hour(config: Config, prices: dict[str, float]) -> tuple[float, float]:
    """Return the hourly cost in dollars, idle (head only) and at full size.

    Args:
        config: cluster configuration, with the maximum numbers of nodes.
        prices: dollars per hour of one node, by node type.
    """
    idle = prices.get(config.get("head_node_type", ""), 0.0)
    full, left = idle, config.get("max_workers", 0)
    for name, kind in sorted(workers(config).items(), key=lambda item: -prices.get(item[0], 0.0)):
        count = min(left, kind.get("max_workers", left))
        full += count * prices.get(name, 0.0)
        left -= count
    return idle, full


def describe_cost(config: Config, prices: dict[str, float]) -> str:
    """Return the hourly cost of the cluster as a phrase."""
    idle, full = dollars_an_hour(config, prices)
    return f"${idle:.2f} per hour idle, ${full:.2f} per hour at full size"


def with_spot_prices(config: Config, prices: dict[str, float]) -> dict[str, float]:
    """Return the prices, with those of spot nodes replaced by AWS's current ones.

    The price of a spot node is that of the most expensive zone of the configuration.

    Args:
        config: configuration of a cluster on AWS.
        prices: dollars per hour of one node, by node type.

    Raises:
        InputError: the permission is missing, or AWS does not answer.
    """
    spot = {name: kind["node_config"] for name, kind in on_aws(config).items() if is_spot(kind)}
    if not spot:
        return prices
    answer = ask(
        config["provider"]["region"],
        "ec2:DescribeSpotPriceHistory",
        InstanceTypes=sorted({node["InstanceType"] for node in spot.values()}),
        ProductDescriptions=["Linux/UNIX"],
        StartTime=datetime.now(timezone.utc),
    )
    found: dict[str, float] = {}
    for each in answer["SpotPriceHistory"]:
        if each["AvailabilityZone"] in zones(config) or not zones(config):
            kind = each["InstanceType"]
            found[kind] = max(found.get(kind, 0.0), float(each["SpotPrice"]))
    return prices | {
        name: found[node["InstanceType"]]
        for name, node in spot.items()
        if node["InstanceType"] in found
    }
