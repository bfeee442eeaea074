"""What AWS says of a cluster, by moto."""

import json
import os
import subprocess
import sys
from fnmatch import fnmatch

import boto3
import pytest
from moto import mock_aws

from tests.tune_jobs.cluster.test_check import node, run
from tune_jobs.cluster import aws
from tune_jobs.cluster.config import ROOT
from tune_jobs.cluster.nodes import workers

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module")
def account():
    """An account with both profiles and the role of spot machines."""
    with mock_aws(), pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        iam = boto3.client("iam")
        for name in ("bakeoff-head", "bakeoff-worker"):
            iam.create_instance_profile(InstanceProfileName=name)
        iam.create_role(RoleName=aws.SPOT_ROLE, AssumeRolePolicyDocument="{}")
        yield


@pytest.fixture
def on_aws(config, account):
    """The cluster with an image that moto knows."""
    image = boto3.client("ec2", "us-west-2").describe_images()["Images"][0]["ImageId"]
    for kind in config["available_node_types"].values():
        kind["node_config"]["ImageId"] = image
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


def test_images_by_name_are_told_by_number_to_be_pinned(on_aws):
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


def test_a_quota_of_zero_is_found(on_aws, monkeypatch):
    real = boto3.client

    class Quotas:
        def get_service_quota(self, ServiceCode, QuotaCode):  # noqa: N803
            return {"Quota": {"Value": 0.0 if QuotaCode == aws.SPOT_QUOTAS["gpu"] else 64.0}}

    monkeypatch.setattr(aws.boto3, "client", lambda name, *a, **k: (
        Quotas() if name == "service-quotas" else real(name, *a, **k)))  # fmt: skip
    (finding,) = aws.aws_findings(on_aws)
    assert "may have 0 virtual cores" in finding
    assert "Service Quotas" in finding


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
        # EC2 takes no resources where it is looked at alone.
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
    # A public parameter is of no account.
    image = node(config)["ImageId"].removeprefix("resolve:ssm:")
    (pattern,) = given["LookUpTheImage"][1]
    assert fnmatch(f"arn:aws:ssm:{config['provider']['region']}::parameter{image}", pattern)
