"""Checks for nodes and disks that would keep costing money."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tune_jobs.cluster.checks.ec2 import commands, on_aws, workers
from tune_jobs.cluster.config import Config

LONGEST_H = 7 * 24
"""Longest lifetime of a forgotten cluster in hours."""
IDLE_MINUTES = 60
"""Longest idle timeout in minutes."""
HOURS = {"": 1 / 3600, "s": 1 / 3600, "m": 1 / 60, "h": 1.0, "d": 24.0}
"""Unit of `sleep` -> hours."""
ENDS = {"aws": re.compile(r"\bshutdown\b"), "gcp": re.compile(r"\binstances delete\b")}
"""Provider -> command that ends a node's costs; on Google Cloud, a node that is shut down keeps its
disk."""


def idle_machines(config: Config) -> Iterator[str]:
    """Check that nodes without a trial are terminated soon, and not merely stopped."""
    provider = config["provider"]
    if provider["type"] == "local":
        return
    for name, kind in workers(config).items():
        if least := kind.get("min_workers", 0):
            yield (
                f"available_node_types.{name}.min_workers is {least}, and those nodes are "
                "billed even without a trial: set it to 0"
            )
    minutes = config.get("idle_timeout_minutes", 0)
    if minutes > IDLE_MINUTES:
        yield (
            f"idle_timeout_minutes is {minutes:g}, and nodes without a trial are billed that long: "
            f"set it to at most {IDLE_MINUTES}"
        )
    if provider["type"] == "aws" and provider.get("cache_stopped_nodes", True):
        yield (
            "provider.cache_stopped_nodes is true (the default), and the disk of a stopped node is "
            "billed: set it to false"
        )


def forgotten_clusters(config: Config) -> Iterator[str]:
    """Check that the head and the workers terminate themselves if the cluster is forgotten."""
    end = ENDS.get(config["provider"]["type"])
    if end is None:
        return
    hours = lifetime_h(commands(config, "head_start_ray_commands"), end)
    if hours is None:
        yield (
            "head_start_ray_commands never end a forgotten cluster: let the head sleep for its "
            "lifetime, terminate the workers, then itself, as cluster.yaml does"
        )
    elif hours > LONGEST_H:
        yield (
            f"head_start_ray_commands end a forgotten cluster only after {hours:g} hours: sleep "
            f"for at most {LONGEST_H} hours"
        )
    if not end.search(commands(config, "worker_start_ray_commands")):
        yield (
            "worker_start_ray_commands never end a worker whose head is gone, and nothing else "
            "does: let it poll the head, then terminate itself, as cluster.yaml does"
        )


def lifetime_h(start: str, end: re.Pattern[str]) -> float | None:
    """Return the hours that a head sleeps before it ends itself; None if it never does.

    Args:
        start: commands that start the head.
        end: pattern of the command by which it ends itself.
    """
    ends = [found.start() for found in end.finditer(start)]
    sleeps = re.findall(r"\bsleep (\d+(?:\.\d+)?)([smhd]?)\b", start[: max(ends, default=0)])
    if not sleeps:
        return None
    return sum(float(count) * HOURS[unit] for count, unit in sleeps)


def lasting_machines(config: Config) -> Iterator[str]:
    """Check that a shutdown terminates a node on AWS, and that one is always scheduled."""
    for name, kind in on_aws(config).items():
        where, node = f"available_node_types.{name}.node_config", kind["node_config"]
        behavior = node.get("InstanceInitiatedShutdownBehavior", "stop (the default)")
        if behavior != "terminate":
            yield (
                f"{where}.InstanceInitiatedShutdownBehavior is {behavior}, so a node that "
                "shuts down keeps its billed disk, and `ray down` does not find it: set it to "
                "terminate"
            )
        last = re.search(r"\bshutdown\b(?! -c)(?:[^;&|\n]*?\+(\d+))?", node.get("UserData", ""))
        if not last:
            yield (
                f"{where}.UserData schedules no shutdown, and nothing else ends a node whose setup "
                "fails: schedule a shutdown, as cluster.yaml does"
            )
        elif last[1] and int(last[1]) > 60 * LONGEST_H:
            yield (
                f"{where}.UserData shuts the node down only after {int(last[1]) / 60:.0f} hours: "
                f"schedule it after at most {LONGEST_H} hours"
            )


def disks(config: Config) -> Iterator[str]:
    """Check that disks on AWS are encrypted and deleted with their node."""
    for name, kind in on_aws(config).items():
        found = kind["node_config"].get("BlockDeviceMappings")
        if not found:
            yield (
                f"available_node_types.{name}.node_config has no BlockDeviceMappings, and the disk "
                "of the image is not encrypted: set them as cluster.yaml does"
            )
        for disk in found or []:
            ebs = disk.get("Ebs", {})
            where = f"available_node_types.{name}: disk {disk.get('DeviceName')}"
            if not ebs.get("Encrypted"):
                yield f"{where} is not encrypted: set Ebs.Encrypted to true"
            if not ebs.get("DeleteOnTermination"):
                yield (
                    f"{where} may outlive its node, and is billed until it is deleted: set "
                    "Ebs.DeleteOnTermination to true"
                )
