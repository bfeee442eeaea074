from importlib import metadata

import pytest
import yaml

from tune_jobs.cluster.__main__ import cluster
from tune_jobs.cluster.checks import versions
from tune_jobs.cluster.checks.spending import ENDS, lifetime_h
from tune_jobs.cluster.checks.static import static_findings
from tune_jobs.cluster.config import pinned
from tune_jobs.cluster.prices import dollars_an_hour
from tune_jobs.command_line.entry_point import main
from tune_jobs.ray_runtime.ray_up import dollars_by_type

pytestmark = pytest.mark.usefixtures("home")


def run(*words):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["cluster", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main(cluster)
    return ended.value.code


def test_the_shipped_cluster_file_has_no_findings(capsys):
    assert run("check", "cluster.yaml", "--offline") == 0
    printed = capsys.readouterr()
    assert "$0.10 per hour idle" in printed.out
    assert printed.err == ""


def test_setup_commands_install_the_pinned_versions(config):
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
    # Replaces the mapping, which the node types share.
    mapping = [{"DeviceName": "/dev/sda1", "Ebs": ebs}]
    return lambda config: node(config).update(BlockDeviceMappings=mapping)


def rule(**given):
    given = {"IpProtocol": "tcp", **given}
    return lambda config: config["provider"]["security_group"].update(IpPermissions=[given])


CHANGES = {
    "typo": (lambda c: node(c).update(InstanceTyp="g5.xlarge"), ["gpu", "InstanceTyp"]),
    "typed": (lambda c: node(c).update(InstanceType=5), ["gpu", "InstanceType"]),
    "shapeless disk": (lambda c: node(c).update(BlockDeviceMappings={"Ebs": {}}),
                       ["gpu", "BlockDeviceMappings"]),
    "no machine": (lambda c: node(c).pop("InstanceType"), ["gpu", "InstanceType is missing"]),
    "always on": (lambda c: c["available_node_types"]["cpu"].update(min_workers=2),
                  ["cpu.min_workers is 2"]),
    "stopped": (lambda c: c["provider"].update(cache_stopped_nodes=True), ["cache_stopped_nodes"]),
    "stopped by default": (lambda c: c["provider"].pop("cache_stopped_nodes"),
                           ["cache_stopped_nodes"]),
    "no lifetime": (without("head_start_ray_commands", "sudo shutdown -h now"),
                    ["never end a forgotten cluster"]),
    "plain disk": (disk(VolumeSize=120, DeleteOnTermination=True), ["not encrypted"]),
    "kept disk": (disk(Encrypted=True, DeleteOnTermination=False), ["is billed"]),
    "disk that may stay": (disk(Encrypted=True), ["is billed"]),
    "disk of the image": (lambda c: node(c).pop("BlockDeviceMappings"),
                          ["gpu.node_config has no BlockDeviceMappings", "not encrypted"]),
    "stopped by a shutdown": (lambda c: node(c).update(InstanceInitiatedShutdownBehavior="stop"),
                              ["InstanceInitiatedShutdownBehavior is stop,", "to terminate"]),
    "stopped by EC2's default": (lambda c: node(c).pop("InstanceInitiatedShutdownBehavior"),
                                 ["InstanceInitiatedShutdownBehavior is stop (the default)",
                                  "to terminate"]),
    "no last resort": (lambda c: node(c).pop("UserData"), ["schedule a shutdown"]),
    "other last resort": (lambda c: node(c).update(UserData="#!/bin/sh\necho"),
                          ["schedule a shutdown"]),
    "no last resort after all": (lambda c: node(c).update(UserData="#!/bin/sh\nshutdown -c"),
                                 ["schedule a shutdown"]),
    "late last resort": (lambda c: node(c).update(UserData="#!/bin/sh\nshutdown -h +60000"),
                         ["after 1000 hours", "at most 168 hours"]),
    "no watch of the head": (without("worker_start_ray_commands", "sudo shutdown -h now"),
                             ["never end a worker whose head is gone"]),
    "long lifetime": (without("head_start_ray_commands", "sleep 24h", "sleep 30d"),
                      ["after 720 hours", "at most 168 hours"]),
    "idle for long": (lambda c: c.update(idle_timeout_minutes=600),
                      ["idle_timeout_minutes is 600", "at most 60"]),
    "trials on the head": (without("head_start_ray_commands", "--num-cpus=0"), ["--num-cpus=0"]),
    "open dashboard": (without("head_start_ray_commands", "127.0.0.1", "0.0.0.0"),
                       ["bind the dashboard to 0.0.0.0", "ray dashboard"]),
    "open port": (rule(FromPort=8265, ToPort=8265, IpRanges=[{"CidrIp": "0.0.0.0/0"}]),
                  ["tcp ports 8265-8265 to 0.0.0.0/0", "only SSH"]),
    "open to a network": (rule(FromPort=22, ToPort=80, IpRanges=[{"CidrIp": "10.0.0.0/8"}]),
                          ["22-80 to 10.0.0.0/8"]),
    "open in IPv6": (rule(FromPort=80, ToPort=80, Ipv6Ranges=[{"CidrIpv6": "::/0"}]),
                     ["80-80 to ::/0"]),
    "all open": (rule(IpProtocol="-1", IpRanges=[{"CidrIp": "1.2.3.4/32"}]),
                 ["all ports to 1.2.3.4/32"]),
    "no rule": (lambda c: c["provider"]["security_group"].update(IpPermissions=[5]),
                ["provider.security_group", "IpPermissions[0]"]),
    "group of one's own": (lambda c: node(c).update(SecurityGroupIds=["sg-1"]),
                           ["gpu.node_config.SecurityGroupIds", "this check cannot see"]),
    "zones elsewhere": (lambda c: c["provider"].update(region="us-east-1"),
                        ["us-west-2a, us-west-2b, us-west-2c, which us-east-1 does not have"]),
    "no authentication": (without("head_start_ray_commands", "=token", "=disabled"),
                          ["turns token authentication off"]),
    "silent worker": (without("worker_start_ray_commands", "RAY_AUTH_MODE=token"),
                      ["the head rejects a worker that sends no token"]),
    "no token": (lambda c: c["file_mounts"].pop("~/.ray/auth_token"), ["ray get-auth-token"]),
    "all rights": (lambda c: node(c, "head").pop("IamInstanceProfile"),
                   ["full access to EC2 and S3"]),
    "no rights": (lambda c: node(c).update(IamInstanceProfile={}), ["gpu", "docs/aws"]),
    "gone": (lambda c: c["file_mounts"].update({"~/x": "nowhere"}), ["nowhere", "does not exist"]),
    "history": (lambda c: c["file_mounts"].update({"~/x": "{tmp}/checkout"}), [".git"]),
    "data": (lambda c: c["file_mounts"].update({"~/x": "{tmp}/data"}),
             ["file_mounts hold 2", "20 MB"]),
    "shared key": (lambda c: c["auth"].update(ssh_private_key="{tmp}/key"),
                   ["mode 644", "chmod 600"]),
    "no key": (lambda c: c["auth"].update(ssh_private_key="{tmp}/none"), ["does not exist"]),
    "any python": (without("setup_commands", "--python 3.11.13", "--python 3.11"),
                   ["install Python 3.11, not 3.11.13", "patch versions"]),
    "no python": (without("setup_commands", "--python 3.11.13", ""), ["--python 3.11.13"]),
    "other python": (without("setup_commands", "--python 3.11.13", "--python 3.12.1"),
                     ["install Python 3.12.1", "--python 3.11.13"]),
    "other ray": (lambda c: c["setup_commands"].append("pip install 'ray[default]==2.40.0' timm"),
                  ["setup_commands install ray 2.40.0", "pins 2.60.0"]),
    "other torch": (lambda c: c["available_node_types"]["gpu"].update(
        worker_setup_commands=["pip install torch==2.5.0+cu121"]),
        ["gpu.worker_setup_commands install torch 2.5.0+cu121", "pins 2.14.1"]),
    "other container": (lambda c: c.update(
        docker={"image": "rayproject/ray:2.40.0", "container_name": "ray"}),
        ["docker.image is rayproject/ray:2.40.0", "not tagged 2.60.0"]),
    "any container": (lambda c: c.update(
        docker={"image": "host:5000/ray", "container_name": "ray"}),
        ["docker.image is host:5000/ray", "not tagged 2.60.0"]),
    "any packages": (without("setup_commands", "-c ~/bakeoff/constraints.txt"),
                     ["constraints.txt"]),
    "slow health": (without("head_start_ray_commands", "period_ms=2000", "period_ms=9000"),
                    ["after 29 s"]),
    "no health": (without("head_start_ray_commands", "RAY_health_check_period_ms=2000"),
                  ["by default take a minute"]),
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


FINE = {
    "SSH from one network": rule(FromPort=22, ToPort=22, IpRanges=[{"CidrIp": "10.0.0.0/8"}]),
    "lifetime in seconds": without("head_start_ray_commands", "sleep 24h", "sleep 86400"),
    "the same packages": lambda c: c["setup_commands"].append(
        "pip install Ray==2.60.0 torch==2.14.1+cu130 numpy==2.4.6"),
    "container with the same Ray": lambda c: c.update(
        docker={"image": "host:5000/ray:2.60.0-py311-gpu", "container_name": "ray"}),
    "all zones": lambda c: c["provider"].pop("availability_zone"),
}  # fmt: skip


@pytest.mark.parametrize("change", FINE.values(), ids=FINE.keys())
def test_what_neither_costs_nor_leaks_is_no_finding(change, config):
    change(config)
    assert static_findings(config) == []


@pytest.mark.parametrize(
    ("start", "hours"),
    [
        ("sleep 24h; sudo shutdown -h now", 24),
        ("sleep 5; ray stop\nnohup bash -c 'sleep 2d\nshutdown' &", 48 + 5 / 3600),
        ("sleep 90m && shutdown -h now; sleep 9d", 1.5),
        ("sleep 24h; gcloud compute instances delete $(hostname)", None),
        ("sleep infinity; shutdown", None),
        ("shutdown -c; sleep 3h", None),
        ("sleep 3h", None),
    ],
)
def test_a_lifetime_is_what_the_head_sleeps_before_its_end(start, hours):
    assert lifetime_h(start, ENDS["aws"]) == (None if hours is None else pytest.approx(hours))


def test_a_shutdown_ends_no_machine_of_google():
    shut, deleted = "sleep 24h; shutdown -h now", "sleep 24h; gcloud compute instances delete me"
    assert lifetime_h(shut, ENDS["gcp"]) is None
    assert lifetime_h(deleted, ENDS["gcp"]) == 24


def test_another_ray_than_the_clusters_is_found(config, monkeypatch):
    monkeypatch.setattr(versions.ray, "__version__", "2.50.0")
    (finding,) = static_findings(config)
    assert "Ray is 2.50.0 on this machine, but the cluster installs 2.60.0" in finding


def test_another_torch_than_the_clusters_is_found(config, monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda package: "2.14.0+cu130")
    (finding,) = static_findings(config)
    assert "torch is 2.14.0+cu130 on this machine, but the cluster installs 2.14.1" in finding


def test_a_profile_of_aws_that_is_not_there_is_not_needed_offline(monkeypatch, capsys):
    monkeypatch.setenv("AWS_PROFILE", "nope")
    assert run("check", "--offline") == 0
    assert run("check") == 2
    assert "AWS_PROFILE" in capsys.readouterr().err


def test_a_token_that_others_can_read_is_found(config, home):
    (home / ".ray/auth_token").chmod(0o644)
    assert "chmod 600" in static_findings(config)[0]
    (home / ".ray/auth_token").unlink()
    assert "--generate" in static_findings(config)[0]


def test_full_size_costs_as_much_as_the_most_expensive_nodes(config):
    prices = dollars_by_type(config)
    assert dollars_an_hour(config, prices) == pytest.approx((0.1008, 0.1008 + 8 * 1.006))
    config["available_node_types"]["gpu"]["max_workers"] = 3
    full = dollars_an_hour(config, prices)[1]
    assert full == pytest.approx(0.1008 + 3 * 1.006 + 5 * 0.41056)
