import json
import re
import shutil

import duckdb
import numpy as np
import pandas as pd
import polars
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn import metrics

from tests.images import load_source
from tests.tune_jobs.conftest import command_line
from tests.tune_jobs.runs import QUIET, edit_record, edit_trials, openings, write_run
from trainables.checkpoint import BEST_FILE
from trainables.config import TrialConfig
from trainables.corruptions import corrupt
from trainables.errors import InputError
from trainables.saved_model import describe_model, load_model, rebuild
from tune_jobs.analysis.comparison.calibration import fit_temperature
from tune_jobs.analysis.comparison.candidates import load_runs
from tune_jobs.analysis.comparison.rejection import risk_thresholds
from tune_jobs.analysis.comparison.statistics import wilson
from tune_jobs.analysis.results import (
    load_comparison,
    load_doubtful_labels,
    load_predictions,
    load_robustness,
    load_run,
)
from tune_jobs.command_line.options import DataOptions
from tune_jobs.compare import compare
from tune_jobs.run_folder.schema import config_of
from tune_jobs.test_set import evaluation
from tune_jobs.test_set.labels import training_labels
from tune_jobs.tuning.data import load_data_of_run

pytestmark = pytest.mark.usefixtures("undrawn")

run = command_line(compare)
WINNERS = {"custom CNN", "custom tests.nets:tiny", "pretrained tests.nets:tiny"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("trainables.costs.LATENCY_RUNS", 10)
    monkeypatch.setattr("trainables.costs.THROUGHPUT_BATCH", 32)


@pytest.fixture(scope="module")
def compared(trained_runs, tmp_path_factory):
    """Both runs compared, every trial scored."""
    folder = tmp_path_factory.mktemp("compared")
    shutil.copytree(trained_runs, folder / "runs")
    paths = folder / "runs" / "lr-grid", folder / "runs" / "finetune"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainables.costs.BUSY", 2)  # tests run beside one another
        # Other modules may have cached features of the same images.
        patch.setenv("XDG_CACHE_HOME", str(folder / ".cache"))
        given = "--every-trial", "--robustness", "--price-per-hour", 2
        code = run(*paths, *given, "--output", folder / "out")
    assert code == 0
    return folder


def test_the_best_of_each_family_on_validation_takes_part(compared):
    frame = load_comparison(compared / "out")
    winners = frame[frame["role"] == "winner"]
    assert set(winners["model"]) == WINNERS
    assert winners["chosen"].tolist() == [True, False, False]
    assert winners["validation_accuracy"].is_monotonic_decreasing
    for model, rows in frame.groupby("model"):
        best = rows.loc[rows["validation_accuracy"].idxmax()]
        assert (
            best["validation_accuracy"] == winners.set_index("model")["validation_accuracy"][model]
        )
    assert len(frame) == 6
    assert frame["role"].value_counts().to_dict() == {"winner": 3, "trial": 3}


def test_scores_are_those_of_scikit_learn_on_the_predictions(compared):
    frame, predictions = (load(compared / "out") for load in (load_comparison, load_predictions))
    for row in frame.to_dict("records"):
        mine = predictions[predictions["trial"] == row["trial"]]
        labels, predicted = mine["label"].astype(str), mine["predicted"].astype(str)
        assert row["accuracy"] == pytest.approx(metrics.accuracy_score(labels, predicted))
        scores = metrics.precision_recall_fscore_support(
            labels, predicted, average="weighted", zero_division=0
        )
        assert [row[name] for name in ("precision", "recall", "f1")] == pytest.approx(scores[:3])
        for name in ("accuracy", "precision", "f1"):
            assert row[f"{name}/low"] <= row[name] <= row[f"{name}/high"]
            assert row[f"{name}/low"] < row[f"{name}/high"]


def test_predictions_are_those_of_the_weights_in_the_run(compared):
    predictions = load_predictions(compared / "out")
    data = load_data_of_run(load_run(compared / "runs/lr-grid"), QUIET)
    mine = predictions[predictions["trial"] == "lr=0.001"]
    assert mine["image"].tolist() == data.split.test.tolist()
    assert mine["label"].astype(int).tolist() == data.dataset.labels[data.split.test].tolist()
    logits = np.stack(mine["logits"])
    assert (logits.argmax(1) == mine["predicted"].astype(int)).all()
    origin = data.found.listing.images.origin
    assert mine["file"].tolist() == [origin(row) for row in data.rows[data.split.test]]
    row = next(row for row in load_runs([str(compared / "runs/lr-grid")])[0].rows
               if row["trial"] == "lr=0.001")  # fmt: skip
    weights = (compared / "runs/lr-grid" / row["checkpoint"] / BEST_FILE).read_bytes()
    config, how = config_of(row), data.trials.images.how
    about = describe_model(config, data.trials.training_data(config), weights, how)
    classifier = rebuild(about, weights, torch.device("cpu"))
    expected = classifier.logits(data.images(data.split.test, classifier.view))
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_the_chosen_model_can_be_used_without_the_runs(compared):
    frame, predictions = (load(compared / "out") for load in (load_comparison, load_predictions))
    chosen = frame[frame["chosen"]].iloc[0]
    mine = predictions[predictions["trial"] == chosen["trial"]]
    classifier = load_model(compared / "out" / "model")
    images = load_source("digits", classifier.view.size).images[mine["image"]]
    np.testing.assert_allclose(classifier.logits(images), np.stack(mine["logits"]), atol=1e-5)
    card = (compared / "out/model/README.md").read_text()
    assert f"{chosen['accuracy']:.2%}" in card
    assert f"resized and cropped to {classifier.view.size}×{classifier.view.size} pixels" in card
    about = json.loads((compared / "out/model/model.json").read_text())
    assert about["test_accuracy"] == chosen["accuracy"]
    assert about["temperature"] == chosen["temperature"] == classifier.temperature
    data = load_data_of_run(load_run(compared / "runs/lr-grid"), QUIET)
    rows = data.split.validation
    logits = classifier.logits(data.images(rows, classifier.view)).numpy()
    assert chosen["temperature"] == pytest.approx(
        fit_temperature(logits, data.dataset.labels[rows]), rel=1e-4
    )
    assert chosen["calibrated/log_loss"] == pytest.approx(
        metrics.log_loss(
            mine["label"].astype(int),
            classifier.probabilities(images),
            labels=range(len(classifier.classes)),
        ),
        rel=1e-4,
    )


def test_thresholds_are_chosen_on_the_validation_images(compared):
    about = json.loads((compared / "out/model/model.json").read_text())
    classifier = load_model(compared / "out" / "model")
    data = load_data_of_run(load_run(compared / "runs/lr-grid"), QUIET)
    rows = data.split.validation
    probabilities = classifier.probabilities(data.images(rows, classifier.view)).numpy()
    expected = risk_thresholds(
        probabilities.max(axis=1), probabilities.argmax(axis=1) == data.dataset.labels[rows]
    )
    assert expected
    assert about["rejection"] == [
        {name: pytest.approx(value) for name, value in vars(each).items()} for each in expected
    ]
    assert classifier.rejection(0.99).risk == expected[-1].risk
    winners = load_comparison(compared / "out").query("role == 'winner'")
    assert (winners["aurc/low"] <= winners["aurc"]).all()
    assert (winners["aurc"] <= winners["aurc/high"]).all()


def test_corrupted_images_are_those_of_the_test_set(compared):
    frame = load_robustness(compared / "out")
    assert len(frame) == len(WINNERS) * 30
    images = load_predictions(compared / "out")
    for row in frame.sample(5, random_state=0).to_dict("records"):
        assert row["accuracy"] == pytest.approx(np.mean(row["right"]))
        assert len(row["right"]) == row["images"] == images["image"].nunique()
        assert row["accuracy/low"] <= row["accuracy"] <= row["accuracy/high"]
    # The same pixels again, classified by the model that was written.
    classifier = load_model(compared / "out" / "model")
    chosen = frame[frame["model"] == load_comparison(compared / "out")["model"][0]]
    row = chosen.query("corruption == 'noise' and severity == 5").iloc[0]
    mine = images[images["trial"] == row["trial"]]
    clean = load_source("digits", classifier.view.size).images[mine["image"]]
    noisy = corrupt(clean, "noise", 5, mine["image"].to_numpy())
    right = classifier.logits(noisy).argmax(1).numpy() == mine["label"].astype(int)
    assert right.tolist() == row["right"].tolist()


def test_labels_of_training_images_are_judged_by_features_that_are_cached(
    compared, trained_runs, tmp_path, monkeypatch
):
    doubts = load_doubtful_labels(compared / "out")
    assert set(doubts["part"]) <= {"validation", "test"}
    runs = load_runs([str(trained_runs / "finetune")])
    images = {runs[0].folder.uri: load_data_of_run(runs[0].record, QUIET)}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert training_labels(runs, images, torch.device("cpu")) == []
    monkeypatch.setenv("XDG_CACHE_HOME", str(trained_runs / ".cache"))
    (check,) = training_labels(runs, images, torch.device("cpu"))
    assert (check.subject, check.images) == ("training", runs[0].record["split"]["train"])
    assert "tests.nets:tiny" in check.judge


def test_costs_are_those_of_the_family(compared):
    winners = load_comparison(compared / "out").query("role == 'winner'").set_index("model")
    trials = pd.read_parquet(compared / "runs/lr-grid/trials.parquet")
    cnn = winners.loc["custom CNN"]
    assert cnn["tried"] == 3
    assert cnn["search_seconds"] == pytest.approx(trials["seconds"].sum())
    # Two cores, one a trial: half of a machine at two dollars an hour.
    assert cnn["dollars"] == pytest.approx(trials["seconds"].sum() / 3600)
    assert (winners["latency_p50_ms"] <= winners["latency_p95_ms"]).all()
    assert (winners["macs"] > 0).all()


def test_winners_are_compared_with_the_chosen_one(compared):
    winners = load_comparison(compared / "out").query("role == 'winner'")
    chosen, *others = winners.to_dict("records")
    assert pd.isna(chosen["versus_chosen/verdict"])
    for row in others:
        assert row["versus_chosen/verdict"] in {"better", "worse", "equivalent", "undecided"}
        assert row["versus_chosen/basis"] == "trained models"
        difference = row["accuracy"] - chosen["accuracy"]
        assert row["versus_chosen/difference"] == pytest.approx(difference)
        assert row["versus_chosen/low"] < difference < row["versus_chosen/high"]
        assert row["versus_chosen/margin"] == 0.01
        undecided = row["versus_chosen/verdict"] == "undecided"
        assert pd.notna(row["versus_chosen/images_needed"]) == undecided
        assert 0 <= row["train_accuracy"] <= 1


def test_every_table_is_readable_without_us(compared):
    out = compared / "out"
    for name in ("comparison", "predictions"):
        file = out / f"{name}.parquet"
        rows = len(pd.read_parquet(file))
        assert len(polars.read_parquet(file)) == rows
        assert duckdb.sql(f"SELECT count(*) FROM '{file}'").fetchall() == [(rows,)]
    best = duckdb.sql(
        f"SELECT model FROM '{out}/comparison.parquet' WHERE role = 'winner' ORDER BY "
        "validation_accuracy DESC LIMIT 1"
    ).fetchall()
    assert best[0][0] in WINNERS


def test_the_answer_is_printed_and_every_opening_is_counted(runs, tmp_path, capfd):
    assert run(runs / "lr-grid", runs / "finetune", "--output", tmp_path / "out") == 0
    printed = " ".join(capfd.readouterr().out.split())
    assert "sealed test images" in printed
    assert "predict IMAGE --model" in printed or "predict.py IMAGE --model" in printed
    (first,) = openings(runs)
    assert {model["role"] for model in first["models"]} == {"winner"}
    assert len(first["models"]) == 3
    assert first["images"] == len(load_predictions(tmp_path / "out").query("trial == 'lr=0.001'"))
    assert "had scored" not in printed
    # Over the first.
    assert run(runs / "lr-grid", "--every-trial", "--output", tmp_path / "out") == 0
    assert "had scored 3 models before" in " ".join(capfd.readouterr().out.split())
    row = load_comparison(tmp_path / "out").iloc[0]
    right = round(row["accuracy"] * row["images"])
    assert (row["accuracy/low"], row["accuracy/high"]) == wilson(right, row["images"], 5)
    assert [len(entry["models"]) for entry in openings(runs)] == [3, 3]
    assert "opened 2 times" in (tmp_path / "out" / "report.html").read_text()


def test_the_ledger_is_written_before_an_image_is_classified(runs, tmp_path, monkeypatch):
    seen = []

    def crash(*arguments):
        seen.append(len(openings(runs)))
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "score", crash)
    assert run(runs / "lr-grid", "--output", tmp_path / "out") == 130
    assert seen == [1]


