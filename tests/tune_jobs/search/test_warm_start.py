import dataclasses
from types import SimpleNamespace

import optuna
import pytest

from tests.tune_jobs.runs import edit_record, edit_trials
from tune_jobs.analysis.results import load_run
from tune_jobs.run_folder.folder import TRIALS_FILE, RunFolder
from tune_jobs.run_folder.schema import config_of
from tune_jobs.search.warm_start import warm_start
from tune_jobs.search_space.space import Parameter

SPACE = {"lr": Parameter(name="lr", kind="float", low=1e-4, high=1e-2, log=True)}


@pytest.fixture
def earlier(runs):
    return runs / "lr-grid"


@pytest.fixture
def take_over(earlier):
    """Warm-start a study from the earlier run of three learning rates; return trials and line."""

    def start(record):
        study = optuna.create_study(direction="maximize")
        base = config_of(RunFolder.at(earlier).read_rows(TRIALS_FILE)[0])
        base = dataclasses.replace(base, lr=0.5)
        own = SimpleNamespace(
            optuna_study=study,
            space=SPACE,
            bases={base.model: base},
            objectives={"accuracy": "max"},
            constraints=(),
        )
        (line,) = warm_start(own, [str(earlier)], record, False)
        return study.trials, line

    return start


def test_trials_of_a_run_with_custom_split_fractions_are_added(earlier, take_over):
    shares, split = (0.6, 0.2, 0.2), load_run(earlier)["split"]
    edit_record(earlier, split=split | {"shares": shares})  # a list from now on
    trials, line = take_over(load_run(earlier) | {"split": split | {"shares": shares}})
    assert "3 trials added to the study, 0 settings" in line
    assert {trial.state.name for trial in trials} == {"COMPLETE"}


def test_trials_of_another_split_are_not_added(earlier, take_over):
    record = load_run(earlier)
    _, line = take_over(record | {"split": record["split"] | {"fingerprint": "another"}})
    assert "0 trials added to the study, 3 settings" in line


def test_a_copy_did_not_earn_its_score_and_its_settings_are_tried(earlier, take_over):
    edit_trials(earlier, lambda row: row | (
        {"copied": "lr=0.003 after epoch 2"} if row["trial"] == "lr=0.001" else {}))  # fmt: skip
    trials, line = take_over(load_run(earlier))
    assert "2 trials added to the study, 1 settings" in line
    (waiting,) = [trial for trial in trials if trial.state.name == "WAITING"]
    assert waiting.system_attrs["fixed_params"] == {"lr": 0.001}
