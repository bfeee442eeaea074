import dataclasses

import numpy as np
import pytest
import torch

from benchmarks.statistics import predictions
from tests.tune_jobs.analysis.comparisons import make_comparison
from trainables.checkpoint import CORRECT_FILE, pack
from trainables.config import TrialConfig
from tune_jobs.analysis.comparison import overtuning
from tune_jobs.analysis.comparison.overtuning import Trial, selections, tuned, untuned
from tune_jobs.analysis.report.sections import overtuning as section
from tune_jobs.run_folder.folder import RunFolder


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.1])
def test_the_optimism_of_the_best_of_many_is_estimated_right(spread, monkeypatch):
    monkeypatch.setattr(overtuning, "DRAWS", 200)
    generator = np.random.default_rng(0)
    true, estimated = [], []
    for _ in range(40):
        accuracies = 0.85 + spread * np.linspace(-1, 0, 20)
        (correct,) = predictions(generator, tuple(accuracies), 1, 359, 0.0).transpose(1, 0, 2)
        best = correct.mean(axis=1).argmax()
        true.append(correct[best].mean() - accuracies[best])
        estimated.append(tuned(correct, 0).optimism)
    assert np.mean(estimated) == pytest.approx(np.mean(true), abs=0.005)
    assert np.mean(true) > 0.01  # and so is no small matter


def test_an_untuned_trial_is_as_good_as_equals_but_not_as_better_ones():
    generator = np.random.default_rng(1)
    equal = generator.random((10, 500)) < 0.8
    assert tuned(equal, 0).default_as_good > 0.2
    better = np.concatenate([generator.random((1, 500)) < 0.5, equal])
    assert tuned(better, 0).default_as_good == 0
    assert tuned(equal[:1].repeat(3, axis=0), 2).default_as_good == 1


def in_folders(comparison, path):
    """A comparison whose trials keep which of the 500 validation images they classify correctly."""
    for run in comparison.runs:
        folder = RunFolder.at(path / run.name)
        for row in run.rows:
            folder.child(row["checkpoint"]).make()
            right = np.arange(500) < round(500 * row["best/val_accuracy"])
            folder.write(f"{row['checkpoint']}/{CORRECT_FILE}", pack_array(right))
    runs = [dataclasses.replace(r, folder=RunFolder.at(path / r.name)) for r in comparison.runs]
    return dataclasses.replace(comparison, runs=runs)


def pack_array(right):
    return pack(torch.from_numpy(right))


def test_the_efforts_of_the_families_stand_side_by_side(tmp_path):
    comparison = in_folders(make_comparison(), tmp_path)
    comparison.runs[1].record["search"]["algorithm"] = "optuna"  # the other grid has two rates
    cnn, resnet = selections(comparison)
    assert (cnn.epochs, cnn.unknown, cnn.tuned.trials, cnn.default) == (6, 0, 2, "")  # no middle
    assert cnn.tuned.chosen == pytest.approx(0.9)
    assert (resnet.default, resnet.default_accuracy) == ("best", pytest.approx(0.85))
    words = str(section.section(comparison).blocks)
    assert "resamples in which it is as good" in words
    assert "keep no record" not in words


def test_trials_without_a_record_of_their_validation_images_are_left_out(tmp_path):
    old = make_comparison()
    (cnn, _) = selections(old)
    assert (cnn.tuned, cnn.unknown) == (None, 2)
    assert (
        "2 trials of custom CNN and 2 trials of pretrained ResNet18, which keep no record"
        in str(section.section(old).blocks)
    )
    resumed = in_folders(old, tmp_path)
    run = resumed.runs[0]
    run.folder.write(f"best/checkpoint/{CORRECT_FILE}", pack_array(np.ones(500, bool)))  # other
    assert selections(resumed)[0].unknown == 1


def test_the_page_says_that_the_estimate_leaves_soups_out():
    comparison = make_comparison()
    assert "soup" not in str(section.section(comparison).blocks)
    comparison.chosen.winner.candidate.row["members"] = "a, b"
    words = str(section.section(comparison).blocks)
    assert "The winner of custom CNN is a soup. The estimate is that of its trials" in words


@pytest.mark.parametrize(
    ("algorithms", "rates", "position"),
    [
        (["grid"] * 3, [1e-1, 1e-3, 1e-5], 1),
        (["grid"] * 4, [1e-4, 1e-3, 1e-2, 1e-1], 1),
        (["grid"] * 2, [1e-4, 1e-3], None),
        (["grid", "optuna", "optuna"], [1e-3, 1e-1, 1e-3], 1),
    ],
)
def test_the_untuned_trial_is_the_recipe_or_the_middle_of_the_grid(algorithms, rates, position):
    run = make_comparison().runs[0]
    trials = [
        Trial(
            dataclasses.replace(run, record={"search": {"algorithm": algorithm}}),
            {},
            TrialConfig(lr=lr),
        )
        for algorithm, lr in zip(algorithms, rates, strict=True)
    ]
    assert untuned(trials) == position
