import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import ray
import torch
from safetensors.torch import save

from tests import nets
from tests.tune_jobs.conftest import command_line
from tests.tune_jobs.runs import edit_trials, openings, write_run
from trainables import subsets
from trainables.config import TrialConfig
from trainables.errors import InputError
from tune_jobs.analysis.comparison.candidates import load_runs
from tune_jobs.analysis.comparison.choice import winners
from tune_jobs.analysis.results import (
    load_comparison,
    load_learning_curve,
    load_predictions,
    load_trials,
)
from tune_jobs.compare import compare
from tune_jobs.run_folder.folder import TRIALS_FILE, RunFolder
from tune_jobs.run_folder.schema import config_of
from tune_jobs.test_set.job import Contender, by_seeds
from tune_jobs.test_set.retraining import first_seed, run_name
from tune_jobs.tuning import job
from tune_jobs.tuning.pilot import Plan

pytestmark = pytest.mark.usefixtures("undrawn")

run = command_line(compare)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("trainables.costs.LATENCY_RUNS", 5)
    monkeypatch.setattr("trainables.costs.THROUGHPUT_BATCH", 8)


def chosen(runs):
    return winners(load_runs([str(runs / "lr-grid"), str(runs / "finetune")]))


def test_winners_are_trained_again_with_seeds_of_their_own(
    local_ray, runs, tmp_path, monkeypatch, capfd
):
    out = tmp_path / "out"
    edit_trials(runs / "finetune", lambda row: row | (
        {"status": "failed"} if row["trial"] == "tiny,scratch" else {}))  # fmt: skip
    assert run(runs / "lr-grid", runs / "finetune", "--output", out, "--seeds", 2) == 0
    frame = load_comparison(out)
    for model, rows in frame.groupby("model"):
        winner, seeds = (rows[rows["role"] == role] for role in ("winner", "seed"))
        assert seeds["seed"].tolist() == [1, 2]  # no trial had those
        (winner,) = winner.to_dict("records")
        assert winner["seeds/count"] == 2
        assert winner["seeds/mean"] == pytest.approx(seeds["accuracy"].mean())
        assert winner["seeds/deviation"] == pytest.approx(seeds["accuracy"].std())
        settings = [name for name in rows if name.startswith("config/") and name != "config/seed"]
        assert len(rows[settings].astype(str).drop_duplicates()) == 1, model
    assert len(openings(runs)[0]["models"]) == 6
    # More seeds train what is missing, and nothing twice.
    trained = {path: path.stat().st_mtime_ns for path in out.glob("seeds/*/seed=*/*/*")}
    before = load_predictions(out).query("seed == 1 and model == 'custom CNN'")
    assert run(runs / "lr-grid", "--output", out, "--seeds", 3) == 0
    assert (
        trained.items()
        <= {path: path.stat().st_mtime_ns for path in out.glob("seeds/*/seed=*/*/*")}.items()
    )
    assert load_comparison(out).query("role == 'seed'")["seed"].tolist() == [1, 2, 3]
    after = load_predictions(out).query("seed == 1")
    np.testing.assert_array_equal(np.stack(before["logits"]), np.stack(after["logits"]))
    assert "## Variation over random seeds" in (out / "report.md").read_text()
    assert "chosen by mean validation accuracy over 3 seeds" in (out / "report.md").read_text()
    # The learning curve takes the trainings on all images from there, and leaves them as they are.
    monkeypatch.setattr(subsets, "SIZES", 3)
    arguments = [runs / "lr-grid", "--output", out, "--seeds", 3, "--learning-curve"]
    capfd.readouterr()
    assert run(*arguments, "--plan") == 0
    assert "6 trials of 4 epochs" in capfd.readouterr().out
    assert not (out / "learning_curve.parquet").exists()
    assert run(*arguments) == 0
    assert (
        trained.items()
        <= {path: path.stat().st_mtime_ns for path in out.glob("seeds/*/seed=*/*/*")}.items()
    )
    curve = load_learning_curve(out)
    assert sorted(curve["train_size"].value_counts().to_dict().values()) == [1, 3, 3, 3]
    assert curve["seed"].dropna().value_counts().to_dict() == {1: 3, 2: 3, 3: 3}
    of_seeds = load_comparison(out).query("role == 'seed'")["validation_accuracy"]
    whole = curve[curve["train_size"] == curve["train_size"].unique()[0]]
    assert (1 - whole["validation_error"]).tolist() == pytest.approx(of_seeds.tolist())
    assert len(openings(runs)) == 3
    assert max(len(entry["models"]) for entry in openings(runs)) == 6  # none of the curve
    assert "Data efficiency" in (out / "report.md").read_text()
    assert "With twice the" in capfd.readouterr().out.replace("\n", " ")
    # A comparison without it in the same folder leaves no table of an earlier one.
    assert run(*arguments[:-1]) == 0
    with pytest.raises(InputError, match="--learning-curve"):
        load_learning_curve(out)
    # A retrained model is the one that the run with that seed would have trained.
    (name,) = (path.name for path in (out / "seeds").glob("custom-CNN-*"))
    rows = load_trials(out / "seeds" / name).to_dict("records")
    winner = next(c for c in chosen(runs) if c.family == "custom CNN")
    configs = [config_of(row) for row in rows]
    assert configs[:3] == [dataclasses.replace(winner.config, seed=seed) for seed in (1, 2, 3)]
    assert all(dataclasses.replace(each, train_size=None) in configs[:3] for each in configs[3:])


