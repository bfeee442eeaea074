import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests import nets
from tests.tune_jobs.analysis.comparisons import make_run
from tests.tune_jobs.runs import QUIET, edit_trials, write_run
from trainables.config import TrialConfig
from trainables.saved_model import Classifier
from tune_jobs.analysis.comparison.candidates import candidates, load_runs
from tune_jobs.analysis.comparison.choice import winners
from tune_jobs.command_line.options import DataOptions
from tune_jobs.test_set.evaluation import load_trained, validation_logits
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


@pytest.fixture
def probes(tmp_path, monkeypatch):
    """Two trials of one run, which have heads for the features of the same network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "tiny.safetensors"
    save_file(nets.tiny(10).state_dict(), file)
    base = TrialConfig(lr=1.0, model="tests.nets:tiny", weights=str(file), precision="fp32")
    configs = {f"penalty={penalty}": base.as_probe(penalty) for penalty in (0.1, 0.01)}
    write_run(tmp_path / "runs" / "finetune", configs, DataOptions(), "finetune")
    (run,) = load_runs([str(tmp_path / "runs" / "finetune")])
    data = load_data_of_run(run.record, QUIET, None)
    return [load_trained(each, data, CPU) for each in candidates(run)], data


def test_heads_of_one_network_are_scored_by_its_features_which_are_computed_once(
    probes, monkeypatch
):
    models, data = probes
    rows = data.split.validation
    whole = [each.classifier.logits(data.images(rows, each.classifier.view)) for each in models]
    compute, computed = Classifier.logits, []
    monkeypatch.setattr(
        Classifier, "logits", lambda *given: computed.append(given) or compute(*given)
    )
    for model, logits in zip(models, whole, strict=True):
        found = validation_logits(model, data)
        np.testing.assert_allclose(found.logits, logits.numpy(), atol=1e-5)
        assert (found.labels == data.dataset.labels[rows]).all()
    assert len(computed) == 1