def test_images_that_have_moved_are_found_by_data(runs, tmp_path, assert_one_message):
    record = json.loads((runs / "lr-grid/run.json").read_text())
    record["options"]["data"]["data"] = str(tmp_path / "gone")
    edit_record(runs / "lr-grid", **record)
    assert run(runs / "lr-grid", "--output", tmp_path / "out") == 2
    assert_one_message(["gone"])
    assert run(runs / "lr-grid", "--data", "digits", "--output", tmp_path / "out") == 0


def status(name):
    def change(row):
        return row | {"status": name}

    return change


def unfinished(runs):
    edit_trials(runs / "lr-grid", lambda row: row | (
        {"status": "interrupted"} if row["trial"] == "lr=0.003" else {}))  # fmt: skip
    edit_record(runs / "lr-grid", status="interrupted")


def drop_checkpoint(runs):
    shutil.rmtree(runs / "lr-grid" / "lr=0.001")


def alter_checkpoint(runs):
    file = runs / "lr-grid/lr=0.001/checkpoint_000000" / BEST_FILE
    state = load_file(file)
    next(value for value in state.values() if value.is_floating_point()).add_(1e-3)
    save_file(state, file)


def other_version(runs):
    frame = pd.read_parquet(runs / "lr-grid/trials.parquet")
    frame.drop(columns="checkpoint").to_parquet(runs / "lr-grid/trials.parquet")


