"""A grid that must give the same results wherever it runs."""

import time

import pytest

from tune_jobs.analysis.results import load_epochs, load_run, load_trials

GRID = ("--image-size", 8, "--lr", 1e-3, 3e-4, 1e-4, "--precision", "fp32")
LONG = 40
"""Epochs, enough to interrupt the run midway."""
TIMES = ["seconds", "images_per_second", "peak_memory_mb"]


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


def recover(job, log, read_epochs):
    """Wait for the end of a job that has lost a node, and print the longest stall of a trial."""
    reached, since, longest = {}, {}, 0.0
    end = time.monotonic() + 300
    while job.poll() is None:
        now = time.monotonic()
        assert now < end, log.read_text()[-3000:]
        for trial, epoch in read_epochs().groupby("trial")["epoch"].max().items():
            if reached.get(trial) != epoch:
                longest = max(longest, now - since.get(trial, now))
                reached[trial], since[trial] = epoch, now
        time.sleep(0.2)
    assert job.returncode == 0, log.read_text()[-3000:]
    print(f"a trial stood still for {longest:.0f} s")  # noqa: T201
