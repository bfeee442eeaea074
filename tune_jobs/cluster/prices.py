"""What a cluster costs an hour."""

from __future__ import annotations

from tune_jobs.cluster.config import Config
from tune_jobs.cluster.nodes import workers


def listed(config: Config) -> dict[str, float]:
    """Dollars an hour by node type, as the configuration's metadata has them."""
    found: dict[str, float] = config.get("metadata", {}).get("dollars_per_hour", {})
    return found


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
