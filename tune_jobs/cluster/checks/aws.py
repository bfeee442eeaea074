"""What AWS says of a configuration, before anything is started. Nothing is changed there."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import boto3
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from trainables.errors import InputError
from tune_jobs.cluster.checks.access import open_rules
from tune_jobs.cluster.checks.ec2 import is_spot, on_aws, zones
from tune_jobs.cluster.config import Config
from tune_jobs.run_folder.folder import RunFolder

SPOT_ROLE = "AWSServiceRoleForEC2Spot"
RESOLVED = "resolve:ssm:"
"""How an ImageId begins that is looked up by name."""
ABSENT = re.compile(r"Invalid|Malformed|Missing|NoSuch|ParameterNotFound|ValidationException")
"""Codes by which AWS says that there is no such thing."""
DENIED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")


class NotThereError(InputError):
    """AWS has no such thing; `code` is its word for that."""

    def __init__(self, code: str, right: str):
        super().__init__(f"AWS has no such thing as {right} asks for ({code}): correct the name")
        self.code = code


def ask(region: str, right: str, **given: Any) -> Any:
    """What AWS answers.

    Args:
        region: that is asked.
        right: to ask it, as ec2:DescribeImages.
        given: what is asked for.

    Raises:
        NotThereError: it has no such thing.
        InputError: it does not say.
    """
    service, operation = right.split(":")
    try:
        return getattr(boto3.client(service, region), xform_name(operation))(**given)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if ABSENT.match(code):
            raise NotThereError(code, right) from error
        if code in DENIED:
            raise InputError(
                f"these credentials may not look ({code}): give them {right}, or check --offline"
            ) from error
        raise InputError(f"AWS does not answer to {right} ({code}): try again later") from error
    except BotoCoreError as error:
        raise InputError(f"AWS does not answer to {right} ({error}): try again later") from error


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


def aws_findings(config: Config) -> list[str]:
    """What would fail when machines are asked for, or be open, and what AWS does not tell."""
    return [finding for look in LOOKS for finding in _as_far_as_told(look(config))]


def _as_far_as_told(found: Iterator[str]) -> Iterator[str]:
    try:
        yield from found
    except InputError as error:
        yield str(error)


def spot_role(config: Config) -> Iterator[str]:
    """Whether the account has what spot machines need, which the head may not make."""
    if not any(is_spot(kind) for kind in on_aws(config).values()):
        return
    try:
        ask(config["provider"]["region"], "iam:GetRole", RoleName=SPOT_ROLE)
    except NotThereError as error:
        yield (
            f"the account has no role {SPOT_ROLE} ({error.code}), without which no spot machine "
            "starts: aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"
        )


def security_group(config: Config) -> Iterator[str]:
    """Whether the group that Ray would take as it finds it opens SSH alone."""
    given = config["provider"].get("security_group", {}).get("GroupName")
    name = given or f"ray-autoscaler-{config['cluster_name']}"
    named = [{"Name": "group-name", "Values": [name]}]
    answer = ask(config["provider"]["region"], "ec2:DescribeSecurityGroups", Filters=named)
    for group in answer["SecurityGroups"]:
        for opened in open_rules(group["IpPermissions"]):
            yield (
                f"the security group {name} ({group['GroupId']}) is there already, and Ray takes "
                f"it as it stands, which opens {opened}: remove that rule, or give another "
                "provider.security_group.GroupName"
            )


def instance_types(config: Config) -> Iterator[str]:
    """Whether the region has such machines, and they the resources that Ray is told of."""
    region = config["provider"]["region"]
    for name, kind in on_aws(config).items():
        where, machine = f"available_node_types.{name}", kind["node_config"]["InstanceType"]
        try:
            has = resources(region, machine)
        except NotThereError as error:
            yield f"{where}: {region} has no InstanceType {machine} ({error.code}): take another"
            continue
        for resource, count in kind["resources"].items():
            if resource in has and count > has[resource]:
                yield (
                    f"{where}.resources.{resource} is {count}, and {machine} has {has[resource]}: "
                    "correct it"
                )


def machines_in_zones(config: Config) -> Iterator[str]:
    """Whether one of the zones has such machines."""
    region = config["provider"]["region"]
    of_region = [zone for zone in zones(config) if zone.startswith(region)]
    if not of_region:
        return
    for name, kind in on_aws(config).items():
        machine = kind["node_config"]["InstanceType"]
        named = [{"Name": "instance-type", "Values": [machine]}]
        where = {"LocationType": "availability-zone", "Filters": named}
        answer = ask(region, "ec2:DescribeInstanceTypeOfferings", **where)["InstanceTypeOfferings"]
        # A type that the whole region lacks is among the findings.
        if answer and not {each["Location"] for each in answer} & set(of_region):
            yield (
                f"available_node_types.{name}: {machine} is in none of {', '.join(of_region)}: "
                "take another InstanceType or provider.availability_zone"
            )


def resources(region: str, machine: str) -> dict[str, int]:
    """Virtual cores and GPUs of an instance type.

    Raises:
        NotThereError: the region has no such type.
        InputError: AWS does not say.
    """
    (about,) = ask(region, "ec2:DescribeInstanceTypes", InstanceTypes=[machine])["InstanceTypes"]
    gpus = sum(gpu["Count"] for gpu in about.get("GpuInfo", {}).get("Gpus", []))
    return {"CPU": about["VCpuInfo"]["DefaultVCpus"], "GPU": gpus}


def images(config: Config) -> Iterator[str]:
    """Whether the machines' images are there."""
    region = config["provider"]["region"]
    for name, kind in on_aws(config).items():
        given = kind["node_config"].get("ImageId", "")
        try:
            if given.startswith(RESOLVED):
                looked_up(region, given)
            elif not ask(region, "ec2:DescribeImages", ImageIds=[given])["Images"]:
                raise NotThereError("InvalidAMIID.NotFound", "ec2:DescribeImages")
        except NotThereError as error:
            yield (
                f"available_node_types.{name}: {region} has no ImageId {given or 'given'} "
                f"({error.code}): an AMI is of one region; take one of it"
            )


