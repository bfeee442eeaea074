"""Checks that query AWS, against moto."""

import json
import os
import subprocess
import sys
from fnmatch import fnmatch

import boto3
import pytest
import yaml
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.tune_jobs.cluster.checks.test_static import node, run
from tune_jobs.cluster import prices
from tune_jobs.cluster.checks import aws, quotas
from tune_jobs.cluster.checks.ec2 import workers
from tune_jobs.cluster.config import ROOT
from tune_jobs.ray_runtime.ray_up import dollars_by_type

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module")
def account():
    """An account with both profiles and the role for spot instances; yields an AMI."""
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        iam = boto3.client("iam")
        for name in ("bakeoff-head", "bakeoff-worker"):
            iam.create_instance_profile(InstanceProfileName=name)
        iam.create_role(RoleName=aws.SPOT_ROLE, AssumeRolePolicyDocument="{}")
        images = boto3.client("ec2", "us-west-2").describe_images()["Images"]
        yield images[0]["ImageId"]


@pytest.fixture
def on_aws(config, account):
    """The configuration with an AMI that moto has."""
    for kind in config["available_node_types"].values():
        kind["node_config"]["ImageId"] = account
    return config


def test_a_cluster_that_aws_can_start_is_fine(on_aws):
    assert aws.account("us-west-2") == "123456789012"
    assert aws.aws_findings(on_aws) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: node(c).update(InstanceType="g5.huge"), ["gpu", "no InstanceType g5.huge"]),
        (lambda c: c["available_node_types"]["gpu"]["resources"].update(GPU=4),
         ["resources.GPU is 4", "g5.xlarge has 1"]),
        (lambda c: c["available_node_types"]["cpu"]["resources"].update(CPU=64),
         ["resources.CPU is 64"]),
        (lambda c: node(c).update(ImageId="ami-00000000"), ["no ImageId ami-00000000"]),
        (lambda c: node(c).update(ImageId="resolve:ssm:/nowhere"), ["/nowhere"]),
        (lambda c: node(c).update(IamInstanceProfile={"Name": "other"}),
         ["no IamInstanceProfile other", "docs/aws"]),
    ],
)  # fmt: skip
def test_what_aws_would_refuse_is_found(change, words, on_aws):
    change(on_aws)
    (finding,) = aws.aws_findings(on_aws)
    for word in words:
        assert word in finding


def test_image_names_resolve_to_amis(on_aws):
    name = "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2"
    node(on_aws).update(ImageId=f"resolve:ssm:{name}")
    (ami,) = aws.images_of_today(on_aws).values()
    assert ami.startswith("ami-")
    node(on_aws).update(ImageId="resolve:ssm:/nowhere")
    assert aws.images_of_today(on_aws) == {}


def test_an_account_without_the_role_of_spot_machines_is_found(on_aws, monkeypatch):
    monkeypatch.setattr(aws, "SPOT_ROLE", "other")
    (finding,) = aws.aws_findings(on_aws)
    assert "create-service-linked-role" in finding


