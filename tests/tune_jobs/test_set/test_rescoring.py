import pytest
import torch

from tests.tune_jobs.analysis.comparisons import make_run
from tests.tune_jobs.runs import QUIET, edit_trials
from trainables.config import TrialConfig
from tune_jobs.analysis.comparison.candidates import candidates, load_runs
from tune_jobs.analysis.comparison.choice import winners
from tune_jobs.test_set.rescoring import in_fp32
from tune_jobs.tuning.data import load_data_of_run

CPU = torch.device("cpu")


def test_a_model_that_was_trained_in_bf16_is_scored_again_in_fp32(runs):
    def as_in_bf16(row):
        return row | {"precision": "bf16", "best/val_accuracy": 0.123}

    (before,) = load_runs([str(runs / "lr-grid")])
    true = {each.trial: each.row for each in candidates(before)}
    edit_trials(runs / "lr-grid", as_in_bf16)
    (run,) = load_runs([str(runs / "lr-grid")])
    data = load_data_of_run(run.record, QUIET, None)
    first, *_ = candidates(run)
    again = in_fp32(first, data, CPU, QUIET)
    for column in ("best/val_accuracy", "best/val_loss", "best/val_macro_f1"):
        assert again.row[column] == pytest.approx(true[first.trial][column], rel=1e-4)
    assert again.as_trained["best/val_accuracy"] == 0.123
    same = candidates(before)[0]
    assert in_fp32(same, data, CPU, QUIET) is same


def test_the_winner_is_chosen_by_the_scores_in_fp32_of_the_few_that_may_win():
    run = make_run("run", {
        f"trial-{i}": (TrialConfig(lr=1e-3, image_size=32, seed=i), accuracy)
        for i, accuracy in enumerate([0.95, 0.90, 0.949, 0.945, 0.93])
    })  # fmt: skip
    seen = []

    def again(candidate):
        seen.append(candidate.trial)
        candidate.row["best/val_accuracy"] = {"trial-2": 0.951}.get(candidate.trial, 0.94)
        return candidate

    (winner,) = winners([run], again)
    assert winner.trial == "trial-2"
    assert seen == ["trial-0", "trial-2", "trial-3"]  # those within a point of the best
