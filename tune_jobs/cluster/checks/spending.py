"""What of a configuration would go on costing money."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tune_jobs.cluster.checks.ec2 import commands, on_aws, workers
from tune_jobs.cluster.config import Config

LONGEST_H = 7 * 24
"""Lifetime of a cluster that somebody may have forgotten."""
IDLE_MINUTES = 60
HOURS = {"": 1 / 3600, "s": 1 / 3600, "m": 1 / 60, "h": 1.0, "d": 24.0}
"""Units of sleep."""
ENDS = {"aws": re.compile(r"\bshutdown\b"), "gcp": re.compile(r"\binstances delete\b")}
"""By which a machine ends itself; a shutdown leaves one of Google, and its disk, as they are."""


def idle_machines(config: Config) -> Iterator[str]:
    """Machines, or their disks, without a trial."""
    provider = config["provider"]
    if provider["type"] == "local":
        return
    for name, kind in workers(config).items():
        if least := kind.get("min_workers", 0):
            yield (
                f"available_node_types.{name}.min_workers is {least}, and those machines run "
                "without a trial: make it 0"
            )
    minutes = config.get("idle_timeout_minutes", 0)
    if minutes > IDLE_MINUTES:
        yield (
            f"idle_timeout_minutes is {minutes:g}, for which machines without a trial are billed: "
            f"{IDLE_MINUTES} at most"
        )
    if provider["type"] == "aws" and provider.get("cache_stopped_nodes", True):
        yield "provider.cache_stopped_nodes is true, and a stopped machine's disk is billed: false"


def forgotten_clusters(config: Config) -> Iterator[str]:
    """Whether the head and its workers end by themselves."""
    end = ENDS.get(config["provider"]["type"])
    if end is None:
        return
    hours = lifetime_h(commands(config, "head_start_ray_commands"), end)
    if hours is None:
        yield (
            "head_start_ray_commands end no forgotten cluster: let the head sleep for its "
            "lifetime, take the workers down and shut itself down, as cluster.yaml does"
        )
    elif hours > LONGEST_H:
        yield (
            f"head_start_ray_commands let a forgotten cluster live for {hours:g} hours: "
            f"{LONGEST_H} at most"
        )
    if not end.search(commands(config, "worker_start_ray_commands")):
        yield (
            "worker_start_ray_commands end no worker whose head is gone, and nobody else does: let "
            "it look for the head and shut itself down, as cluster.yaml does"
        )


def lifetime_h(start: str, end: re.Pattern[str]) -> float | None:
    """Hours that a head sleeps before it ends itself; None where it does not."""
    ends = [found.start() for found in end.finditer(start)]
    sleeps = re.findall(r"\bsleep (\d+(?:\.\d+)?)([smhd]?)\b", start[: max(ends, default=0)])
    if not sleeps:
        return None
    return sum(float(count) * HOURS[unit] for count, unit in sleeps)


def lasting_machines(config: Config) -> Iterator[str]:
    """Machines on AWS that a shutdown stops only, and those that nothing shuts down."""
    for name, kind in on_aws(config).items():
        where, node = f"available_node_types.{name}.node_config", kind["node_config"]
        if node.get("InstanceInitiatedShutdownBehavior") != "terminate":
            yield (
                f"{where}: a shutdown only stops the machine, which `ray down` does not find, and "
                "its disk is billed: InstanceInitiatedShutdownBehavior: terminate"
            )
        last = re.search(r"\bshutdown\b(?! -c)(?:[^;&|\n]*?\+(\d+))?", node.get("UserData", ""))
        if not last:
            yield (
                f"{where}: UserData shuts no machine down whose setup fails: schedule a shutdown, "
                "as cluster.yaml does"
            )
        elif last[1] and int(last[1]) > 60 * LONGEST_H:
            yield (
                f"{where}: UserData shuts the machine down after {int(last[1]) / 60:.0f} hours: "
                f"{LONGEST_H} at most"
            )


def disks(config: Config) -> Iterator[str]:
    """Disks on AWS that outlive their machine, or that others could read."""
    for name, kind in on_aws(config).items():
        found = kind["node_config"].get("BlockDeviceMappings")
        if not found:
            yield (
                f"available_node_types.{name}.node_config has no BlockDeviceMappings, and the disk "
                "is as the image has it, not encrypted: give it as cluster.yaml does"
            )
        for disk in found or []:
            ebs = disk.get("Ebs", {})
            where = f"available_node_types.{name}: disk {disk.get('DeviceName')}"
            if not ebs.get("Encrypted"):
                yield f"{where} is not encrypted: set Ebs.Encrypted to true"
            if not ebs.get("DeleteOnTermination"):
                yield (
                    f"{where} may stay, and is billed, when its machine goes: set "
                    "Ebs.DeleteOnTermination to true"
                )
