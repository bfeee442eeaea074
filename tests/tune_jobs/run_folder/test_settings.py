"""With several random seeds, the best model is of the best setting, not the luckiest training."""

import dataclasses

import pytest

from tests.tune_jobs.runs import edit_record, edit_trials, write_tables
from trainables.config import TrialConfig
from trainables.target import ACCURACY
from tune_jobs.analysis.comparison.candidates import load_run_folder
from tune_jobs.analysis.comparison.choice import winners
from tune_jobs.analysis.results import load_run, load_runs
from tune_jobs.analysis.run_page import run_page
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.run_folder.settings import Setting, best_setting
from tune_jobs.tuning.best_model import best_row
from tune_jobs.tuning.recorder import Recorder

SCORES = {"lr=0.1,seed=0": 0.8, "lr=0.1,seed=1": 0.82, "lr=0.01,seed=0": 0.9, "lr=0.01,seed=1": 0.1}
"""Accuracy by trial: the first learning rate has the better mean, the second the best trial."""
LUCKIEST, BEST = "lr=0.01,seed=0", "lr=0.1,seed=1"


@pytest.fixture
def run(tmp_path):
    path = write_tables(tmp_path / "runs" / "lr-grid", {name: [x] for name, x in SCORES.items()})

    def change(row):
        lr, seed = (part.split("=")[1] for part in row["trial"].split(","))
        return row | {"config/lr": float(lr), "config/seed": int(seed)}

    edit_trials(path, change)
    return path


@pytest.mark.parametrize(("seeds", "best"), [(2, BEST), (1, LUCKIEST), (None, LUCKIEST)])
def test_lists_pages_and_comparisons_take_the_best_seed_of_the_best_setting(run, seeds, best):
    options = load_run(run)["options"]
    edit_record(run, options={**options, "seeds": seeds} if seeds else options)
    assert load_runs(run)["best"].tolist() == [best]
    assert f"Best: {best} with" in run_page(run)
    assert winners([load_run_folder(str(run))])[0].trial == best


def test_best_has_the_best_seed_of_the_best_setting(tmp_path):
    recorder = Recorder(RunFolder.at(tmp_path))
    for name, score in SCORES.items():
        lr, seed = (part.split("=")[1] for part in name.split(","))
        config = TrialConfig(lr=float(lr), seed=int(seed), image_size=8)
        recorder.configs[name] = dataclasses.replace(config, metric=ACCURACY.name)
        recorder.rows[name] = {
            "trial": name, "status": "finished", "epochs": 1, "checkpoint": name,
            "best/val_accuracy": score, "best/val_loss": 1.0,
        }  # fmt: skip
    assert best_row(recorder, seeds=True)["trial"] == BEST
    assert best_row(recorder)["trial"] == LUCKIEST
    recorder.rows["lr=0.1,seed=1"]["status"] = "diverged"  # a setting that lost a seed comes last
    assert best_row(recorder, seeds=True)["trial"] == LUCKIEST


def test_of_equal_settings_the_one_with_the_lower_loss_is_best():
    def row(name, loss):
        scores = {"best/val_accuracy": 0.9, "best/val_loss": loss}
        return {"trial": name, "status": "finished", "epochs": 1, **scores}

    settings = [Setting(name, [row(name, loss)], ACCURACY) for name, loss in (("a", 1), ("b", 0.5))]
    assert best_setting(settings).name == "b"
