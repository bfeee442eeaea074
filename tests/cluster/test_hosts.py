"""The grid on a real cluster of three hosts, which lose their power or their cable."""

import subprocess
import sys
import time

import pytest

from tune_jobs.analysis.results import load_epochs, load_run, load_trials
from tune_jobs.cluster.config import ROOT

pytestmark = pytest.mark.cluster

GRID = ("--image-size", 8, "--lr", 1e-3, 3e-4, 1e-4, "--precision", "fp32")
TIMES = ["seconds", "images_per_second", "peak_memory_mb"]
LONG = 40


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The same grid on this machine alone."""
    storage = tmp_path_factory.mktemp("local")
    words = map(str, (*GRID, "--epochs", LONG, "--storage-path", storage))
    command = [sys.executable, "tune_jobs/lr_grid.py", *words]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return epochs_of(storage / "lr-grid"), load_trials(storage / "lr-grid")


def epochs_of(run):
    return load_epochs(run).drop(columns=TIMES).sort_values(["trial", "epoch"], ignore_index=True)


def assert_as_expected(run, expected):
    epochs, trials = expected
    assert load_run(run)["status"] == "finished"
    assert set(load_trials(run)["status"]) == {"finished"}
    assert epochs_of(run).equals(epochs)
    hashes = load_trials(run).set_index("trial")["weights_sha256"]
    assert hashes.equals(trials.set_index("trial")["weights_sha256"])


def wait_for(condition, seconds, job=None, log=None):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        if job is not None and job.poll() is not None:
            pytest.fail(f"the job ended before: {log.read_text()[-3000:]}")
        time.sleep(0.2)
    pytest.fail(f"not within {seconds} s")


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
    return hosts.on_head("RAY_AUTH_MODE=token ray list nodes", check=False).stdout.count("ALIVE")


def test_a_grid_on_three_hosts_is_that_of_one_machine(hosts, expected):
    job, run = start(hosts)
    finish(hosts, job)
    assert_as_expected(run, expected)
    healthy = hosts.on_head(f"python -m tune_jobs.cluster doctor --storage-path {hosts.share}")
    assert "all 3 machines agree" in healthy.stdout
    assert "Active" in hosts.on_head("RAY_AUTH_MODE=token ray status").stdout
    refused = hosts.laptop(*hosts.submit("--smoke-test"), check=False)
    assert "is not seen by" in refused.stdout
    hosts.laptop("ray", "down", "-y", hosts.config)


@pytest.mark.parametrize("how", [("kill", "h3"), ("link", "h3", "down")], ids=["power", "cable"])
def test_trials_of_a_lost_worker_go_on_elsewhere(how, hosts, expected):
    job, run = start(hosts)
    in_the_middle(hosts, job, run)
    hosts(*how)
    finish(hosts, job)
    assert_as_expected(run, expected)


def test_a_run_whose_head_died_goes_on_on_a_new_cluster(hosts, expected):
    job, run = start(hosts)
    in_the_middle(hosts, job, run)
    hosts("kill", "h1")
    job.kill()
    job.wait()
    hosts.down()
    hosts.up()
    job, run = start(hosts, "--name", "lr-grid", "--resume")
    finish(hosts, job)
    assert_as_expected(run, expected)
