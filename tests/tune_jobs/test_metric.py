"""Runs that are selected by another metric than accuracy, from the command line to the report."""

import json
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from PIL import Image
from ray.tune.schedulers import TrialScheduler

from tests.tune_jobs.conftest import command_line
from tests.tune_jobs.runs import edit_record, write_run
from trainables.config import TrialConfig
from trainables.target import TARGETS
from tune_jobs.analysis.results import load_comparison, load_epochs, load_run, load_trials
from tune_jobs.command_line.options import DataOptions, JobOptions
from tune_jobs.compare import compare
from tune_jobs.search.warm_start import warm_start
from tune_jobs.search_space.space import Parameter
from tune_jobs.tuning.schedulers import build_scheduler

pytestmark = pytest.mark.usefixtures("undrawn")

CAT = "always 'cat' would score 80.00%"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Eighty cats and twenty dogs."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for name, count, brightness in (("cat", 80, 0), ("dog", 20, 30)):
        (folder / name).mkdir()
        for i in range(count):
            pixels = brightness + generator.integers(0, 200, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


def assert_best_is(metric, run):
    """Check that the table has the best epoch of each trial, and best/ the best trial."""
    trials, epochs = load_trials(run), load_epochs(run)
    target = TARGETS[metric]
    best = np.min if target.mode == "min" else np.max
    for trial, rows in epochs.groupby("trial"):
        (row,) = trials[trials["trial"] == trial].to_dict("records")
        value = best(rows[target.column])
        assert row[target.best] == value
        assert row["best/epoch"] == rows.loc[rows[target.column] == value, "epoch"].iloc[0]
    about = json.loads((run / "best" / "model.json").read_text())
    assert about["metric"] == metric
    assert about[target.column] == best(trials[target.best])
    return trials


def test_a_grid_is_selected_by_its_metric(local_ray, command, photos, tmp_path, capfd):
    weights = tmp_path / "weights.json"
    weights.write_text('{"cat": 1, "dog": 4}')
    options = ["--data", photos, "--image-size", 8, "--lr", "1e-2", "1e-4", "--epochs", 4]
    metric = ["--metric", "log_loss", "--class-weights", weights]
    named = ["--storage-path", tmp_path, "--name", "grid"]
    assert command(*options, *metric, *named, "--scheduler", "asha") == 0
    trials = assert_best_is("log_loss", tmp_path / "grid")
    assert set(trials["config/metric"]) == {"log_loss"}
    assert set(trials["config/class_weights"]) == {'{"cat": 1, "dog": 4}'}
    printed = " ".join(capfd.readouterr().out.split())
    assert "with validation log-loss" in printed
    assert CAT in printed
    weights.unlink()  # its content is in the run
    assert command(*named, "--resume") == 0


def test_class_weights_of_other_classes_are_refused(
    local_ray, command, photos, tmp_path, assert_one_message
):
    weights = tmp_path / "weights.json"
    weights.write_text('{"cat": 1, "horse": 4}')
    options = ["--data", photos, "--storage-path", tmp_path, "--class-weights", weights]
    assert command(*options) == 2
    assert_one_message(["'horse'", "classes of the images ('cat', 'dog')"])


@pytest.mark.parametrize("scheduler", ["asha", "pbt"])
def test_a_search_minimises_a_loss(scheduler, local_ray, search, photos, tmp_path):
    (tmp_path / "space.yaml").write_text("lr: {low: 1e-4, high: 1e-1, log: true}\n")
    options = ["--data", photos, "--image-size", 8, "--trials", 4, "--epochs", 4]
    options += ["--scheduler", scheduler, "--space", tmp_path / "space.yaml"]
    assert search(*options, "--metric", "log_loss", "--name", "s", "--storage-path", tmp_path) == 0
    run = tmp_path / "s"
    trials = assert_best_is("log_loss", run).set_index("trial")
    assert load_run(run)["search"]["objectives"] == {"log_loss": "min"}
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{run}/optuna.db")
    assert study.direction.name == "MINIMIZE"
    for trial in study.trials:
        if trial.state.name == "COMPLETE":
            assert trial.value == trials.loc[f"trial-{trial.number:03d}", "best/val_log_loss"]
    for name in ("history", "pruning", "slices"):
        assert (run / "figures" / f"{name}.png").exists()


def test_asha_stops_the_higher_loss():
    training = TrialConfig(lr=1, epochs=9, metric="log_loss")
    asha = build_scheduler(JobOptions(scheduler="asha", training=training), {})
    decisions = {}
    for number, loss in enumerate((0.2, 0.1, 0.3, 0.9)):
        trial = SimpleNamespace(trial_id=str(number))
        asha.on_trial_add(None, trial)
        result = {"epoch": 1, "val_log_loss": loss}
        decisions[loss] = asha.on_trial_result(None, trial, result)
    assert decisions[0.9] == TrialScheduler.STOP
    assert decisions[0.1] == TrialScheduler.CONTINUE


# Runs with and without the metric


SMALL = {"epochs": 3, "batch_size": 16, "precision": "fp32"}
ARGS = {"widths": [4], "hidden_units": 8}


def write_photos(path, photos, metric):
    configs = {
        f"lr={lr:g}": TrialConfig(lr=lr, metric=metric, model_args=ARGS, **SMALL)
        for lr in (1e-2, 1e-4)
    }
    return write_run(path, configs, DataOptions(data=str(photos), image_size=(8,)))


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("trainables.costs.LATENCY_RUNS", 5)
    monkeypatch.setattr("trainables.costs.THROUGHPUT_BATCH", 8)


def test_a_comparison_is_by_the_metric_of_its_runs(photos, tmp_path, quick, capfd):
    run = write_photos(tmp_path / "runs" / "grid", photos, "macro_f1")
    assert command_line(compare)(run, "--every-trial", "--output", tmp_path / "out") == 0
    frame = load_comparison(tmp_path / "out")
    chosen = frame[frame["chosen"]].iloc[0]
    assert chosen["validation_macro_f1"] == frame["validation_macro_f1"].max()
    for name in ("balanced_accuracy", "macro_f1", "log_loss"):
        assert chosen[f"{name}/low"] <= chosen[name] <= chosen[f"{name}/high"]
    assert 0 <= chosen["auroc"] <= 1
    printed = " ".join(capfd.readouterr().out.split())
    report = (tmp_path / "out" / "report.md").read_text()
    card = (tmp_path / "out" / "model" / "README.md").read_text()
    for text in (printed, report, card):
        assert CAT in text.replace("\\", "")
        assert "chosen by validation macro-F1" in text
        assert "are about accuracy" in text


def test_runs_of_two_metrics_are_not_compared(photos, tmp_path, assert_one_message):
    runs = [
        write_photos(tmp_path / "runs" / metric, photos, metric)
        for metric in ("accuracy", "macro_f1")
    ]
    assert command_line(compare)(*runs, "--output", tmp_path / "out") == 2
    assert_one_message(["differ in metric", f"{runs[0]} (", ", by accuracy)", ", by macro-F1)"])
    training = load_run(runs[0])["options"]["training"]
    del training["metric"]  # as version 0.1 wrote it
    edit_record(runs[0], options=load_run(runs[0])["options"] | {"training": training})
    assert command_line(compare)(*runs, "--output", tmp_path / "out") == 2


def test_trials_selected_by_another_metric_are_not_added_to_a_study(photos, tmp_path):
    run = write_photos(tmp_path / "runs" / "grid", photos, "accuracy")
    space = {"lr": Parameter(name="lr", kind="float", low=1e-4, high=1e-2, log=True)}
    lines = {}
    for metric in ("accuracy", "log_loss"):
        base = TrialConfig(lr=1, metric=metric, model_args=ARGS, image_size=8, **SMALL)
        study = SimpleNamespace(
            optuna_study=optuna.create_study(),
            space=space,
            base=base,
            bases={"cnn": base},
            objectives={metric: "max"},
            constraints=(),
        )
        (lines[metric],) = warm_start(study, [str(run)], load_run(run), False)
    assert "2 trials added to the study, 0 settings" in lines["accuracy"]
    assert "0 trials added to the study, 2 settings" in lines["log_loss"]
