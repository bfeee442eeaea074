"""What a cluster costs an hour."""

from __future__ import annotations

from datetime import datetime, timezone

from tune_jobs.cluster.checks.aws import ask
from tune_jobs.cluster.checks.ec2 import is_spot, on_aws, workers, zones
from tune_jobs.cluster.config import Config


def dollars_an_hour(config: Config, prices: dict[str, float]) -> tuple[float, float]:
    """At rest, and at full size.

    Args:
        config: with the numbers of machines.
        prices: in dollars an hour, by node type.
    """
    rest = prices.get(config.get("head_node_type", ""), 0.0)
    full, left = rest, config.get("max_workers", 0)
    for name, kind in sorted(workers(config).items(), key=lambda item: -prices.get(item[0], 0.0)):
        count = min(left, kind.get("max_workers", left))
        full += count * prices.get(name, 0.0)
        left -= count
    return rest, full


def in_words(config: Config, prices: dict[str, float]) -> str:
    """What the cluster costs, in words."""
    rest, full = dollars_an_hour(config, prices)
    return f"${rest:.2f} an hour at rest, ${full:.2f} at full size"


def with_spot_prices(config: Config, prices: dict[str, float]) -> dict[str, float]:
    """Prices, with AWS's of now for spot machines, in the dearest of the zones.

    Args:
        config: of a cluster on AWS.
        prices: in dollars an hour, by node type; those of other machines stay.

    Raises:
        InputError: AWS does not say.
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
