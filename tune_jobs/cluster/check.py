"""What can be known of a cluster before money is spent: nothing is started."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import botocore.session
import ray
from botocore.validate import ParamValidator

from tune_jobs.cluster.config import pinned
from tune_jobs.cluster.gcp import gcp_node_config

Config: TypeAlias = dict[str, Any]
MOST_MOUNTED = 20_000_000
"""Bytes; Ray hashes and copies all of them at every start."""
LOST_NODE_S = 10
PRIVATE = 0o077
"""Permissions of a key that others must not have."""


def static_findings(config: Config) -> list[str]:
    """What is wrong with a configuration, as far as it says by itself."""
    return [finding for check in STATIC for finding in check(config)]


def workers(config: Config) -> dict[str, Config]:
    """Node types beside the head's."""
    types = config.get("available_node_types", {})
    return {name: kind for name, kind in types.items() if name != config.get("head_node_type")}


def commands(config: Config, key: str) -> str:
    """A list of commands as one text."""
    return "\n".join(config.get(key, []))


def node_config(config: Config) -> Iterator[str]:
    """Typing errors that EC2 would refuse only when a machine is asked for."""
    if config["provider"]["type"] != "aws":
        return
    service = botocore.session.get_session().get_service_model("ec2")
    shape = service.operation_model("RunInstances").input_shape
    for name, kind in config["available_node_types"].items():
        given = {**kind["node_config"], "MinCount": 1, "MaxCount": 1}
        report = ParamValidator().validate(given, shape).generate_report()
        for line in report.splitlines():
            yield f"available_node_types.{name}.node_config: {line.split(', must be one of')[0]}"


def costs_at_rest(config: Config) -> Iterator[str]:
    """What would go on costing money when nothing runs."""
    for name, kind in workers(config).items():
        least = kind.get("min_workers", 0)
        if least and config["provider"]["type"] != "local":
            yield (
                f"available_node_types.{name}.min_workers is {least}, and those machines run "
                "without a trial: make it 0"
            )
    if config["provider"]["type"] == "aws" and config["provider"].get("cache_stopped_nodes", True):
        yield "provider.cache_stopped_nodes is true, and a stopped machine's disk is billed: false"
    if config["provider"]["type"] in ("aws", "gcp"):
        start = commands(config, "head_start_ray_commands")
        if not re.search(r"sleep \d+[hd].*(shutdown|delete)", start, re.DOTALL):
            yield (
                "head_start_ray_commands end no forgotten cluster: let the head sleep for its "
                "lifetime, take the workers down and shut itself down, as cluster.yaml does"
            )
    for name, kind in config.get("available_node_types", {}).items():
        for disk in kind["node_config"].get("BlockDeviceMappings", []):
            ebs = disk.get("Ebs", {})
            where = f"available_node_types.{name}: disk {disk.get('DeviceName')}"
            if not ebs.get("Encrypted"):
                yield f"{where} is not encrypted: set Ebs.Encrypted to true"
            if ebs.get("DeleteOnTermination") is False:
                yield f"{where} stays, and is billed, when its machine goes: delete it with it"


def head_runs_no_trials(config: Config) -> Iterator[str]:
    """The driver must not wait for trials."""
    if "--num-cpus=0" not in commands(config, "head_start_ray_commands"):
        yield (
            "head_start_ray_commands let trials run on the head, beside the driver: add "
            "--num-cpus=0 to ray start"
        )


def closed(config: Config) -> Iterator[str]:
    """Whoever reaches Ray's ports can run code."""
    start = commands(config, "head_start_ray_commands")
    host = re.search(r"--dashboard-host[= ](\S+)", start)
    if host and host[1] not in ("127.0.0.1", "localhost"):
        yield (
            f"head_start_ray_commands open the dashboard to {host[1]}, and who reaches it can run "
            "code: --dashboard-host=127.0.0.1, and ray dashboard cluster.yaml to look at it"
        )
    for rule in config["provider"].get("security_group", {}).get("IpPermissions", []):
        ports = f"{rule.get('FromPort', 0)} to {rule.get('ToPort', 65535)}"
        open_to = [r["CidrIp"] for r in rule.get("IpRanges", []) if r.get("CidrIp") == "0.0.0.0/0"]
        if open_to and ports != "22 to 22":
            yield f"provider.security_group opens ports {ports} to everybody: leave SSH alone open"
    if "RAY_AUTH_MODE=disabled" in start:
        yield "head_start_ray_commands turn token authentication off: leave RAY_AUTH_MODE out"
    elif "RAY_AUTH_MODE=token" not in commands(config, "worker_start_ray_commands"):
        yield (
            "worker_start_ray_commands do not say RAY_AUTH_MODE=token, without which a worker does "
            "not show its token and is turned away: set it before ray start"
        )
    elif not any(path.endswith(".ray/auth_token") for path in config.get("file_mounts", {})):
        yield (
            "file_mounts bring no token, and nodes without the head's are turned away: make one "
            "with `ray get-auth-token --generate`, and mount ~/.ray/auth_token"
        )
    if config["provider"]["type"] == "aws":
        for name, kind in config["available_node_types"].items():
            if "IamInstanceProfile" not in kind["node_config"]:
                yield (
                    f"available_node_types.{name} has no IamInstanceProfile: a head is then given "
                    "all of EC2 and S3, and a worker nothing; name those of docs/aws"
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
        if path.name == "auth_token":
            yield from readable_by_others(path)
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
    if key := config.get("auth", {}).get("ssh_private_key"):
        path = Path(key).expanduser()
        if path.exists():
            yield from readable_by_others(path)
        else:
            yield f"auth.ssh_private_key {key} is not there: check the path"


def readable_by_others(path: Path) -> Iterator[str]:
    """A secret that is none."""
    mode = path.stat().st_mode & 0o777
    if mode & PRIVATE:
        yield f"{path} can be read by others (mode {mode:o}): chmod 600 {path}"


def versions(config: Config) -> Iterator[str]:
    """What head, workers and laptop must agree on."""
    setup = commands(config, "setup_commands")
    if not re.search(r"--python \d+\.\d+\.\d+\b", setup):
        yield (
            "setup_commands pin no Python to the patch, and Ray refuses nodes that differ: "
            "uv venv --python 3.11.13, as cluster.yaml does"
        )
    if "constraints.txt" not in setup:
        yield "setup_commands install without constraints.txt: add -c ~/bakeoff/constraints.txt"
    if ray.__version__ != pinned("ray"):
        yield (
            f"Ray is {ray.__version__} here and {pinned('ray')} in constraints.txt, which the "
            "cluster gets: pip install -e '.[cluster]' -c constraints.txt"
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
    costs_at_rest,
    head_runs_no_trials,
    closed,
    mounts,
    versions,
    health,
)


def dollars_an_hour(config: Config) -> tuple[float, float] | None:
    """At rest, and at full size; None where the configuration has no prices.

    Args:
        config: with metadata.dollars_per_hour by node type.
    """
    prices = config.get("metadata", {}).get("dollars_per_hour")
    if not prices:
        return None
    rest = prices.get(config["head_node_type"], 0.0)
    full, left = rest, config.get("max_workers", 0)
    for name, kind in sorted(workers(config).items(), key=lambda item: -prices.get(item[0], 0.0)):
        count = min(left, kind.get("max_workers", left))
        full += count * prices.get(name, 0.0)
        left -= count
    return rest, full
