"""Runs, a study, a model and a comparison that version 0.1 wrote, before the rooms were laid out.

tests/data/written_by_0.1 has what these commands left, less Ray's own state, figures and reports:

    finetune.py --models tests.nets:tiny --weights none --lr 1e-2 1e38 --epochs 2
        --image-size 12 --max-concurrent 1 --name grid
    optuna_search.py --model tests.nets:tiny --space space.yaml --trials 5 --epochs 3
        --image-size 12 --max-concurrent 1 --name search --sampler random
    compare.py runs/grid runs/search --seeds 2
    finetune.py --models tests.nets:tiny --weights none --lr 1e-2 1e-3 --epochs 60
        --image-size 12 --max-concurrent 1 --name interrupted      # and Ctrl-C in epoch 19
"""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.images import load_source
from tests.tune_jobs.conftest import command_line
from trainables.saved_model import load_model
from trainables.views import View
from tune_jobs.analysis.results import (
    load_comparison,
    load_epochs,
    load_front,
    load_predictions,
    load_run,
    load_trials,
)
from tune_jobs.compare import compare
from tune_jobs.finetune import finetune
from tune_jobs.optuna_search import optuna_search
from tune_jobs.predict import predict
from tune_jobs.run_folder.schema import EPOCH_SCHEMA, TRIAL_SCHEMA, config_of

pytestmark = pytest.mark.usefixtures("undrawn")

WRITTEN = Path(__file__).parents[1] / "data" / "written_by_0.1"


@pytest.fixture
def runs(tmp_path):
    shutil.copytree(WRITTEN / "runs", tmp_path / "runs")
    return tmp_path / "runs"


@pytest.mark.parametrize("name", ["grid", "search", "interrupted"])
def test_a_run_is_read(name):
    trials, epochs = load_trials(WRITTEN / "runs" / name), load_epochs(WRITTEN / "runs" / name)
    added = set(TRIAL_SCHEMA.names) - set(trials)
    assert all(column.startswith("config/") for column in added), added
    assert list(epochs) == EPOCH_SCHEMA.names
    assert len(epochs) == trials["epochs"].sum()
    for row in trials.to_dict("records"):
        config = config_of(row)
        assert config.model == "tests.nets:tiny"
        assert config.view is None  # all images of the run had one size
        assert (config.horizontal_flip, config.rotation, config.mixup) == (None, 0, 0)
    assert load_run(WRITTEN / "runs" / name)["dataset"]["image_size"] == 12


def test_statuses_and_scores_are_as_they_were():
    grid, search = (load_trials(WRITTEN / "runs" / name) for name in ("grid", "search"))
    assert grid["status"].tolist() == ["finished", "diverged"]
    assert search["status"].tolist() == ["finished"] * 4 + ["stopped"]
    best = search.loc[search["best/val_accuracy"].idxmax()]
    assert (best["trial"], best["best/epoch"]) == ("trial-001", 3)
    assert best["best/val_accuracy"] == pytest.approx(0.6194, abs=5e-5)
    assert load_front(WRITTEN / "runs" / "search")["trial"].tolist() == ["trial-001"]


def test_a_comparison_is_read():
    models, images = (
        load_comparison(WRITTEN / "comparison"),
        load_predictions(WRITTEN / "comparison"),
    )
    assert models["role"].value_counts().to_dict() == {"seed": 2, "winner": 1}
    for row in models.to_dict("records"):
        mine = images[(images["trial"] == row["trial"]) & (images["run"] == row["run"])]
        assert len(mine) == row["images"] == 359
        assert mine["right"].mean() == pytest.approx(row["accuracy"])


def test_a_model_makes_the_logits_that_it_made():
    images = load_predictions(WRITTEN / "comparison").query("role == 'winner'")
    classifier = load_model(WRITTEN / "comparison" / "model")
    digits = load_source("digits", 12)
    logits = classifier.logits(digits.images[images["image"].to_numpy()]).numpy()
    np.testing.assert_allclose(logits, np.stack(images["logits"]), rtol=1e-4, atol=1e-4)


