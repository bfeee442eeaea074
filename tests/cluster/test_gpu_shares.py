"""Fractional GPUs that Ray is configured with, on a machine without any."""

import os
from collections import Counter

import pytest
import ray

from tests.tune_jobs.conftest import command_line
from tune_jobs import finetune
from tune_jobs.analysis.results import load_trials

pytestmark = pytest.mark.cluster
run = command_line(finetune.finetune)


@pytest.fixture
def seen(tmp_path, monkeypatch, forked_workers):
    """Start a local Ray with eight cores and two fake GPUs; yield the folder of what trials saw."""
    folder = tmp_path / "seen"
    folder.mkdir()
    monkeypatch.setenv("SEEN", str(folder))  # before Ray starts, so that workers inherit it
    ray.init("local", num_cpus=8, num_gpus=2, include_dashboard=False, log_to_driver=False)
    yield folder
    ray.shutdown()


def test_four_trials_share_a_gpu_and_see_no_other(seen, tmp_path):
    rates = [10**-i for i in range(1, 9)]
    # Enough epochs that the first trial still trains when the last begins.
    code = run(
        "--epochs", 20, "--models", "tests.nets:watched", "--weights", "none", "--lr", *rates,
        "--image-size", 8, "--gpus-per-trial", 0.25, "--storage-path", tmp_path,
    )  # fmt: skip
    assert code == 0
    assert len(load_trials(tmp_path / "finetune")) == 8
    (seen / str(os.getpid())).unlink()  # of this process, which inspects the model first
    devices = Counter(file.read_text() for file in seen.iterdir())
    assert set(devices) == {"0", "1"}
    assert max(devices.values()) <= 4
