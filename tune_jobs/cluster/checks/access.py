"""Checks of who can reach a cluster; anyone who reaches Ray's ports can run code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tune_jobs.cluster.checks.ec2 import commands, mistyped, on_aws
from tune_jobs.cluster.config import Config

PRIVATE = 0o077
"""Permission bits that a secret file must not grant."""
RANGES = {"IpRanges": "CidrIp", "Ipv6Ranges": "CidrIpv6", "PrefixListIds": "PrefixListId"}
"""Address list of a security group rule -> key of the addresses in it."""


def dashboard(config: Config) -> Iterator[str]:
    """Check that the dashboard listens on the head's loopback address only."""
    start = commands(config, "head_start_ray_commands")
    host = re.search(r"--dashboard-host[= ](\S+)", start)
    if host and host[1] not in ("127.0.0.1", "localhost"):
        yield (
            f"head_start_ray_commands bind the dashboard to {host[1]}, and anyone who reaches it "
            "can run code: use --dashboard-host=127.0.0.1 and ray dashboard cluster.yaml to view it"
        )


def security_groups(config: Config) -> Iterator[str]:
    """Check that the security group in the configuration opens SSH only, and is the only one."""
    rules = config["provider"].get("security_group", {}).get("IpPermissions", [])
    given = {"GroupId": "of Ray", "IpPermissions": rules}
    if reasons := list(mistyped("AuthorizeSecurityGroupIngress", given)):
        yield from (f"provider.security_group: {reason}" for reason in reasons)
    else:
        for opened in open_rules(rules):
            yield f"provider.security_group opens {opened}; only SSH may be open: remove that rule"
    for name, kind in on_aws(config).items():
        for key in ("SecurityGroupIds", "SecurityGroups", "NetworkInterfaces"):
            if key in kind["node_config"]:
                yield (
                    f"available_node_types.{name}.node_config.{key} adds security groups whose "
                    "rules this check cannot see: remove it, and Ray creates a group that opens "
                    "SSH only"
                )


def open_rules(rules: Iterable[Config]) -> Iterator[str]:
    """Yield the ports other than SSH that rules open, with the addresses that can reach them.

    Args:
        rules: IpPermissions of a security group of EC2.
    """
    for rule in rules:
        protocol, ends = rule.get("IpProtocol", "-1"), (rule.get("FromPort"), rule.get("ToPort"))
        to = [each.get(key, "") for ranges, key in RANGES.items() for each in rule.get(ranges, [])]
        if to and (protocol, ends) != ("tcp", (22, 22)):
            every = protocol == "-1" or ends == (None, None)
            ports = "all ports" if every else f"{protocol} ports {ends[0]}-{ends[1]}"
            yield f"{ports} to {', '.join(to)}"


def tokens(config: Config) -> Iterator[str]:
    """Check that nodes authenticate with a token, and that it is copied to them."""
    if "RAY_AUTH_MODE=disabled" in commands(config, "head_start_ray_commands"):
        yield (
            "head_start_ray_commands set RAY_AUTH_MODE=disabled, which turns token authentication "
            "off: set RAY_AUTH_MODE=token, as cluster.yaml does"
        )
    elif "RAY_AUTH_MODE=token" not in commands(config, "worker_start_ray_commands"):
        yield (
            "worker_start_ray_commands do not set RAY_AUTH_MODE=token, and the head rejects a "
            "worker that sends no token: set it before ray start"
        )
    elif not any(path.endswith(".ray/auth_token") for path in config.get("file_mounts", {})):
        yield (
            "file_mounts copy no token, and the head rejects nodes without its token: create one "
            "with `ray get-auth-token --generate`, and mount ~/.ray/auth_token"
        )


def rights(config: Config) -> Iterator[str]:
    """Check that every node type on AWS names an instance profile."""
    for name, kind in on_aws(config).items():
        if not kind["node_config"].get("IamInstanceProfile"):
            yield (
                f"available_node_types.{name} sets no IamInstanceProfile, without which Ray gives "
                "a head full access to EC2 and S3, and a worker none: set the profile that has the "
                "policy of docs/aws"
            )


def secrets(config: Config) -> Iterator[str]:
    """Check that only their owner can read the token and the SSH key."""
    for source in config.get("file_mounts", {}).values():
        path = Path(source).expanduser()
        if path.name == "auth_token" and path.exists():
            yield from readable_by_others(path)
    if key := config.get("auth", {}).get("ssh_private_key"):
        path = Path(key).expanduser()
        if path.exists():
            yield from readable_by_others(path)
        else:
            yield f"auth.ssh_private_key {key} does not exist: check the path"


def readable_by_others(path: Path) -> Iterator[str]:
    """Check that only its owner can access a secret file."""
    mode = path.stat().st_mode & 0o777
    if mode & PRIVATE:
        yield f"{path} has mode {mode:o}, so other users can access it: run chmod 600 {path}"