def test_a_model_is_used_by_its_folder(tmp_path):
    from PIL import Image

    Image.fromarray(load_source("digits", 12).images[0]).save(tmp_path / "a.png")
    table = tmp_path / "table.csv"
    model = ["--model", WRITTEN / "comparison" / "model"]
    assert command_line(predict)(tmp_path / "a.png", *model, "--output", table) == 0
    assert pd.read_csv(table)["predicted"].tolist()[0] in range(10)


def test_runs_are_compared_with_the_same_scores(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("trainables.costs.LATENCY_RUNS", 5)
    monkeypatch.setattr("trainables.costs.THROUGHPUT_BATCH", 8)
    paths = runs / "grid", runs / "search"
    assert command_line(compare)(*paths, "--output", tmp_path / "comparison") == 0
    before = load_comparison(WRITTEN / "comparison").query("role == 'winner'").iloc[0]
    after = load_comparison(tmp_path / "comparison").iloc[0]
    for column in ("trial", "accuracy", "precision", "recall", "f1"):
        assert after[column] == pytest.approx(before[column]), column
    as_trained = after["validation_accuracy/as_trained"]  # before it was scored in fp32
    assert as_trained == pytest.approx(before["validation_accuracy"])
    card = (tmp_path / "comparison" / "model" / "README.md").read_text()
    assert "RGB images, resized to 12×12 pixels" in card
    ledger = json.loads(next((runs / ".test-openings").glob("*.json")).read_text())
    assert len(ledger["openings"]) == 2  # that one, and this


def test_winners_are_trained_again_at_the_size_of_their_run(local_ray, runs, tmp_path):
    out = tmp_path / "comparison"
    assert command_line(compare)(runs / "grid", runs / "search", "--seeds", 2, "--output", out) == 0
    (winner,) = load_comparison(out).query("role == 'winner'").to_dict("records")
    (folder,) = (out / "seeds").iterdir()
    for row in load_trials(folder).to_dict("records"):
        config, before = config_of(row), config_of(first_row(runs / "search", winner["trial"]))
        assert config.view == View(12, "squash")
        assert dataclasses.replace(config, seed=0, image_size=None, resize="crop") == before
    seeds = load_comparison(out).query("role == 'seed'")
    earlier = load_comparison(WRITTEN / "comparison").query("role == 'seed'")
    # Their trainings drift apart on another type of processor, by up to 0.09 so far.
    assert seeds["accuracy"].tolist() == pytest.approx(earlier["accuracy"].tolist(), abs=0.15)


def first_row(run, trial):
    return load_trials(run).set_index("trial", drop=False).loc[trial].to_dict()


def test_an_interrupted_run_is_resumed(local_ray, runs):
    before = load_epochs(runs / "interrupted")
    named = ["--name", "interrupted", "--storage-path", runs]
    assert command_line(finetune)(*named, "--resume") == 0
    trials, epochs = load_trials(runs / "interrupted"), load_epochs(runs / "interrupted")
    assert trials["status"].tolist() == ["finished"] * 2
    assert trials["epochs"].tolist() == [60, 60]
    first = epochs[epochs["trial"] == trials["trial"][0]].head(len(before))
    pd.testing.assert_frame_equal(first.reset_index(drop=True), before)


def test_a_search_is_extended(local_ray, runs, study_of):
    before = load_trials(runs / "search")
    named = ["--name", "search", "--storage-path", runs]
    assert command_line(optuna_search)(*named, "--extend", 1) == 0
    after = load_trials(runs / "search")
    assert len(after) == 6
    # It had no effect in mode full, and would have one today.
    kept = before.columns.drop(["config/layer_decay", "stopped_by"])
    pd.testing.assert_frame_equal(after.head(5)[kept], before[kept])
    assert after["config/layer_decay"].isna().all()
    assert len(study_of(runs / "search").trials) == 6
