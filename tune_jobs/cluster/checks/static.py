"""Checks that need nothing but the configuration and this machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tune_jobs.cluster.checks import access, spending
from tune_jobs.cluster.checks.ec2 import commands, node_config, zones
from tune_jobs.cluster.checks.gcp import gcp_node_config
from tune_jobs.cluster.checks.versions import versions
from tune_jobs.cluster.config import Config

MOST_MOUNTED = 20_000_000
"""Largest total size of file_mounts in bytes; Ray hashes and copies all of it at every start."""
LOST_NODE_S = 10
"""Longest time in seconds until a lost node is detected."""


def static_findings(config: Config) -> list[str]:
    """Return the findings of all offline checks."""
    return [finding for check in STATIC for finding in check(config)]


def zones_of_the_region(config: Config) -> Iterator[str]:
    """Check that the availability zones are in the region."""
    if config["provider"]["type"] != "aws":
        return
    region = config["provider"]["region"]
    if others := [zone for zone in zones(config) if not zone.startswith(region)]:
        yield (
            f"provider.availability_zone has {', '.join(others)}, which {region} does not have: "
            f"use zones of {region}"
        )


def head_runs_no_trials(config: Config) -> Iterator[str]:
    """Check that the head offers no cores to trials, which would slow down the driver."""
    if "--num-cpus=0" not in commands(config, "head_start_ray_commands"):
        yield (
            "head_start_ray_commands let trials run on the head, which must be free for the "
            "driver: add --num-cpus=0 to ray start"
        )


def mounts(config: Config) -> Iterator[str]:
    """Check that file_mounts exist, and are small, as they are copied to every node."""
    total = 0
    for target, source in config.get("file_mounts", {}).items():
        path = Path(source).expanduser()
        if not path.exists():
            remedy = (
                "create it with `ray get-auth-token --generate`"
                if path.name == "auth_token"
                else "check the path, or run this in the checkout, whose sources are copied"
            )
            yield f"file_mounts: {source} (for {target}) does not exist: {remedy}"
            continue
        files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
        total += sum(file.stat().st_size for file in files)
        for unwanted in (".git", "runs", ".venv"):
            if (path / unwanted).exists():
                yield (
                    f"file_mounts: {source} contains {unwanted}, which every node would copy: "
                    "mount the sources only"
                )
    if total > MOST_MOUNTED:
        yield (
            f"file_mounts hold {total / 1e6:,.0f} MB, which every node hashes and copies at every "
            f"start: mount at most {MOST_MOUNTED / 1e6:.0f} MB, the sources only"
        )


def health(config: Config) -> Iterator[str]:
    """Check that a lost node is detected soon."""
    start = commands(config, "head_start_ray_commands")
    names = ("initial_delay_ms", "period_ms", "timeout_ms", "failure_threshold")
    found = {name: re.search(rf"RAY_health_check_{name}=(\d+)", start) for name in names}
    if not all(found.values()):
        yield (
            "head_start_ray_commands do not set all of Ray's health checks, which by default take "
            "a minute to detect a lost node: set RAY_health_check_* before ray start, as "
            "cluster.yaml does"
        )
        return
    values = {name: int(match[1]) for name, match in found.items() if match}
    seconds = values["failure_threshold"] * values["period_ms"] + values["timeout_ms"]
    if seconds > 1000 * LOST_NODE_S:
        yield (
            f"head_start_ray_commands detect a lost node only after {seconds / 1000:.0f} s: lower "
            f"RAY_health_check_* to at most {LOST_NODE_S} s in total"
        )


STATIC: tuple[Callable[[Config], Iterator[str]], ...] = (
    node_config,
    gcp_node_config,
    zones_of_the_region,
    spending.idle_machines,
    spending.forgotten_clusters,
    spending.lasting_machines,
    spending.disks,
    access.dashboard,
    access.security_groups,
    access.tokens,
    access.rights,
    access.secrets,
    head_runs_no_trials,
    mounts,
    versions,
    health,
)
