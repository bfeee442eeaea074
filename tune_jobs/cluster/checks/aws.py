"""Checks that query AWS. They only read, and start nothing."""

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
"""Prefix of an ImageId that is a name, which AWS resolves to an AMI."""
ABSENT = re.compile(r"Invalid|Malformed|Missing|NoSuch|ParameterNotFound|ValidationException")
"""Error codes of AWS for a thing that does not exist."""
DENIED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
"""Error codes of AWS for a missing permission."""


class NotThereError(InputError):
    """AWS has no such thing; `code` is its error code."""

    def __init__(self, code: str, right: str):
        super().__init__(f"AWS found nothing for {right} ({code}): correct the name")
        self.code = code


def ask(region: str, right: str, **given: Any) -> Any:
    """Call an operation of AWS and return its response.

    Args:
        region: region to call.
        right: permission for the operation, which also names it: ec2:DescribeImages.
        given: parameters of the operation.

    Raises:
        NotThereError: AWS has no such thing.
        InputError: the permission is missing, or AWS does not answer.
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
                f"these credentials lack {right} ({code}): grant it, or check with --offline"
            ) from error
        raise InputError(f"AWS did not answer {right} ({code}): try again later") from error
    except BotoCoreError as error:
        raise InputError(f"AWS did not answer {right} ({error}): try again later") from error


def account(region: str) -> str:
    """Return the id of the account that the credentials belong to.

    Raises:
        InputError: there are no credentials, AWS rejects them, or the region does not answer.
    """
    try:
        return str(boto3.client("sts", region_name=region).get_caller_identity()["Account"])
    except (BotoCoreError, ClientError) as error:
        raise InputError(
            f"AWS did not identify the account in {region} ({error}): set credentials (aws "
            "configure, AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), and check "
            "provider.region"
        ) from error


def aws_findings(config: Config) -> list[str]:
    """Return the findings of all checks that query AWS, including those that could not be made."""
    return [finding for check in CHECKS for finding in _until_error(check(config))]


def _until_error(found: Iterator[str]) -> Iterator[str]:
    """Yield the findings of a check; an InputError that ends it is the last one."""
    try:
        yield from found
    except InputError as error:
        yield str(error)


def spot_role(config: Config) -> Iterator[str]:
    """Check that the account has the role that spot instances need; the head cannot create it."""
    if not any(is_spot(kind) for kind in on_aws(config).values()):
        return
    try:
        ask(config["provider"]["region"], "iam:GetRole", RoleName=SPOT_ROLE)
    except NotThereError as error:
        yield (
            f"the account has no role {SPOT_ROLE} ({error.code}), which spot instances need: run "
            "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"
        )


def security_group(config: Config) -> Iterator[str]:
    """Check that an existing security group, which Ray uses unchanged, opens SSH only."""
    given = config["provider"].get("security_group", {}).get("GroupName")
    name = given or f"ray-autoscaler-{config['cluster_name']}"
    named = [{"Name": "group-name", "Values": [name]}]
    answer = ask(config["provider"]["region"], "ec2:DescribeSecurityGroups", Filters=named)
    for group in answer["SecurityGroups"]:
        for opened in open_rules(group["IpPermissions"]):
            yield (
                f"the security group {name} ({group['GroupId']}) already exists and opens "
                f"{opened}; Ray uses it unchanged, and only SSH may be open: remove that rule, or "
                "set another provider.security_group.GroupName"
            )


def instance_types(config: Config) -> Iterator[str]:
    """Check that the region has each instance type, with at least the configured resources."""
    region = config["provider"]["region"]
    for name, kind in on_aws(config).items():
        where, machine = f"available_node_types.{name}", kind["node_config"]["InstanceType"]
        try:
            has = resources(region, machine)
        except NotThereError as error:
            yield f"{where}: {region} has no InstanceType {machine} ({error.code}): use another"
            continue
        for resource, count in kind["resources"].items():
            if resource in has and count > has[resource]:
                yield (
                    f"{where}.resources.{resource} is {count}, but {machine} has {has[resource]}: "
                    f"set it to {has[resource]}"
                )


def machines_in_zones(config: Config) -> Iterator[str]:
    """Check that at least one of the zones offers each instance type."""
    region = config["provider"]["region"]
    of_region = [zone for zone in zones(config) if zone.startswith(region)]
    if not of_region:
        return
    for name, kind in on_aws(config).items():
        machine = kind["node_config"]["InstanceType"]
        named = [{"Name": "instance-type", "Values": [machine]}]
        where = {"LocationType": "availability-zone", "Filters": named}
        answer = ask(region, "ec2:DescribeInstanceTypeOfferings", **where)["InstanceTypeOfferings"]
        # instance_types() reports a type that the whole region lacks.
        if answer and not {each["Location"] for each in answer} & set(of_region):
            yield (
                f"available_node_types.{name}: {machine} is offered in none of "
                f"{', '.join(of_region)}: use another InstanceType or provider.availability_zone"
            )


def resources(region: str, machine: str) -> dict[str, int]:
    """Return the numbers of vCPUs and GPUs of an instance type, as {"CPU": …, "GPU": …}.

    Raises:
        NotThereError: the region has no such instance type.
        InputError: the permission is missing, or AWS does not answer.
    """
    (about,) = ask(region, "ec2:DescribeInstanceTypes", InstanceTypes=[machine])["InstanceTypes"]
    gpus = sum(gpu["Count"] for gpu in about.get("GpuInfo", {}).get("Gpus", []))
    return {"CPU": about["VCpuInfo"]["DefaultVCpus"], "GPU": gpus}


def images(config: Config) -> Iterator[str]:
    """Check that the image of each node type exists in the region."""
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
                f"available_node_types.{name}: {region} has no ImageId {given or '(unset)'} "
                f"({error.code}), and an AMI belongs to one region: use one of {region}"
            )


def profiles(config: Config) -> Iterator[str]:
    """Check that the instance profile of each node type exists."""
    for name, kind in on_aws(config).items():
        given = kind["node_config"].get("IamInstanceProfile", {}).get("Name")
        if given is None:
            continue
        region = config["provider"]["region"]
        try:
            ask(region, "iam:GetInstanceProfile", InstanceProfileName=given)
        except NotThereError as error:
            yield (
                f"available_node_types.{name}: the account has no IamInstanceProfile {given} "
                f"({error.code}): create it with the policy of docs/aws, as docs/clusters.md shows"
            )


CHECKS: tuple[Callable[[Config], Iterator[str]], ...] = (
    spot_role,
    security_group,
    instance_types,
    machines_in_zones,
    images,
    profiles,
)


def images_of_today(config: Config) -> dict[str, str]:
    """Return {ImageId: AMI} of the images that are given by name, without unknown names.

    Raises:
        InputError: the permission is missing, or AWS does not answer.
    """
    found = {}
    for kind in on_aws(config).values():
        given = kind["node_config"].get("ImageId", "")
        if given.startswith(RESOLVED) and given not in found:
            with contextlib.suppress(NotThereError):
                found[given] = looked_up(config["provider"]["region"], given)
    return found


def with_images_of_today(text: str, config: Config) -> str:
    """Replace the image names in a cluster file with the AMIs that they resolve to today.

    Args:
        text: text of the cluster file.
        config: configuration that it holds.

    Returns:
        Text of the new cluster file.

    Raises:
        InputError: AWS does not answer, or has no image of that name.
    """
    region = config["provider"]["region"]
    account(region)
    for name, ami in images_of_today(config).items():
        text = text.replace(name, ami)
    if RESOLVED in text:
        name = text.split(RESOLVED)[1].split()[0]
        raise InputError(
            f"AWS has no image named {name} in {region}: set ImageId to a name or an AMI that "
            "exists there"
        )
    return text


def looked_up(region: str, given: str) -> str:
    """Return the AMI that an image name resolves to today.

    Args:
        region: region of the AMI.
        given: ImageId that begins with `RESOLVED`.

    Raises:
        NotThereError: AWS has no image of that name.
        InputError: the permission is missing, or AWS does not answer.
    """
    answer = ask(region, "ssm:GetParameter", Name=given.removeprefix(RESOLVED))
    value: str = answer["Parameter"]["Value"]
    return value


def storage_findings(uri: str) -> Iterator[str]:
    """Check that these credentials can list and write a storage."""
    if "://" not in uri:
        yield (
            f"--storage-path {uri} is a folder on this machine, which the nodes cannot see: use "
            "s3://bucket/path or gs://bucket/path"
        )
        return
    try:
        folder = RunFolder.at(uri)
        folder.names()  # fails sooner than a write if the server does not answer
        folder.make()
    except InputError as error:
        yield str(error)
