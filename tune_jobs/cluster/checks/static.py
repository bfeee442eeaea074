"""What can be known of a cluster before money is spent: nothing is started."""

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
"""Bytes; Ray hashes and copies all of them at every start."""
LOST_NODE_S = 10


def static_findings(config: Config) -> list[str]:
    """What is wrong with a configuration, as far as it says by itself."""
    return [finding for check in STATIC for finding in check(config)]


def zones_of_the_region(config: Config) -> Iterator[str]:
    """Whether AWS has the zones where it is asked for machines."""
    if config["provider"]["type"] != "aws":
        return
    region = config["provider"]["region"]
    if others := [zone for zone in zones(config) if not zone.startswith(region)]:
        yield f"provider.availability_zone: {region} has no {', '.join(others)}: take its zones"


def head_runs_no_trials(config: Config) -> Iterator[str]:
    """The driver must not wait for trials."""
    if "--num-cpus=0" not in commands(config, "head_start_ray_commands"):
        yield (
            "head_start_ray_commands let trials run on the head, beside the driver: add "
            "--num-cpus=0 to ray start"
        )


def mounts(config: Config) -> Iterator[str]:
    """What is copied to every node."""
    total = 0
    for target, source in config.get("file_mounts", {}).items():
        path = Path(source).expanduser()
        if not path.exists():
            remedy = (
                "make it with `ray get-auth-token --generate`"
                if path.name == "auth_token"
                else "check the path"
            )
            yield f"file_mounts: {source}, for {target}, is not there: {remedy}"
            continue
        files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
        total += sum(file.stat().st_size for file in files)
        for unwanted in (".git", "runs", ".venv"):
            if (path / unwanted).exists():
                yield f"file_mounts: {source} brings {unwanted} along: mount the sources alone"
    if total > MOST_MOUNTED:
        yield (
            f"file_mounts hold {total / 1e6:,.0f} MB, which every node hashes and copies at every "
            f"start: {MOST_MOUNTED / 1e6:.0f} MB at most, the sources alone"
        )


def health(config: Config) -> Iterator[str]:
    """How soon a lost node is noticed."""
    start = commands(config, "head_start_ray_commands")
    names = ("initial_delay_ms", "period_ms", "timeout_ms", "failure_threshold")
    found = {name: re.search(rf"RAY_health_check_{name}=(\d+)", start) for name in names}
    if not all(found.values()):
        yield (
            "head_start_ray_commands leave Ray's health checks as they are, which take a minute "
            "to notice a lost node: set RAY_health_check_* before ray start, as cluster.yaml does"
        )
        return
    values = {name: int(match[1]) for name, match in found.items() if match}
    seconds = values["failure_threshold"] * values["period_ms"] + values["timeout_ms"]
    if seconds > 1000 * LOST_NODE_S:
        yield (
            f"head_start_ray_commands notice a lost node after {seconds / 1000:.0f} s: "
            f"{LOST_NODE_S} s at most"
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