@pytest.fixture
def answers(monkeypatch):
    """Responses by operation that replace moto's: an error code or a dict."""
    given, real = {}, BaseClient._make_api_call

    def call(client, operation, arguments):
        answer = given.get(operation)
        if isinstance(answer, str):
            raise ClientError({"Error": {"Code": answer, "Message": ""}}, operation)
        return answer or real(client, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return given


def group(rules):
    found = {"GroupId": "sg-1", "GroupName": "bakeoff", "IpPermissions": rules}
    return {"SecurityGroups": [found]}


SSH = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
WITHIN = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-1"}]}
DASHBOARD = SSH | {"FromPort": 8265, "ToPort": 8265}


@pytest.mark.parametrize(
    ("operation", "answer", "words"),
    [
        ("DescribeSecurityGroups", group([SSH, WITHIN, DASHBOARD]),
         ["bakeoff (sg-1)", "opens tcp ports 8265-8265 to 0.0.0.0/0"]),
        ("DescribeInstanceTypes", "UnauthorizedOperation",
         ["ec2:DescribeInstanceTypes", "UnauthorizedOperation"]),
        ("DescribeInstanceTypeOfferings", "UnauthorizedOperation",
         ["ec2:DescribeInstanceTypeOfferings"]),
        ("DescribeImages", "UnauthorizedOperation", ["ec2:DescribeImages"]),
        ("DescribeSecurityGroups", "UnauthorizedOperation", ["ec2:DescribeSecurityGroups"]),
        ("GetInstanceProfile", "AccessDenied", ["iam:GetInstanceProfile", "AccessDenied"]),
        ("GetRole", "AccessDenied", ["iam:GetRole", "--offline"]),
        ("DescribeInstanceTypes", "RequestLimitExceeded", ["RequestLimitExceeded", "try again"]),
    ],
)  # fmt: skip
def test_what_is_open_or_may_not_be_seen_is_found_once(operation, answer, words, on_aws, answers):
    answers[operation] = answer
    (finding,) = aws.aws_findings(on_aws)
    assert "has no" not in finding
    for word in words:
        assert word in finding


def test_findings_before_a_missing_permission_are_reported(on_aws, answers):
    node(on_aws, "head").update(ImageId="ami-00000000")
    node(on_aws, "cpu").update(ImageId="resolve:ssm:/nowhere")
    answers["GetParameter"] = "AccessDeniedException"
    gone, denied = aws.aws_findings(on_aws)
    assert "ami-00000000" in gone
    assert "ssm:GetParameter" in denied


def test_a_group_that_opens_ssh_alone_is_fine(on_aws, answers):
    answers["DescribeSecurityGroups"] = group([SSH, WITHIN])
    assert aws.aws_findings(on_aws) == []


def offering(*places):
    return {"InstanceTypeOfferings": [{"Location": zone} for zone in places]}


def test_one_zone_with_a_machine_is_enough(on_aws, answers):
    answers["DescribeInstanceTypeOfferings"] = offering("us-west-2d", "us-west-2c")
    assert aws.aws_findings(on_aws) == []
    answers["DescribeInstanceTypeOfferings"] = offering("us-west-2d")
    findings = aws.aws_findings(on_aws)
    assert len(findings) == len(on_aws["available_node_types"])
    assert "g5.xlarge is offered in none of us-west-2a, us-west-2b, us-west-2c" in findings[1]


def test_aws_is_not_asked_for_what_is_no_machine(on_aws):
    node(on_aws).update(InstanceType=5, ImageId=5)
    node(on_aws, "cpu").pop("InstanceType")
    assert aws.aws_findings(on_aws) == []
    assert set(quotas.largest(on_aws)) == {("standard", "on-demand")}


@pytest.mark.parametrize(
    ("machine", "spot", "cores", "code"),
    [
        ("g5.xlarge", True, 4, "L-3819A6DF"),
        ("g5.xlarge", False, 4, "L-DB2E81BA"),
        ("p4d.24xlarge", True, 96, "L-7212CCBC"),
        ("p4d.24xlarge", False, 96, "L-417A185B"),
        ("c7a.2xlarge", True, 8, "L-34B43A08"),
        ("c7a.2xlarge", False, 8, "L-1216C47A"),
    ],
)
def test_a_quota_is_of_family_and_market(machine, spot, cores, code, config, account, answers):
    market = {"InstanceMarketOptions": {"MarketType": "spot"}} if spot else {}
    kind = {"node_config": {"InstanceType": machine, **market}}
    config["available_node_types"] = {"gpu": kind}
    said = []
    answers["GetServiceQuota"] = {"Quota": {"Value": cores - 1.0}}
    (finding,) = quotas.quota_findings(config, said.append)
    assert f"quota is {cores - 1} vCPUs" in finding
    assert f"one {machine} has {cores}" in finding
    assert f"increase of {code} in Service Quotas" in finding
    answers["GetServiceQuota"] = {"Quota": {"Value": float(cores)}}
    assert not list(quotas.quota_findings(config, said.append))
    assert not said


def test_a_quota_that_may_not_be_seen_is_no_finding(on_aws, answers):
    answers["GetServiceQuota"] = "AccessDeniedException"
    said = []
    assert not list(quotas.quota_findings(on_aws, said.append))
    assert len(said) == 3  # the on-demand quota of the head, and the spot quotas of two families
    assert any("the spot quota is unknown (AccessDeniedException): " in line for line in said)


def priced(machine, zone, dollars):
    return {"InstanceType": machine, "AvailabilityZone": zone, "SpotPrice": str(dollars)}


def test_spot_machines_cost_what_the_dearest_zone_asks_now(on_aws, answers):
    answers["DescribeSpotPriceHistory"] = {"SpotPriceHistory": [
        priced("g5.xlarge", "us-west-2a", 0.25), priced("g5.xlarge", "us-west-2b", 0.5),
        priced("g5.xlarge", "us-west-2d", 0.75),  # not a configured zone
    ]}  # fmt: skip
    now = prices.with_spot_prices(on_aws, dollars_by_type(on_aws))
    assert now == dollars_by_type(on_aws) | {"gpu": 0.5}


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "InvalidParameterValue"])
def test_unknown_spot_prices_are_no_finding(code, on_aws, answers, tmp_path, capsys):
    answers["DescribeSpotPriceHistory"] = code
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(on_aws))
    assert run("check", file) == 0
    printed = capsys.readouterr().out
    assert "(prices in metadata.dollars_per_hour)" in printed
    assert "current spot prices are unknown" in printed
    assert code in printed


