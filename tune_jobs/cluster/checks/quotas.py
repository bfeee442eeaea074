"""Check of the account's vCPU quotas, for on-demand and spot instances."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from trainables.errors import InputError
from tune_jobs.cluster.checks.aws import resources
from tune_jobs.cluster.checks.ec2 import is_spot, on_aws
from tune_jobs.cluster.config import Config

FAMILIES = {
    **dict.fromkeys(("g", "gr", "vt"), "G and VT"),
    "p": "P",
    **dict.fromkeys(("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"), "standard"),
}
"""Leading letters of an instance type -> family that shares one quota."""
CODES = {
    ("G and VT", "on-demand"): "L-DB2E81BA",
    ("G and VT", "spot"): "L-3819A6DF",
    ("P", "on-demand"): "L-417A185B",
    ("P", "spot"): "L-7212CCBC",
    ("standard", "on-demand"): "L-1216C47A",
    ("standard", "spot"): "L-34B43A08",
}
"""(family, market) -> code of the quota in AWS's Service Quotas."""


def quota_findings(config: Config, say: Callable[[str], None]) -> Iterator[str]:
    """Check that the quotas allow at least one instance of each type.

    Args:
        config: configuration of a cluster on AWS.
        say: prints a line for each unknown quota, which is no finding, as the right to start
            instances does not include the right to read quotas.
    """
    region = config["provider"]["region"]
    for (family, market), (cores, machine) in largest(config).items():
        code = CODES[family, market]
        try:
            client = boto3.client("service-quotas", region)
            answer = client.get_service_quota(ServiceCode="ec2", QuotaCode=code)
        except (BotoCoreError, ClientError) as error:
            reason = error.response["Error"]["Code"] if isinstance(error, ClientError) else error
            say(
                f"the {market} quota is unknown ({reason}): look up {code} ({family} instances) in "
                "Service Quotas"
            )
            continue
        allowed = answer["Quota"]["Value"]
        if allowed < cores:
            yield (
                f"the account's quota is {allowed:.0f} vCPUs of {market} {family} instances, but "
                f"one {machine} has {cores}: request an increase of {code} in Service Quotas"
            )


def largest(config: Config) -> dict[tuple[str, str], tuple[int, str]]:
    """Return {(family, market): (vCPUs, instance type)} of the largest instance type of each.

    Instance types of unknown families, and those that AWS does not describe, are left out.
    """
    found: dict[tuple[str, str], tuple[int, str]] = {}
    for kind in on_aws(config).values():
        machine = kind["node_config"]["InstanceType"]
        letters = re.match(r"[a-z]*", machine)
        family = FAMILIES.get(letters[0] if letters else "")
        if family is None:
            continue
        key = (family, "spot" if is_spot(kind) else "on-demand")
        with contextlib.suppress(InputError):  # instance_types() reports it
            cores = resources(config["provider"]["region"], machine)["CPU"]
            found[key] = max(found.get(key, (0, "")), (cores, machine))
    return found
