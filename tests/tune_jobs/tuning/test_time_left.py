import time

import pytest

from trainables.config import TrialConfig
from tune_jobs.ray_runtime.epoch_progress import Progress
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.tuning.recorder import Recorder
from tune_jobs.tuning.time_left import TimeLeft


@pytest.fixture
def left(tmp_path):
    """Time left of a run of two trials of ten epochs, one of them of a larger network."""
    recorder = Recorder(RunFolder.at(tmp_path))
    for name, model in (("small", "custom_cnn"), ("large", "resnet18")):
        recorder.configs[name] = TrialConfig(lr=1e-3, epochs=10, model=model)
        recorder.rows[name], recorder.epochs[name] = {"status": "running"}, {}
    return TimeLeft(recorder, lambda: 2, trials=2)


def train(left, trial, epochs, seconds):
    for epoch in range(1, epochs + 1):
        left.recorder.epochs[trial][epoch] = {}
        left.add_epoch(trial, seconds)


def test_short_and_long_epochs_are_kept_apart(left):
    train(left, "small", 9, seconds=1)
    train(left, "large", 1, seconds=60)
    done, epochs, seconds = left.estimate()
    assert (done, epochs) == (10, 10)
    assert seconds == 9 * 60  # the slot beside it does not make the large network faster


def test_a_trial_without_an_epoch_takes_the_time_of_its_kind(left):
    train(left, "small", 10, seconds=1)
    train(left, "large", 10, seconds=60)
    for name in ("small", "large"):
        left.recorder.rows[name]["status"] = "finished"
    left.recorder.configs["other"] = TrialConfig(lr=1e-2, epochs=10, model="resnet18")
    left.recorder.rows["other"], left.recorder.epochs["other"] = {"status": "pending"}, {}
    assert left.estimate().seconds == 600


def test_an_ended_trial_leaves_its_times_to_its_kind_alone(left):
    train(left, "small", 10, seconds=1)
    left.forget("small")
    left.forget("large")  # which has none
    assert not left.own
    assert left.kinds


def test_the_first_epoch_is_estimated_by_the_images_that_it_has_seen(left, monkeypatch):
    now = time.monotonic()
    left.add_progress({"small": Progress(1, 100, 1000)})
    assert left.estimate().seconds is None
    monkeypatch.setattr(time, "monotonic", lambda: now + 20)
    left.add_progress({"small": Progress(1, 300, 1000)})
    done, epochs, seconds = left.estimate()
    assert (done, epochs) == pytest.approx((0.3, 19.7))
    assert seconds == pytest.approx(19.7 * 100 / 2, rel=0.05)


def test_a_running_epoch_is_left_whatever_schedulers_have_stopped(left):
    train(left, "small", 1, seconds=60)
    left.recorder.rows["small"]["status"] = "stopped"  # so that one epoch in ten is expected
    train(left, "large", 2, seconds=60)
    left.add_progress({"large": Progress(3, 250, 1000)})
    assert left.estimate().seconds == pytest.approx(45)


def test_messages_of_an_ended_epoch_do_not_count(left):
    train(left, "small", 2, seconds=1)
    left.add_progress({"small": Progress(2, 900, 1000)})
    assert left.fraction("small") == 0


@pytest.mark.parametrize(("computed", "expected"), [(True, 60), (False, 0)])
def test_probes_of_one_network_wait_for_its_features_once(left, computed, expected):
    recorder = left.recorder
    recorder.configs.clear(), recorder.rows.clear(), recorder.epochs.clear()
    for model in ("resnet18", "densenet121"):
        for penalty in (1.0, 0.1, 0.01):
            name = f"{model},{penalty}"
            config = TrialConfig(lr=None, mode="probe", model=model, weights="default", epochs=1)
            recorder.configs[name] = config
            recorder.rows[name], recorder.epochs[name] = {"status": "running"}, {}
    first = "resnet18,1.0"
    if computed:
        left.add_progress({first: Progress(1, 100, 1000)})
    recorder.epochs[first][1] = {}
    left.add_epoch(first, 0.0, features_s=60.0)
    recorder.rows[first]["status"] = "finished"
    assert left.estimate().seconds == expected  # of the other network
