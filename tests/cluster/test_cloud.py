"""cluster.yaml on AWS, emulated by moto. The tests share one cluster and run in order."""

import io
import json
import shutil

import pandas as pd
import pytest

from tests.cluster.cloud import MOST, Cloud
from tests.cluster.grids import GRID, LONG, assert_as_expected, recover, wait_for
from tests.cluster.hosts import HEAD
from tune_jobs.analysis.results import load_comparison, load_run, load_trials
from tune_jobs.cluster.config import CLUSTER_FILE, ROOT, read_config

pytestmark = pytest.mark.cluster

STORAGE = "s3://bucket/bakeoff"
LAUNCH_S = 180
"""Timeout in seconds for the autoscaler to start a node."""


@pytest.fixture(scope="module")
def cloud():
    made = Cloud()
    try:
        made.up()
        yield made
    finally:
        made.down()
        shutil.rmtree(made.folder, ignore_errors=True)


def epochs_of_grid(cloud):
    try:
        found = cloud.s3.get_object(Bucket="bucket", Key="bakeoff/lr-grid/epochs.parquet")
    except cloud.s3.exceptions.NoSuchKey:
        return pd.DataFrame()
    return pd.read_parquet(io.BytesIO(found["Body"].read()))


def only(found):
    (one,) = found
    return one


def test_ray_up_starts_the_head_alone_and_closes_it(cloud):
    head = only(cloud.instances())
    about = read_config(CLUSTER_FILE)["available_node_types"]["head"]["node_config"]
    assert head["InstanceType"] == about["InstanceType"]
    assert "InstanceLifecycle" not in head
    assert head["IamInstanceProfile"]["Arn"].endswith("/bakeoff-head")
    volume = only(cloud.ec2.describe_volumes()["Volumes"])
    assert volume["Encrypted"]
    assert (volume["Size"], volume["VolumeType"]) == (120, "gp3")
    assert volume["Tags"] == [{"Key": "ray-cluster-name", "Value": "bakeoff"}]
    named = [{"Name": "group-name", "Values": ["bakeoff"]}]
    group = only(cloud.ec2.describe_security_groups(Filters=named)["SecurityGroups"])
    assert [each["GroupId"] for each in head["SecurityGroups"]] == [group["GroupId"]]
    for rule in group["IpPermissions"]:
        from_outside = [each["CidrIp"] for each in rule["IpRanges"]]
        assert not from_outside or (rule["FromPort"], rule["ToPort"]) == (22, 22)
        assert all(pair["GroupId"] == group["GroupId"] for pair in rule["UserIdGroupPairs"])


def test_a_killed_run_resumes_and_survives_the_loss_of_its_spot_instance(cloud, expected, tmp_path):
    words = (*GRID, "--epochs", LONG, "--gpus-per-trial", 0.25, "--storage-path", STORAGE)
    job = cloud.start(*cloud.submit(*words))
    wait_for(lambda: cloud.of_type("gpu"), LAUNCH_S, job, cloud.log)
    first = only(cloud.of_type("gpu"))
    assert first["InstanceLifecycle"] == "spot"
    assert first["IamInstanceProfile"]["Arn"].endswith("/bakeoff-worker")
    wait_for(lambda: len(epochs_of_grid(cloud)) > 10, LAUNCH_S, job, cloud.log)
    cloud.on_head("pkill -KILL -f '[l]r_grid.py'")
    assert job.wait(LAUNCH_S) != 0
    assert load_run(cloud.fetch("bakeoff/lr-grid", tmp_path / "killed"))["status"] == "running"
    before = len(epochs_of_grid(cloud))
    job = cloud.start(*cloud.submit(*words, "--name", "lr-grid", "--resume"))
    wait_for(lambda: len(epochs_of_grid(cloud)) > before + 10, LAUNCH_S, job, cloud.log)
    cloud.terminate(first)
    recover(job, cloud.log, lambda: epochs_of_grid(cloud))
    assert_as_expected(cloud.fetch("bakeoff/lr-grid", tmp_path / "finished"), expected)
    assert cloud.of_type("gpu")


def test_a_search_scales_up_to_max_workers(cloud, tmp_path):
    words = ["--image-size", 8, "--trials", 8, "--epochs", 9, "--storage-path", STORAGE]
    job = cloud.start(*cloud.submit(*words, "--gpus-per-trial", 1, job="optuna_search"))
    wait_for(lambda: len(cloud.of_type("gpu")) == MOST["max_workers"], LAUNCH_S, job, cloud.log)
    assert job.wait(300) == 0, cloud.log.read_text()[-3000:]
    run = cloud.fetch("bakeoff/optuna-search", tmp_path)
    assert load_run(run)["status"] == "finished"
    assert len(load_trials(run)) == 8


def test_the_laptop_reads_and_compares_what_the_bucket_holds(cloud, expected, tmp_path):
    run, copy = f"{STORAGE}/lr-grid", cloud.fetch("bakeoff/lr-grid", cloud.share / "copy")
    column = f"load_trials({run!r}).set_index('trial')['weights_sha256']"
    read = f"from tune_jobs.analysis.results import load_trials; print({column}.to_json())"
    hashes = expected[1].set_index("trial")["weights_sha256"]
    assert json.loads(cloud.laptop("python", "-c", read).stdout) == hashes.to_dict()
    compare = ("python", "tune_jobs/compare.py")
    cloud.laptop(*compare, run, "--output", f"{STORAGE}/comparison")
    cloud.laptop(*compare, copy, "--output", cloud.share / "comparison")
    there = load_comparison(cloud.fetch("bakeoff/comparison", tmp_path))
    here = load_comparison(cloud.share / "comparison")
    assert there["accuracy"].tolist() == here["accuracy"].tolist()
    listed = cloud.s3.list_objects_v2(Bucket="bucket", Prefix="bakeoff/.test-openings/")
    assert listed["KeyCount"]


def test_a_bucket_that_is_not_there_is_one_message(cloud):
    words = (*GRID, "--storage-path", "s3://nowhere/runs")
    refused = cloud.laptop("python", "tune_jobs/lr_grid.py", *words, check=False)
    assert refused.returncode == 2
    assert "Bucket 'nowhere' not found" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_machines_without_trials_go_and_ray_down_leaves_none(cloud):
    wait_for(lambda: len(cloud.instances()) == 1, 2 * LAUNCH_S)
    cloud.laptop("ray", "down", "-y", cloud.config)
    assert not cloud.instances()


def test_the_head_needs_no_more_than_its_policy_allows(cloud):
    policy = json.loads((ROOT / "docs" / "aws" / "head-policy.json").read_text())
    allowed = {a.split(":")[1] for s in policy["Statement"] for a in s["Action"]}
    assert "RunInstances" in cloud.asked[HEAD]
    assert cloud.asked[HEAD] <= allowed
