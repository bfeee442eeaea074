"""Clusters made by `ray up`: their configuration, and a reminder that they are still running."""

from __future__ import annotations

import atexit
import sys
from pathlib import Path
from typing import Any

import yaml

AUTOSCALER_FILE = Path("~/ray_bootstrap_config.yaml")
"""Cluster configuration that `ray up` writes on the head node."""


def cluster_config() -> dict[str, Any]:
    """Return the configuration of the cluster if this is its head node, else {}."""
    file = AUTOSCALER_FILE.expanduser()
    config: dict[str, Any] = yaml.safe_load(file.read_text()) if file.exists() else {}
    return config


def remind(config: dict[str, Any]) -> None:
    """Print, once and when this process exits, that a cluster is still up.

    A cluster on Kubernetes has no name here, as it ends with its job.
    """
    atexit.unregister(_say)
    if "cluster_name" in config:
        atexit.register(_say, still_up(config))


def still_up(config: dict[str, Any]) -> str:
    """Return the reminder that a cluster is still up, what it costs, and how to stop it."""
    dollars = dollars_by_type(config).get(config["head_node_type"])
    costs = f" (${dollars:.2f} per hour when idle)" if dollars else ""
    return (
        f"Cluster {config['cluster_name']} is still up{costs}. Stop it with ray down cluster.yaml "
        "(the file given to ray up)."
    )


def dollars_by_type(config: dict[str, Any]) -> dict[str, float]:
    """Return the price of a node in US dollars per hour by node type, from the file's metadata."""
    found: dict[str, float] = config.get("metadata", {}).get("dollars_per_hour", {})
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201  stdout may be redirected to a file
