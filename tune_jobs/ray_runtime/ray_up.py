"""A cluster that `ray up` has made costs money until somebody ends it."""

from __future__ import annotations

import atexit
import sys
from pathlib import Path
from typing import Any

import yaml

AUTOSCALER_FILE = Path("~/ray_bootstrap_config.yaml")
"""What `ray up` leaves on the head, with the resources of every node type."""


def launched() -> dict[str, Any]:
    """The configuration of the cluster that this machine is the head of; empty where it is none."""
    file = AUTOSCALER_FILE.expanduser()
    config: dict[str, Any] = yaml.safe_load(file.read_text()) if file.exists() else {}
    return config


def remind(config: dict[str, Any]) -> None:
    """Say last of all that this process prints, and once, that a cluster is still up.

    One on Kubernetes has no name here, as it ends with its job.
    """
    atexit.unregister(_say)
    if "cluster_name" in config:
        atexit.register(_say, still_up(config))


def still_up(config: dict[str, Any]) -> str:
    """What a person must know of a cluster that a job leaves, so that none is forgotten."""
    dollars = dollars_by_type(config).get(config["head_node_type"])
    costs = f" (${dollars:.2f} an hour at rest)" if dollars else ""
    return (
        f"Cluster {config['cluster_name']} is still up{costs}: ray down cluster.yaml, the file "
        "that ray up was given, ends it."
    )


def dollars_by_type(config: dict[str, Any]) -> dict[str, float]:
    """Of an hour of one machine, by node type, as far as the file's metadata say."""
    found: dict[str, float] = config.get("metadata", {}).get("dollars_per_hour", {})
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201  what is asked for may go to a file