def damaged_table(runs):
    file = runs / "lr-grid/trials.parquet"
    file.write_bytes(file.read_bytes()[:-100])


def other_images(runs):
    record = json.loads((runs / "finetune" / "run.json").read_text())
    edit_record(runs / "finetune", dataset=record["dataset"] | {"source_fingerprint": "f00d"})


def other_split(runs):
    write_run(
        runs / "finetune",
        {"a": TrialConfig(lr=1e-3, epochs=1, model="tests.nets:tiny")},
        DataOptions(image_size=(8,), split_seed=1),
    )


def changed_split(runs):
    record = json.loads((runs / "lr-grid/run.json").read_text())
    edit_record(runs / "lr-grid", split=record["split"] | {"fingerprint": "f00d"})


def alter_backbone(runs):
    edit_trials(runs / "finetune", lambda row: row | (
        {"status": "failed"} if row["trial"] == "tiny,full" else {}))  # fmt: skip
    (file,) = (runs / "finetune" / "weights").iterdir()
    state = load_file(file)
    state["0.bias"] += 1
    save_file(state, file)


def drop_backbone(runs):
    """Without it, and without the file that it was copied from."""
    alter_backbone(runs)
    shutil.rmtree(runs / "finetune" / "weights")
    state = json.loads((runs / "finetune" / "run.json").read_text())["weights"]
    edit_record(runs / "finetune", weights=dict.fromkeys(state, "f00d"))


