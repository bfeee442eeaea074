"""The main job on a real local Ray, from the command line to the run folder."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import ray
import torch
from PIL import Image
from ray import tune
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.images import load_source, training_data
from tests.tune_jobs.conftest import command_line
from trainables.checkpoint import load_checkpoint
from trainables.config import TrialConfig
from trainables.data import split
from trainables.errors import InputError
from trainables.loop import fit
from trainables.metrics import EPOCH_METRICS
from trainables.models import build_model
from trainables.precision import Autocast
from trainables.prediction import predict
from trainables.preparation import Preparation
from tune_jobs.analysis.results import load_epochs, load_front, load_run, load_trials
from tune_jobs.cluster.config import ROOT
from tune_jobs.command_line.parser import parse
from tune_jobs.command_line.terminal import open_console
from tune_jobs.finetune import finetune
from tune_jobs.lr_grid import GridOptions, grid, lr_grid
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.run_folder.schema import TRIAL_SCHEMA
from tune_jobs.tuning import job
from tune_jobs.tuning.grid import Grid
from tune_jobs.tuning.sizes import sizes_of_grid

# What differs between two runs of the same training.
COSTS = ["seconds", "images_per_second", "peak_memory_mb"]
EPOCHS = 3
LONG = 24
"""Epochs, enough to kill the driver midway."""
SIZE = 16
"""Height and width in pixels at which digits are read."""


@pytest.fixture(scope="module")
def digits():
    return load_source("digits", SIZE)


@pytest.fixture(scope="module")
def data(digits):
    return training_data(digits.images, digits.labels, digits.classes)


@pytest.fixture(scope="module")
def expected(data):
    """Metrics and final weights of one learning rate, trained without Ray or interruption."""

    def train(epochs, lr=1e-3):
        weights = {}
        history = fit(
            TrialConfig(lr=lr, epochs=epochs, image_size=SIZE),
            data,
            lambda _, state: weights.update({k: v.clone() for k, v in state["model"].items()}),
        )
        return pd.DataFrame(history), weights

    return train


def same_training(rows, history):
    """Check that the epochs of a run equal a training without Ray to the bit."""
    columns = [
        name for name in ("epoch", *EPOCH_METRICS) if name not in (*COSTS, "penalty", "features_s")
    ]
    left = rows[columns].reset_index(drop=True).astype(float)
    pd.testing.assert_frame_equal(left, history[columns].astype(float), check_exact=True)


def last_state(run, trial):
    (checkpoint,) = (run / trial).glob("checkpoint_*")  # older ones were deleted
    return load_checkpoint(checkpoint)


def same_weights(left, right):
    assert left.keys() == right.keys()
    assert all(torch.equal(left[key], right[key]) for key in left)


@pytest.fixture(scope="module")
def finished(local_ray, tmp_path_factory):
    """A grid of a good learning rate, one that diverges, and one that is too low."""
    storage = tmp_path_factory.mktemp("storage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "sys.argv",
            f"lr_grid --lr 1e-3 1e38 1e-6 --epochs {EPOCHS} --storage-path {storage} "
            "--name grid".split(),
        )
        assert lr_grid() == 0
    return storage / "grid"


def test_every_trial_has_a_row_with_its_end(finished):
    trials = load_trials(finished).set_index("trial")
    assert trials["status"].to_dict() == {
        "lr=0.001": "finished", "lr=1e+38": "diverged", "lr=1e-06": "finished"
    }  # fmt: skip
    assert "epoch 1" in trials.loc["lr=1e+38", "error"]
    assert trials["epochs"].to_dict() == {"lr=0.001": EPOCHS, "lr=1e+38": 0, "lr=1e-06": EPOCHS}
    assert list(load_trials(finished).columns) == TRIAL_SCHEMA.names
    assert trials.loc["lr=0.001", "config/lr"] == 1e-3
    assert trials.loc["lr=0.001", "precision"] in ("fp32", "bf16")
    assert trials.loc["lr=0.001", "parameters"] > 100_000


def test_training_through_ray_equals_training_without_it(finished, expected):
    history, weights = expected(EPOCHS)
    epochs = load_epochs(finished)
    same_training(epochs[epochs["trial"] == "lr=0.001"], history)
    same_weights(last_state(finished, "lr=0.001")["model"], weights)


def test_the_best_model_is_rebuilt_without_the_run(finished, data):
    about = json.loads((finished / "best" / "model.json").read_text())
    assert about["trial"] == "lr=0.001"
    model = build_model(
        about["model"], len(about["classes"]), about["view"]["size"], **about["model_args"]
    )
    model.load_state_dict(load_file(finished / "best" / "model.safetensors"))
    prepare = Preparation(about["mean"], about["std"], torch.device("cpu"))
    precision = load_trials(finished)["precision"][0]
    images = torch.from_numpy(data.val_images.read())
    logits = predict(model, images, prepare, Autocast(precision, torch.device("cpu")))
    right = (logits.argmax(1).numpy() == data.val_labels).mean()
    assert right == pytest.approx(about["val_accuracy"])


def test_run_json_says_what_was_run(finished, digits):
    run = load_run(finished)
    assert run["status"] == "finished"
    assert run["dataset"]["fingerprint"] == digits.fingerprint
    assert (run["split"]["train"], run["split"]["validation"]) == (1078, 360)
    assert run["budget"] == {"trials": 3, "epochs": 3 * EPOCHS}
    assert run["versions"]["ray"] == ray.__version__
    assert run["started"] <= run["ended"]
    assert run["options"]["lr"] == [1e-3, 1e38, 1e-6]


def test_the_weights_of_every_trial_are_hashed(finished, assert_weights_are_hashed):
    assert_weights_are_hashed(finished)


def test_the_test_images_can_be_known_without_being_read(finished):
    hashes = np.load(finished / "test-images.npy")
    assert hashes.shape == (load_run(finished)["split"]["test"], 16)
    assert len(np.unique(hashes, axis=0)) == len(hashes)


def test_the_curves_are_a_picture(finished):
    with Image.open(finished / "curves.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 200


def test_tensorboard_shows_every_metric_by_epoch(finished):
    events = EventAccumulator(str(finished / "lr=0.001"))
    events.Reload()
    scalars = events.Scalars("loss/val")
    history = load_epochs(finished).query("trial == 'lr=0.001'")
    assert [event.step for event in scalars] == [1, 2, 3]
    assert [event.value for event in scalars] == pytest.approx(history["val_loss"].tolist())
    assert (
        len(events.Tags()["scalars"]) == len(EPOCH_METRICS) - 2
    )  # penalty, features_s are of probes


def test_a_grid_has_no_front(finished):
    with pytest.raises(InputError, match="a grid and not a search"):
        load_front(finished)


def test_a_name_is_not_used_twice(finished, command, capfd):
    before = {file: file.stat().st_mtime_ns for file in finished.rglob("*") if file.is_file()}
    assert command("--name", "grid", "--storage-path", finished.parent) == 2
    assert "--resume" in capfd.readouterr().err
    assert before == {f: f.stat().st_mtime_ns for f in finished.rglob("*") if f.is_file()}


def test_a_run_is_resumed_with_its_own_options_only(finished, command, capfd):
    arguments = ["--name", "grid", "--storage-path", finished.parent, "--resume"]
    assert command(*arguments, "--batch-size", "32") == 2
    assert "--batch-size 32 differs from the run's 64" in capfd.readouterr().err


def test_two_drivers_cannot_write_one_run(finished, command, capfd):
    with RunFolder.at(finished).lock():
        assert command("--name", "grid", "--storage-path", finished.parent, "--resume") == 2
    assert "another process" in capfd.readouterr().err


def test_a_run_that_another_job_has_begun_meanwhile_is_left_alone(local_ray, tmp_path, capfd):
    class Overtaken(Grid):
        def check(self, folder, record):
            folder.make()
            folder.write_json("run.json", {"status": "finished"})

    def overtaken():
        typed = parse(GridOptions, None)
        strategy = lambda found: Overtaken(sizes_of_grid(grid(typed.options), found))  # noqa: E731
        return job.run(typed, strategy, None, open_console())

    arguments = ("--lr", "1e-3", "--smoke-test", "--storage-path", tmp_path)
    assert command_line(overtaken)(*arguments) == 2
    assert "another job has started a run" in capfd.readouterr().err
    assert RunFolder.at(tmp_path / "lr-grid").read_json("run.json") == {"status": "finished"}


def test_the_first_ctrl_c_after_a_training_counts(finished):
    # Ray Tune's handler would only note it, as if trials were still to be ended.
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_resuming_a_finished_run_changes_no_result(finished, command):
    trials, epochs = load_trials(finished), load_epochs(finished)
    assert command("--name", "grid", "--storage-path", finished.parent, "--resume") == 0
    pd.testing.assert_frame_equal(load_trials(finished), trials)
    pd.testing.assert_frame_equal(load_epochs(finished), epochs)


def test_a_finished_grid_is_extended_by_rates(finished, command, tmp_path, capfd):
    shutil.copytree(finished, tmp_path / "grid")
    arguments = ["--name", "grid", "--storage-path", tmp_path, "--extend"]
    assert command(*arguments, "--lr", "1e-3", "1e-2") == 0
    before, after = load_trials(finished), load_trials(tmp_path / "grid")
    assert after["trial"].tolist() == [*before["trial"], "lr=0.01"]
    pd.testing.assert_frame_equal(after.head(len(before)), before)
    assert after["status"].tolist()[-1] == "finished"
    assert load_run(tmp_path / "grid")["options"]["lr"] == [1e-3, 1e38, 1e-6, 1e-2]
    assert command(*arguments, "--lr", "1e-3") == 2  # which it has
    assert command(*arguments) == 2
    assert "--extend adds to the --lr of the run" in capfd.readouterr().err
    assert command(*arguments, "--batch-size", "1") == 2  # also where no rate is given
    message = "--batch-size 1 differs from the run's 64, and a run is extended with its own options"
    assert message in capfd.readouterr().err


def test_a_trial_larger_than_the_cluster_is_refused(local_ray, command, capfd, tmp_path):
    assert command("--cpus-per-trial", "3", "--storage-path", tmp_path) == 2
    assert "--cpus-per-trial 3" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.faults
def test_a_killed_worker_is_replaced_and_the_result_is_the_same(
    local_ray, command, killed_worker, tmp_path, expected
):
    assert command("--lr", "1e-3", "--epochs", 4, "--storage-path", tmp_path) == 0
    assert killed_worker
    history, weights = expected(4)
    same_training(load_epochs(tmp_path / "lr-grid"), history)
    same_weights(last_state(tmp_path / "lr-grid", "lr=0.001")["model"], weights)


def test_a_failing_trial_keeps_its_row_and_the_others_continue(local_ray, tmp_path, capfd):
    networks = ["--models", "tests.nets:tiny", "tests.nets:fails", "--weights", "none"]
    arguments = ["--lr", "1e-3", "--smoke-test", "--storage-path", tmp_path]
    assert command_line(finetune)(*networks, *arguments) == 0
    trials = load_trials(tmp_path / "finetune")
    assert trials["status"].tolist() == ["finished", "failed"]
    failed = trials.iloc[1]
    assert failed["error"] == "RuntimeError: this network fails"
    text = (tmp_path / "finetune" / failed["trial"] / "traceback.txt").read_text()
    assert text.startswith("Traceback")
    assert "nets.py" in text
    assert text.endswith("RuntimeError: this network fails\nin every step of training\n")
    printed = capfd.readouterr().out
    assert "--resume" in printed
    assert "Traceback" not in printed


def test_asha_stops_what_falls_behind(local_ray, command, tmp_path):
    rates = ["1e-3", "2e-3", "1e-6", "1e-7", "2e-7", "3e-7"]
    arguments = ["--scheduler", "asha", "--epochs", 4, "--max-concurrent", 1]
    assert command("--lr", *rates, *arguments, "--storage-path", tmp_path) == 0
    trials = load_trials(tmp_path / "lr-grid").set_index("trial")
    assert trials.loc["lr=0.001", "status"] == "finished"
    stopped = trials[trials["status"] == "stopped"]
    assert len(stopped) >= 2
    assert (stopped["epochs"] < 4).all()


def start_grid(storage, *arguments):
    """Start the job in a process of its own."""
    script = ROOT / "tune_jobs" / "lr_grid.py"
    options = f"--name grid --lr 1e-3 1e-4 --storage-path {storage}".split()
    return subprocess.Popen(
        [sys.executable, script, *options, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for_epochs(run, count, job, timeout=120):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and job.poll() is None:
        if (run / "epochs.parquet").exists() and len(load_epochs(run)) >= count:
            return
        time.sleep(0.2)
    pytest.fail(f"no {count} epochs within {timeout} s: {job.communicate()[0]}")


@pytest.mark.faults
def test_a_killed_driver_leaves_a_run_that_reads_and_resumes_exactly(
    tmp_path, command, local_ray, expected, assert_weights_are_hashed
):
    job = start_grid(tmp_path, "--epochs", LONG)
    run = tmp_path / "grid"
    wait_for_epochs(run, 3, job)
    os.killpg(job.pid, signal.SIGKILL)
    assert f"--name grid --resume --storage-path {tmp_path}" in job.communicate()[0]
    trials, epochs = load_trials(run), load_epochs(run)
    assert set(trials["status"]) <= {"interrupted", "finished"}
    assert 3 <= len(epochs) < 2 * LONG
    assert command("--name", "grid", "--storage-path", tmp_path, "--resume") == 0
    assert set(load_trials(run)["status"]) == {"finished"}
    history, weights = expected(LONG)
    epochs = load_epochs(run)
    assert len(epochs) == 2 * LONG
    same_training(epochs[epochs["trial"] == "lr=0.001"], history)
    same_weights(last_state(run, "lr=0.001")["model"], weights)
    assert len(load_run(run)["resumed"]) == 1
    assert_weights_are_hashed(run)


# SIGTERM becomes SIGINT on the way, so this is Ctrl-C too.
@pytest.mark.faults
def test_an_interrupted_run_prints_the_command_that_resumes_it(
    tmp_path, command, local_ray, expected, monkeypatch
):
    # Otherwise Ray replaces 127.0.0.1, at which this cluster listens, by an interface's address.
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    cluster = ray.get_runtime_context().gcs_address
    job = start_grid(tmp_path, "--epochs", 10, "--address", cluster)
    run = tmp_path / "grid"
    wait_for_epochs(run, 1, job)
    job.send_signal(signal.SIGTERM)
    output = job.communicate(timeout=60)[0]
    assert job.returncode == 130
    assert "Traceback" not in output
    assert load_run(run)["status"] == "interrupted"
    assert "interrupted" in set(load_trials(run)["status"])
    (resume,) = [line for line in output.splitlines() if "--resume" in line]
    assert command(*resume.split()[2:]) == 0
    history, _ = expected(10)
    epochs = load_epochs(run)
    same_training(epochs[epochs["trial"] == "lr=0.001"], history)


def test_a_run_folder_that_is_deleted_as_the_run_ends_is_one_message(
    local_ray, command, monkeypatch, tmp_path, assert_one_message
):
    def fit(tuner):
        shutil.rmtree(tmp_path / "lr-grid")
        raise ValueError("No experiment snapshot file was found")  # as Ray raises then

    monkeypatch.setattr(tune.Tuner, "fit", fit)
    assert command("--lr", "1e-3", "--storage-path", tmp_path) == 2
    assert_one_message([str(tmp_path / "lr-grid"), "deleted or moved", "start the run again"])


def test_the_test_split_stays_sealed(local_ray, monkeypatch, command, tmp_path, digits):
    handed = []
    with_parameters = tune.with_parameters

    def spy(trainable, **parameters):
        handed.append(parameters)
        return with_parameters(trainable, **parameters)

    monkeypatch.setattr(tune, "with_parameters", spy)
    assert command("--lr", "1e-3", "--smoke-test", "--storage-path", tmp_path) == 0
    (parameters,) = handed
    assert set(parameters) == {"images", "weights", "send_progress"}  # nothing else reaches a trial
    assert parameters["weights"] == {}
    images, parts = parameters["images"], split(digits.dataset)
    assert len(images.train_rows) == len(images.train_labels) <= len(parts.train)
    assert len(images.val_rows) == len(images.val_labels) <= len(parts.validation)
    assert set(images.train_rows) <= set(parts.train)
    assert set(images.val_rows) <= set(parts.validation)
    # No label of a test image either: each belongs to the row that is with it.
    assert np.array_equal(images.train_labels, digits.labels[images.train_rows])
    assert np.array_equal(images.val_labels, digits.labels[images.val_rows])
    data = images.training_data(TrialConfig(lr=1e-3, image_size=SIZE))
    assert np.array_equal(data.train_images.read(), digits.images[images.train_rows])
    assert np.array_equal(data.val_images.read(), digits.images[images.val_rows])
    assert len(pickle.dumps(images)) < 0.1 * data.train_images.nbytes  # no pixels
