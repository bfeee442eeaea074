"""A grid on a real cluster of three hosts, which lose power or network."""

import time

import pytest

from tests.cluster.grids import GRID, LONG, assert_as_expected, recover, wait_for
from tune_jobs.analysis.results import load_epochs

pytestmark = pytest.mark.cluster


def done_epochs(run):
    return len(load_epochs(run)) if (run / "epochs.parquet").exists() else 0


def start(hosts, *words):
    wait_for(lambda: alive(hosts) == 3, 60)
    storage = hosts.share / "runs"
    job = hosts.start(*hosts.submit(*GRID, "--epochs", LONG, "--storage-path", storage, *words))
    return job, storage / "lr-grid"


def in_the_middle(hosts, job, run):
    wait_for(lambda: done_epochs(run) > 20, 90, job, hosts.log)


def finish(hosts, job):
    assert job.wait(300) == 0, hosts.log.read_text()[-3000:]


def alive(hosts):
    return hosts.on_head("ray list nodes", check=False).stdout.count("ALIVE")


def test_a_grid_on_three_hosts_is_that_of_one_machine(hosts, expected):
    job, run = start(hosts)
    finish(hosts, job)
    assert_as_expected(run, expected)
    versions = hosts.laptop("python", "-m", "tune_jobs.cluster", "versions").stdout.strip()
    asked = f"--storage-path {hosts.share} --data digits --expect {versions}"
    healthy = hosts.on_head(f"python -m tune_jobs.cluster doctor {asked}")
    assert "3 of 3 nodes agree with your machine" in healthy.stdout
    assert "Active" in hosts.on_head("ray status").stdout
    job_submit = (
        "ray job submit --address http://127.0.0.1:8265 -- "
        "python bakeoff/tune_jobs/lr_grid.py --address auto --smoke-test"
    )
    logged = hosts.on_head(f"{job_submit} --storage-path {hosts.share}").stdout
    assert "0 of 10 epochs  starting workers" in logged
    assert "Written to" in logged
    refused = hosts.on_head(job_submit, check=False).stdout
    assert "cannot be read by node" in refused
    assert "is still up" in refused
    hosts.laptop("ray", "down", "-y", hosts.config)


@pytest.mark.parametrize("how", [("kill", "h6"), ("link", "h6", "down")], ids=["power", "cable"])
def test_trials_of_a_lost_worker_resume_elsewhere(how, hosts, expected):
    job, run = start(hosts)
    in_the_middle(hosts, job, run)
    hosts(*how)
    recover(job, hosts.log, lambda: load_epochs(run))
    assert_as_expected(run, expected)


def test_a_run_whose_head_died_resumes_on_a_new_cluster(hosts, expected):
    job, run = start(hosts)
    in_the_middle(hosts, job, run)
    hosts("kill", "h4")
    died, before = time.monotonic(), done_epochs(run)
    job.kill()
    job.wait()
    hosts.down()
    hosts.up()
    job, run = start(hosts, "--name", "lr-grid", "--resume")
    wait_for(lambda: done_epochs(run) > before, 90, job, hosts.log)
    print(f"the run stood still for {time.monotonic() - died:.0f} s")  # noqa: T201
    finish(hosts, job)
    assert_as_expected(run, expected)
