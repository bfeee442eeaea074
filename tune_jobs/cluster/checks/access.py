"""Who could reach a cluster: whoever reaches Ray's ports can run code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tune_jobs.cluster.checks.ec2 import commands, mistyped, on_aws
from tune_jobs.cluster.config import Config

PRIVATE = 0o077
"""Permissions of a key that others must not have."""
RANGES = {"IpRanges": "CidrIp", "Ipv6Ranges": "CidrIpv6", "PrefixListIds": "PrefixListId"}
"""Lists of a rule of a security group, and what names the addresses there."""


def dashboard(config: Config) -> Iterator[str]:
    """Whether the dashboard is for the head alone."""
    start = commands(config, "head_start_ray_commands")
    host = re.search(r"--dashboard-host[= ](\S+)", start)
    if host and host[1] not in ("127.0.0.1", "localhost"):
        yield (
            f"head_start_ray_commands open the dashboard to {host[1]}, and who reaches it can run "
            "code: --dashboard-host=127.0.0.1, and ray dashboard cluster.yaml to look at it"
        )


def security_groups(config: Config) -> Iterator[str]:
    """Whether the cluster's own group, the only one looked at, opens SSH alone."""
    rules = config["provider"].get("security_group", {}).get("IpPermissions", [])
    given = {"GroupId": "of Ray", "IpPermissions": rules}
    if reasons := list(mistyped("AuthorizeSecurityGroupIngress", given)):
        yield from (f"provider.security_group: {reason}" for reason in reasons)
    else:
        for opened in open_rules(rules):
            yield f"provider.security_group opens {opened}: leave SSH alone open"
    for name, kind in on_aws(config).items():
        for key in ("SecurityGroupIds", "SecurityGroups", "NetworkInterfaces"):
            if key in kind["node_config"]:
                yield (
                    f"available_node_types.{name}.node_config.{key} brings security groups whose "
                    "rules are not looked at here: leave it out, and Ray makes one that opens SSH "
                    "alone"
                )


def open_rules(rules: Iterable[Config]) -> Iterator[str]:
    """Ports, and the addresses that they are opened to, beside SSH's.

    Args:
        rules: IpPermissions, as EC2 writes them.
    """
    for rule in rules:
        protocol, ends = rule.get("IpProtocol", "-1"), (rule.get("FromPort"), rule.get("ToPort"))
        to = [each.get(key, "") for ranges, key in RANGES.items() for each in rule.get(ranges, [])]
        if to and (protocol, ends) != ("tcp", (22, 22)):
            every = protocol == "-1" or ends == (None, None)
            ports = "all ports" if every else f"{protocol} ports {ends[0]} to {ends[1]}"
            yield f"{ports} to {', '.join(to)}"


def tokens(config: Config) -> Iterator[str]:
    """Whether nodes show a token, and have one."""
    if "RAY_AUTH_MODE=disabled" in commands(config, "head_start_ray_commands"):
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


def rights(config: Config) -> Iterator[str]:
    """Whether machines on AWS have the rights that they need, and no more."""
    for name, kind in on_aws(config).items():
        if not kind["node_config"].get("IamInstanceProfile"):
            yield (
                f"available_node_types.{name} names no IamInstanceProfile: a head without the key "
                "is given all of EC2 and S3, and other machines nothing; name those of docs/aws"
            )


def secrets(config: Config) -> Iterator[str]:
    """Whether the files of token and key are their owner's alone."""
    for source in config.get("file_mounts", {}).values():
        path = Path(source).expanduser()
        if path.name == "auth_token" and path.exists():
            yield from readable_by_others(path)
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