def nothing(runs):
    pass


BOTH = ["{runs}/lr-grid", "{runs}/finetune"]


@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        (nothing, [], ["no run is given"]),
        (nothing, ["{runs}/nowhere"], ["nowhere", "run.json"]),
        (nothing, [*BOTH, "{runs}/../runs/lr-grid/"], ["given twice"]),
        (nothing, [*BOTH, "--seeds", 1], ["--seeds is 1"]),
        (nothing, [*BOTH, "--seeds", -3], ["--seeds is -3"]),
        (nothing, [*BOTH, "--plan"], ["--plan estimates", "--seeds and --learning-curve"]),
        (nothing, [*BOTH, "--margin", 0], ["--margin is 0", "percentage points"]),
        (nothing, [*BOTH, "--price-per-hour", -1], ["--price-per-hour -1"]),
        (nothing, [*BOTH, "--output", "{runs}"], ["holds", "but no comparison", "--output"]),
        (nothing, [*BOTH, "--output", "{runs}/tiny.safetensors"], ["is not a folder", "--output"]),
        (lambda runs: edit_trials(runs / "lr-grid", status("failed")), BOTH,
         ["no finished trial", "--resume"]),
        (unfinished, BOTH, ["lr=0.003 (interrupted)", "--partial"]),
        (drop_checkpoint, BOTH, [BEST_FILE, "missing"]),
        (alter_checkpoint, BOTH, [BEST_FILE, "altered"]),
        (alter_backbone, BOTH, ["weights/tests.nets.tiny.safetensors", "altered"]),
        (drop_backbone, BOTH, ["tests.nets:tiny", "altered after", "train the trials again"]),
        (other_version, BOTH, ["no column checkpoint", "another version"]),
        (damaged_table, BOTH, ["trials.parquet is damaged"]),
        (other_images, BOTH, ["differ in images", "the same images",
                              "compare.py {runs}/lr-grid (digits (1,797 images,",
                              "compare.py {runs}/finetune (digits"]),
        (other_split, BOTH, ["differ in split", "same --split and --split-seed",
                             "{runs}/finetune (digits (1,797 images, --split-seed 1))"]),
        (changed_split, ["{runs}/lr-grid"], ["f00d", "--data"]),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_and_the_test_set_stays_sealed(
    change, arguments, words, runs, tmp_path, assert_one_message
):
    change(runs)
    given = [str(word).format(runs=runs) for word in arguments]
    if "--output" not in given:
        given += ["--output", str(tmp_path / "out")]
    assert run(*given) == 2
    assert_one_message([word.format(runs=runs) for word in words])
    assert openings(runs) == []
    assert not (tmp_path / "out").exists()


