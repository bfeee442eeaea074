"""What AWS says of a configuration, before anything is started. Nothing is changed there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from trainables.errors import InputError
from tune_jobs.storage import RunFolder

SPOT_QUOTAS = {"gpu": "L-3819A6DF", "cpu": "L-34B43A08"}
"""Virtual cores of spot machines at a time: of types G and VT, and of the standard types."""
SPOT_ROLE = "AWSServiceRoleForEC2Spot"
RESOLVED = "resolve:ssm:"
"""How an ImageId begins that is looked up by name."""


def account(region: str) -> str:
    """Number of the account that the credentials belong to.

    Raises:
        InputError: there are none, they are refused, or the region does not answer.
    """
    try:
        return str(boto3.client("sts", region_name=region).get_caller_identity()["Account"])
    except (BotoCoreError, ClientError) as error:
        raise InputError(
            f"AWS does not answer in {region} ({error}): give credentials (aws configure, "
            "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), and check "
            "provider.region"
        ) from error


def aws_findings(config: dict[str, Any]) -> list[str]:
    """What would fail when machines are asked for."""
    region = config["provider"]["region"]
    return [*spot_role(config, region)] + [
        f"available_node_types.{name}: {finding}"
        for name, kind in config["available_node_types"].items()
        for look in LOOKS
        for finding in look(region, kind)
    ]


def spot_role(config: dict[str, Any], region: str) -> Iterator[str]:
    """Whether the account has what spot machines need, which the head may not make."""
    kinds = config["available_node_types"].values()
    if not any("InstanceMarketOptions" in kind["node_config"] for kind in kinds):
        return
    try:
        boto3.client("iam", region).get_role(RoleName=SPOT_ROLE)
    except ClientError as error:
        yield (
            f"the account has no role {SPOT_ROLE} ({_reason(error)}), without which no spot "
            "machine starts: aws iam create-service-linked-role --aws-service-name "
            "spot.amazonaws.com"
        )


def instance_type(region: str, kind: dict[str, Any]) -> Iterator[str]:
    """Whether the region has such machines, and they the resources that Ray is told of."""
    name = kind["node_config"]["InstanceType"]
    try:
        answer = boto3.client("ec2", region).describe_instance_types(InstanceTypes=[name])
    except ClientError as error:
        yield f"{region} has no InstanceType {name} ({_reason(error)}): take another"
        return
    (about,) = answer["InstanceTypes"]
    gpus = sum(gpu["Count"] for gpu in about.get("GpuInfo", {}).get("Gpus", []))
    has = {"CPU": about["VCpuInfo"]["DefaultVCpus"], "GPU": gpus}
    for resource, count in kind["resources"].items():
        if resource in has and count > has[resource]:
            yield f"resources.{resource} is {count}, and {name} has {has[resource]}: correct it"
    if "InstanceMarketOptions" in kind["node_config"]:
        yield from quota(region, "gpu" if gpus else "cpu", has["CPU"], name)


def quota(region: str, which: str, cores: int, name: str) -> Iterator[str]:
    """Whether the account may have one such machine on the spot market."""
    client = boto3.client("service-quotas", region)
    try:
        found = client.get_service_quota(ServiceCode="ec2", QuotaCode=SPOT_QUOTAS[which])
    except (BotoCoreError, ClientError):
        return  # who may start machines need not be allowed to look at quotas
    allowed = found["Quota"]["Value"]
    if allowed < cores:
        yield (
            f"the account may have {allowed:.0f} virtual cores of such spot machines, and one "
            f"{name} has {cores}: ask AWS for more (Service Quotas, {SPOT_QUOTAS[which]})"
        )


def image(region: str, kind: dict[str, Any]) -> Iterator[str]:
    """Whether the machine's image is there."""
    given = kind["node_config"].get("ImageId", "")
    try:
        if given.startswith(RESOLVED):
            looked_up(region, given)
        elif not boto3.client("ec2", region).describe_images(ImageIds=[given])["Images"]:
            yield f"{region} has no ImageId {given}: an AMI is of one region; take one of it"
    except ClientError as error:
        yield (
            f"{region} has no ImageId {given or 'given'} ({_reason(error)}): an AMI is of one "
            "region; take one of it"
        )


def images_of_today(config: dict[str, Any]) -> dict[str, str]:
    """What AWS means today by the images that are looked up by name, as far as it knows them."""
    found, region = {}, config["provider"]["region"]
    for kind in config["available_node_types"].values():
        given = kind["node_config"].get("ImageId", "")
        if given.startswith(RESOLVED) and given not in found:
            with contextlib.suppress(ClientError):  # is among the findings
                found[given] = looked_up(region, given)
    return found


def with_images_of_today(text: str, config: dict[str, Any]) -> str:
    """A cluster's file with AMIs for the names of images, so that all its machines keep to them.

    Args:
        text: of the file.
        config: what it says.

    Raises:
        InputError: AWS does not answer, or knows no image of a name.
    """
    region = config["provider"]["region"]
    account(region)
    for name, ami in images_of_today(config).items():
        text = text.replace(name, ami)
    if RESOLVED in text:
        name = text.split(RESOLVED)[1].split()[0]
        raise InputError(
            f"AWS knows no image by the name of {name} in {region}: give ImageId the name or the "
            "AMI of one that is there"
        )
    return text


def looked_up(region: str, given: str) -> str:
    """The AMI that AWS means today by a public name of its own."""
    answer = boto3.client("ssm", region).get_parameter(Name=given.removeprefix(RESOLVED))
    value: str = answer["Parameter"]["Value"]
    return value


def profile(region: str, kind: dict[str, Any]) -> Iterator[str]:
    """Whether the machine's rights have been made."""
    given = kind["node_config"].get("IamInstanceProfile", {}).get("Name")
    if given is None:
        return
    try:
        boto3.client("iam", region).get_instance_profile(InstanceProfileName=given)
    except ClientError as error:
        yield (
            f"there is no IamInstanceProfile {given} ({_reason(error)}): make it as docs/aws tells"
        )


LOOKS: tuple[Callable[[str, dict[str, Any]], Iterator[str]], ...] = (instance_type, image, profile)


def storage_findings(uri: str) -> Iterator[str]:
    """Whether a storage can be written and read back with these credentials."""
    if "://" not in uri:
        yield f"--storage-path {uri} is a folder of one machine: give s3://bucket/path"
        return
    try:
        folder = RunFolder.at(uri)
        folder.make()
    except InputError as error:
        yield str(error)


def _reason(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])
