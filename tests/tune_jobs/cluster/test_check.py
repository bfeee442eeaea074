import json
import os
import subprocess
import sys
from fnmatch import fnmatch

import boto3
import pytest
import yaml
from moto import mock_aws

from tune_jobs.cluster import aws, check
from tune_jobs.cluster.__main__ import cluster
from tune_jobs.cluster.check import dollars_an_hour, static_findings
from tune_jobs.cluster.config import ROOT, pinned
from tune_jobs.options import main

pytestmark = pytest.mark.usefixtures("home")


def run(*words):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["cluster", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main(cluster)
    return ended.value.code


def test_the_cluster_as_it_stands_is_fine(capsys):
    assert run("check", "cluster.yaml", "--offline") == 0
    printed = capsys.readouterr()
    assert "$0.10 an hour at rest" in printed.out
    assert printed.err == ""


def test_python_and_packages_are_those_of_the_constraints(config):
    setup = "\n".join(config["setup_commands"])
    assert "-c ~/bakeoff/constraints.txt" in setup
    assert "'~" not in setup  # which no shell would expand
    assert pinned("ray") == "2.60.0"
    assert config["file_mounts"]["~/bakeoff/constraints.txt"] == "constraints.txt"


def node(config, name="gpu"):
    return config["available_node_types"][name]["node_config"]


def without(key, text, instead=""):
    def change(config):
        config[key] = [command.replace(text, instead) for command in config[key]]

    return change


def disk(**ebs):
    # In place of the one that the machines share.
    mapping = [{"DeviceName": "/dev/sda1", "Ebs": ebs}]
    return lambda config: node(config).update(BlockDeviceMappings=mapping)


CHANGES = {
    "typo": (lambda c: node(c).update(InstanceTyp="g5.xlarge"), ["gpu", "InstanceTyp"]),
    "typed": (lambda c: node(c).update(InstanceType=5), ["gpu", "InstanceType"]),
    "always on": (lambda c: c["available_node_types"]["cpu"].update(min_workers=2),
                  ["cpu.min_workers is 2"]),
    "stopped": (lambda c: c["provider"].update(cache_stopped_nodes=True), ["cache_stopped_nodes"]),
    "stopped by default": (lambda c: c["provider"].pop("cache_stopped_nodes"),
                           ["cache_stopped_nodes"]),
    "no lifetime": (without("head_start_ray_commands", "sudo shutdown -h now"), ["forgotten"]),
    "plain disk": (disk(VolumeSize=120), ["not encrypted"]),
    "kept disk": (disk(Encrypted=True, DeleteOnTermination=False), ["is billed"]),
    "trials on the head": (without("head_start_ray_commands", "--num-cpus=0"), ["--num-cpus=0"]),
    "open dashboard": (without("head_start_ray_commands", "127.0.0.1", "0.0.0.0"),
                       ["open the dashboard to 0.0.0.0", "ray dashboard"]),
    "open port": (lambda c: c["provider"]["security_group"].update(IpPermissions=[
        {"IpProtocol": "tcp", "FromPort": 8265, "ToPort": 8265,
         "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]), ["8265", "SSH alone"]),
    "no authentication": (without("head_start_ray_commands", "=token", "=disabled"),
                          ["token authentication off"]),
    "silent worker": (without("worker_start_ray_commands", "RAY_AUTH_MODE=token"),
                      ["turned away"]),
    "no token": (lambda c: c["file_mounts"].pop("~/.ray/auth_token"), ["ray get-auth-token"]),
    "all rights": (lambda c: node(c, "head").pop("IamInstanceProfile"), ["all of EC2 and S3"]),
    "gone": (lambda c: c["file_mounts"].update({"~/x": "nowhere"}), ["nowhere", "is not there"]),
    "history": (lambda c: c["file_mounts"].update({"~/x": "{tmp}/checkout"}), [".git"]),
    "data": (lambda c: c["file_mounts"].update({"~/x": "{tmp}/data"}), ["hold 22 MB", "20 MB"]),
    "shared key": (lambda c: c["auth"].update(ssh_private_key="{tmp}/key"),
                   ["mode 644", "chmod 600"]),
    "no key": (lambda c: c["auth"].update(ssh_private_key="{tmp}/none"), ["is not there"]),
    "any python": (without("setup_commands", "--python 3.11.13", "--python 3.11"),
                   ["to the patch"]),
    "any packages": (without("setup_commands", "-c ~/bakeoff/constraints.txt"),
                     ["constraints.txt"]),
    "slow health": (without("head_start_ray_commands", "period_ms=2000", "period_ms=9000"),
                    ["after 29 s"]),
    "no health": (without("head_start_ray_commands", "RAY_health_check_period_ms=2000"),
                  ["take a minute"]),
}  # fmt: skip


@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=CHANGES.keys())
def test_what_would_cost_or_leak_is_found(change, words, config, tmp_path, capsys):
    (tmp_path / "checkout" / ".git").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "images").write_bytes(bytes(21_000_000))
    (tmp_path / "key").write_text("key")
    (tmp_path / "key").chmod(0o644)
    change(config)
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(config).replace("{tmp}", str(tmp_path)))
    assert run("check", file, "--offline") == 2
    printed = capsys.readouterr().err
    assert printed.count("error: ") == 1
    for word in words:
        assert word in printed


def test_another_ray_than_the_clusters_is_found(config, monkeypatch):
    monkeypatch.setattr(check.ray, "__version__", "2.50.0")
    (finding,) = static_findings(config)
    assert "Ray is 2.50.0 here and 2.60.0" in finding


def test_a_token_that_others_can_read_is_found(config, home):
    (home / ".ray/auth_token").chmod(0o644)
    assert "chmod 600" in static_findings(config)[0]
    (home / ".ray/auth_token").unlink()
    assert "--generate" in static_findings(config)[0]


def test_dollars_are_those_of_the_dearest_machines(config):
    assert dollars_an_hour(config) == pytest.approx((0.1008, 0.1008 + 8 * 1.006))
    config["available_node_types"]["gpu"]["max_workers"] = 3
    assert dollars_an_hour(config)[1] == pytest.approx(0.1008 + 3 * 1.006 + 5 * 0.41056)
    del config["metadata"]
    assert dollars_an_hour(config) is None


# What AWS says, by moto


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
    types = {node(config, name)["InstanceType"] for name in check.workers(config)}
    assert set(started["ec2:InstanceType"]) == types
    passed = given["GiveWorkersTheirProfile"][0]["Condition"]["StringEquals"]
    assert passed == {"iam:PassedToService": "ec2.amazonaws.com"}
    # A public parameter is of no account.
    image = node(config)["ImageId"].removeprefix("resolve:ssm:")
    (pattern,) = given["LookUpTheImage"][1]
    assert fnmatch(f"arn:aws:ssm:{config['provider']['region']}::parameter{image}", pattern)