def test_other_weights_than_those_of_the_winner_are_refused(
    local_ray, trained_runs, runs, tmp_path, assert_one_message
):
    file = trained_runs / "tiny.safetensors"
    content = file.read_bytes()
    torch.manual_seed(1)
    try:
        file.write_bytes(save(nets.tiny(5).state_dict()))
        assert run(runs / "finetune", "--seeds", 2, "--output", tmp_path / "out") == 2
    finally:
        file.write_bytes(content)
    assert_one_message(["tiny.safetensors", "leave --seeds out"])
    assert openings(runs) == []


def test_an_interrupted_retraining_leaves_the_test_set_sealed(runs, tmp_path, monkeypatch):
    interrupted = SimpleNamespace(record={"status": "interrupted"})
    monkeypatch.setattr(job, "train", lambda *_: interrupted)
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    assert run(runs / "lr-grid", "--seeds", 2, "--output", tmp_path / "out") == 130
    assert openings(runs) == []


def test_plans_of_several_winners_are_added_up(runs, tmp_path, monkeypatch, capfd):
    plan = Plan(trials=2, epochs=1, share=1.0, slots=1, at_once=1, start_s=10.0, epoch_s=25.0,
                checkpoint_mb=1.0, memory_mb={})  # fmt: skip
    started = []

    def train(command, make_strategy, console):
        started.append(command.started)
        return plan

    monkeypatch.setattr(job, "train", train)
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    arguments = (runs / "lr-grid", runs / "finetune", "--seeds", 2, "--plan")
    assert run(*arguments, "--output", tmp_path / "out") == 0
    assert len(set(started)) == len(started) == 3  # none has the time of those before it
    assert "Wall time of all, one after another: 3.0 min" in capfd.readouterr().out
    assert openings(runs) == []


def test_a_seed_that_diverged_after_its_first_epochs_is_no_part_of_a_mean(
    runs, tmp_path, monkeypatch, assert_one_message
):
    def train(command, make_strategy, console):
        options = command.options
        path = tmp_path / "out" / "seeds" / options.run.name
        write_run(path, make_strategy(None).known, options.data, options.job)
        edit_trials(path, lambda row: row | (
            {"status": "diverged"} if row["trial"] == "seed=2" else {}))  # fmt: skip
        rows = {row["trial"]: row for row in RunFolder.at(path).read_rows(TRIALS_FILE)}
        this = SimpleNamespace(recorder=SimpleNamespace(rows=rows))
        return SimpleNamespace(run=this, record={"status": "finished"})

    monkeypatch.setattr(job, "train", train)
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    assert run(runs / "lr-grid", "--seeds", 2, "--output", tmp_path / "out") == 2
    assert_one_message(["custom CNN", "(seed=2 diverged)", "leave --seeds out"])
    assert openings(runs) == []


def test_seeds_begin_above_those_that_were_tried(runs):
    (winner, *_) = found = load_runs([str(runs / "lr-grid")])
    candidate = winners(found)[0]
    assert first_seed(candidate, found) == 1
    winner.trials.loc[0, "config/seed"] = 41
    assert first_seed(candidate, found) == 42


def test_the_folder_is_of_the_settings(runs):
    candidate = chosen(runs)[0]
    other_seed = dataclasses.replace(candidate.config, seed=9)
    assert run_name(dataclasses.replace(candidate, config=other_seed)) == run_name(candidate)
    other = dataclasses.replace(candidate, config=TrialConfig(lr=0.5))
    assert run_name(other) != run_name(candidate)


def test_models_of_another_split_are_in_another_folder(runs):
    """The training images of one split may be test images of another."""
    candidate = chosen(runs)[0]
    record = candidate.run.record
    changed = record | {"split": record["split"] | {"seed": 1, "fingerprint": "another"}}
    other = dataclasses.replace(candidate, run=dataclasses.replace(candidate.run, record=changed))
    assert run_name(other) != run_name(candidate)


def test_the_choice_is_by_the_mean_validation_score_of_the_seeds(runs):
    first, second = chosen(runs)[:2]

    def model(candidate, score):
        row = candidate.row | {"best/val_accuracy": score}
        return SimpleNamespace(candidate=dataclasses.replace(candidate, row=row))

    def contender(candidate, *scores):
        return Contender(model(candidate, 0.9), [model(candidate, score) for score in scores])

    lucky, steady = contender(first, 0.9, 0.5), contender(second, 0.8, 0.8)
    assert by_seeds([lucky, steady]) == [steady, lucky]
    bare = contender(second)
    assert by_seeds([lucky, bare]) == [lucky, bare]


def test_a_class_of_few_images_is_refused_before_anything_is_trained(
    runs, tmp_path, monkeypatch, assert_one_message
):
    monkeypatch.setattr(subsets, "LEAST_IMAGES", 100)
    out = tmp_path / "out"
    assert run(runs / "lr-grid", "--learning-curve", "--output", out) == 2
    assert_one_message(["images to train on", "needs 400 or more", "leave --learning-curve out"])
    assert openings(runs) == []
