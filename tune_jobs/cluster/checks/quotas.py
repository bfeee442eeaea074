"""How many virtual cores an account may have at a time, on demand and on the spot market."""

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
"""Letters that an instance type begins with -> whose cores AWS counts with its own."""
CODES = {
    ("G and VT", "on-demand"): "L-DB2E81BA",
    ("G and VT", "spot"): "L-3819A6DF",
    ("P", "on-demand"): "L-417A185B",
    ("P", "spot"): "L-7212CCBC",
    ("standard", "on-demand"): "L-1216C47A",
    ("standard", "spot"): "L-34B43A08",
}


def quota_findings(config: Config, say: Callable[[str], None]) -> Iterator[str]:
    """Whether the account may have one machine of each type.

    Args:
        config: of a cluster on AWS.
        say: is told of quotas that are not known: who may start machines need not see them.
    """
    region = config["provider"]["region"]
    for (family, market), (cores, machine) in largest(config).items():
        code = CODES[family, market]
        try:
            client = boto3.client("service-quotas", region)
            answer = client.get_service_quota(ServiceCode="ec2", QuotaCode=code)
        except (BotoCoreError, ClientError) as error:
            reason = error.response["Error"]["Code"] if isinstance(error, ClientError) else error
            say(f"the {market} quota is not known ({reason}): look for {code}, of {family} types")
            continue
        allowed = answer["Quota"]["Value"]
        if allowed < cores:
            yield (
                f"the account may have {allowed:.0f} virtual cores of {market} machines of "
                f"{family} types, and one {machine} has {cores}: ask AWS for more (Service "
                f"Quotas, {code})"
            )


def largest(config: Config) -> dict[tuple[str, str], tuple[int, str]]:
    """Cores and name of the largest machine of each family and market, as far as they are known."""
    found: dict[tuple[str, str], tuple[int, str]] = {}
    for kind in on_aws(config).values():
        machine = kind["node_config"]["InstanceType"]
        letters = re.match(r"[a-z]*", machine)
        family = FAMILIES.get(letters[0] if letters else "")
        if family is None:
            continue
        key = (family, "spot" if is_spot(kind) else "on-demand")
        with contextlib.suppress(InputError):  # among the findings
            cores = resources(config["provider"]["region"], machine)["CPU"]
            found[key] = max(found.get(key, (0, "")), (cores, machine))
    return found