def profiles(config: Config) -> Iterator[str]:
    """Whether the machines' rights have been made."""
    for name, kind in on_aws(config).items():
        given = kind["node_config"].get("IamInstanceProfile", {}).get("Name")
        if given is None:
            continue
        region = config["provider"]["region"]
        try:
            ask(region, "iam:GetInstanceProfile", InstanceProfileName=given)
        except NotThereError as error:
            yield (
                f"available_node_types.{name}: there is no IamInstanceProfile {given} "
                f"({error.code}): make it as docs/aws tells"
            )


LOOKS: tuple[Callable[[Config], Iterator[str]], ...] = (
    spot_role,
    security_group,
    instance_types,
    machines_in_zones,
    images,
    profiles,
)


def images_of_today(config: Config) -> dict[str, str]:
    """What AWS means today by the images that are looked up by name, as far as it knows them.

    Raises:
        InputError: it does not say.
    """
    found = {}
    for kind in on_aws(config).values():
        given = kind["node_config"].get("ImageId", "")
        if given.startswith(RESOLVED) and given not in found:
            with contextlib.suppress(NotThereError):
                found[given] = looked_up(config["provider"]["region"], given)
    return found


def with_images_of_today(text: str, config: Config) -> str:
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
    """The AMI that AWS means today by a public name of its own.

    Raises:
        NotThereError: it knows no such name.
        InputError: it does not say.
    """
    answer = ask(region, "ssm:GetParameter", Name=given.removeprefix(RESOLVED))
    value: str = answer["Parameter"]["Value"]
    return value


def storage_findings(uri: str) -> Iterator[str]:
    """Whether a storage can be written and read back with these credentials."""
    if "://" not in uri:
        yield f"--storage-path {uri} is a folder of one machine: give s3://bucket/path"
        return
    try:
        folder = RunFolder.at(uri)
        folder.names()  # which fails sooner than writing, where nobody answers
        folder.make()
    except InputError as error:
        yield str(error)