def test_the_account_and_the_current_price_are_printed(on_aws, tmp_path, capsys):
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(on_aws))
    assert run("check", file) == 0
    printed = capsys.readouterr().out
    assert "account 123456789012, region us-west-2" in printed
    assert "$0.10 per hour idle, $0.10 per hour at full size (current spot prices)" in printed
    assert "quota is unknown" in printed


def test_without_credentials_nothing_is_started(home):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, "-m", "tune_jobs.cluster", "check"],
        env=environment | {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(home)},
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "aws configure" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_of_one_machine_is_no_storage_of_a_cluster(capsys):
    assert run("check", "--offline", "--storage-path", "./runs") == 2
    assert "s3://bucket/path" in capsys.readouterr().err


def statements(name):
    policy = json.loads((ROOT / "docs" / "aws" / f"{name}-policy.json").read_text())
    for each in policy["Statement"]:
        resources = each["Resource"]
        yield each, [resources] if isinstance(resources, str) else resources


@pytest.mark.parametrize("name", ["head", "worker"])
def test_policies_allow_no_more_than_they_name(name):
    for each, resources in statements(name):
        assert not any("*" in action for action in each["Action"])
        # EC2's Describe operations do not support resources.
        assert "*" not in resources or all(a.startswith("ec2:Describe") for a in each["Action"])


def test_the_head_changes_nothing_that_is_not_of_its_cluster(config):
    given = {each["Sid"]: (each, resources) for each, resources in statements("head")}
    for each, resources in given.values():
        any_machine = any(resource.endswith((":instance/*", ":*/*")) for resource in resources)
        assert "Condition" in each or not any_machine
    started = given["StartWorkersOfTheseTypes"][0]["Condition"]["StringEquals"]
    assert started["aws:RequestTag/ray-cluster-name"] == config["cluster_name"]
    types = {node(config, name)["InstanceType"] for name in workers(config)}
    assert set(started["ec2:InstanceType"]) == types
    passed = given["GiveWorkersTheirProfile"][0]["Condition"]["StringEquals"]
    assert passed == {"iam:PassedToService": "ec2.amazonaws.com"}
    # A public parameter belongs to no account.
    image = node(config)["ImageId"].removeprefix("resolve:ssm:")
    (pattern,) = given["LookUpTheImage"][1]
    assert fnmatch(f"arn:aws:ssm:{config['provider']['region']}::parameter{image}", pattern)