def test_runs_of_an_earlier_version_compare_by_their_images(runs, tmp_path, assert_one_message):
    record = json.loads((runs / "finetune" / "run.json").read_text())
    del record["dataset"]["source_fingerprint"], record["split"]["fingerprint"]
    edit_record(runs / "finetune", **record)
    given = [runs / "lr-grid", runs / "finetune", "--output", tmp_path / "out"]
    assert run(*given) == 0
    assert len(openings(runs)) == 1
    record["options"]["data"]["split_seed"] = 1
    edit_record(runs / "finetune", **record)
    assert run(*given) == 2
    assert_one_message(["lr-grid and finetune differ in their split", "--split-seed"])
    assert len(openings(runs)) == 1


def test_what_is_there_of_an_unfinished_run_is_compared_when_asked(runs, tmp_path):
    unfinished(runs)
    code = run(runs / "lr-grid", "--partial", "--every-trial", "--output", tmp_path / "out")
    assert code == 0
    assert set(load_comparison(tmp_path / "out")["trial"]) == {"lr=0.001", "lr=0.0003"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert re.search(r"1 interrupted", page)
    assert "was not finished" in page


def test_a_comparison_of_another_version_is_refused(compared, tmp_path):
    for load in (load_comparison, load_robustness):
        with pytest.raises(InputError, match=r"holds no comparison\.parquet"):
            load(tmp_path)
    shutil.copy(compared / "out/comparison.parquet", tmp_path)
    with pytest.raises(InputError, match="compare the runs with --robustness"):
        load_robustness(tmp_path)
    pd.read_parquet(compared / "out/comparison.parquet").to_parquet(tmp_path / "comparison.parquet")
    with pytest.raises(InputError, match="format none"):
        load_comparison(tmp_path)
    (tmp_path / "comparison.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="damaged"):
        load_comparison(tmp_path)
