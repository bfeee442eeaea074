"""A grid on a real cluster of four hosts, which lose power or network one after the other.

The tests share one cluster and run in order.
"""

import time

import pytest

from tests.cluster.grids import GRID, LONG, assert_as_expected, recover, wait_for
from tune_jobs.analysis.results import load_epochs

pytestmark = pytest.mark.cluster


def done_epochs(run):
    return len(load_epochs(run)) if (run / "epochs.parquet").exists() else 0


def start(hosts, folder, *words):
    storage = hosts.share / folder
    job = hosts.start(*hosts.submit(*GRID, "--epochs", LONG, "--storage-path", storage, *words))
    return job, storage / "lr-grid"


def in_the_middle(hosts, job, run, nodes):
    """Wait until so many nodes have a trial, with more than 20 of the 120 epochs."""

    def far():
        return done_epochs(run) > 20 and load_epochs(run)["trial"].nunique() >= nodes

    wait_for(far, 180, job, hosts.log)


def finish(hosts, job):
    assert job.wait(300) == 0, hosts.log.read_text()[-3000:]


def test_a_grid_on_several_hosts_is_that_of_one_machine(hosts, expected):
    job, run = start(hosts, "several")
    finish(hosts, job)
    assert_as_expected(run, expected)


def test_the_nodes_of_a_cluster_agree_with_the_laptop(hosts):
    versions = hosts.laptop("python", "-m", "tune_jobs.cluster", "versions").stdout.strip()
    asked = f"--storage-path {hosts.share} --data digits --expect {versions}"
    printed = hosts.on_head(f"ray status && python -m tune_jobs.cluster doctor {asked}").stdout
    assert "Active" in printed
    assert "4 of 4 nodes agree with your machine" in printed


def test_a_submitted_job_logs_its_progress_and_says_that_the_cluster_is_up(hosts):
    job_submit = (
        "ray job submit --address http://127.0.0.1:8265 -- "
        "python bakeoff/tune_jobs/lr_grid.py --address auto --smoke-test --lr 1e-3"
    )
    logged = hosts.on_head(f"{job_submit} --storage-path {hosts.share}").stdout
    assert "0/2 epochs  starting workers" in logged
    assert "Written to" in logged
    refused = hosts.on_head(job_submit, check=False).stdout
    assert "cannot be read by node" in refused
    assert "is still up" in refused


@pytest.mark.parametrize(
    ("how", "nodes"),
    [(("kill", "h7"), 3), (("link", "h6", "down"), 2)],
    ids=["power", "cable"],
)
def test_trials_of_a_lost_worker_resume_elsewhere(how, nodes, hosts, expected):
    job, run = start(hosts, how[0])
    in_the_middle(hosts, job, run, nodes)
    hosts(*how)
    recover(job, hosts.log, lambda: load_epochs(run))
    assert_as_expected(run, expected)


def test_a_run_whose_head_died_resumes_on_a_new_cluster(hosts, expected):
    job, run = start(hosts, "head")
    in_the_middle(hosts, job, run, 1)
    hosts("kill", "h4")
    died, before = time.monotonic(), done_epochs(run)
    job.kill()
    job.wait()
    hosts.down()
    hosts.up(workers=2)
    job, run = start(hosts, "head", "--name", "lr-grid", "--resume")
    wait_for(lambda: done_epochs(run) > before, 180, job, hosts.log)
    print(f"the run stood still for {time.monotonic() - died:.0f} s")  # noqa: T201
    finish(hosts, job)
    assert_as_expected(run, expected)
    hosts.laptop("ray", "down", "-y", hosts.config)
