import json

import pytest

from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.metrics import EPOCH_METRICS
from tune_jobs.analysis.results import load_epochs, load_run, load_trials
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.run_folder.schema import EPOCH_SCHEMA, TRIAL_SCHEMA, config_columns, summary_columns

RECORD = {
    "format": 1, "job": "lr-grid", "status": "finished", "started": "", "resumed": [],
    "dataset": {}, "split": {}, "options": {"data": {}, "run": {}, "training": {}},
}  # fmt: skip


def epoch(number, **metrics):
    return {"epoch": number, **dict.fromkeys(EPOCH_METRICS, 1.0), **metrics}


def test_the_best_epoch_is_the_first_with_the_highest_accuracy():
    scores = [0.5, 0.9, 0.7, 0.9]
    row = summary_columns([epoch(i + 1, val_accuracy=score) for i, score in enumerate(scores)])
    assert (row["best/epoch"], row["best/val_accuracy"], row["last/val_accuracy"]) == (2, 0.9, 0.9)
    assert row["epochs"] == 4


def test_speed_is_all_images_over_all_seconds():
    epochs = [epoch(1, seconds=1, images_per_second=100), epoch(2, seconds=3, images_per_second=20)]
    assert summary_columns(epochs)["images_per_second"] == pytest.approx(160 / 4)


def test_every_setting_of_a_trial_is_a_typed_column(tmp_path):
    folder = RunFolder.at(tmp_path)
    config = TrialConfig(lr=1e-3, split=(0.6, 0.2, 0.2), model_args={"widths": [8]})
    rows = [{"trial": "a", **config_columns(config)}, {"trial": "b", "config/lr": 1e-4}]
    folder.write_rows("trials.parquet", rows, TRIAL_SCHEMA)
    folder.write_json("run.json", RECORD)
    trials = load_trials(tmp_path)
    assert trials["config/lr"].tolist() == [1e-3, 1e-4]
    assert trials["config/split"][0].tolist() == [0.6, 0.2, 0.2]
    assert trials["config/model_args"][0] == '{"widths": [8]}'
    assert {f"config/{key}" for key in config.to_dict()} <= set(trials.columns)


def test_every_argument_of_a_model_is_a_typed_column(tmp_path):
    folder = RunFolder.at(tmp_path)
    arguments = [{"widths": [8, 16], "kernel_size": 3, "bias": True}, {"rate": 0.5}, None]
    rows = [
        {"trial": str(i), "config/model_args": None if args is None else json.dumps(args)}
        for i, args in enumerate(arguments)
    ]
    folder.write_rows("trials.parquet", rows, TRIAL_SCHEMA)
    folder.write_json("run.json", RECORD)
    trials = load_trials(tmp_path)
    assert trials["config/model.widths"][0] == "[8, 16]"
    assert trials["config/model.kernel_size"].dtype == "Int64"
    assert trials["config/model.kernel_size"].isna().tolist() == [False, True, True]
    assert trials["config/model.rate"].dtype == "Float64"
    assert trials["config/model.bias"].dtype == "boolean"
    assert trials["config/model_args"].notna().tolist() == [True, True, False]


def test_a_run_without_epochs_reads_as_an_empty_table(tmp_path):
    folder = RunFolder.at(tmp_path)
    folder.write_json("run.json", RECORD)
    folder.write_rows("epochs.parquet", [], EPOCH_SCHEMA)
    assert load_epochs(tmp_path).empty
    assert list(load_epochs(tmp_path).columns) == EPOCH_SCHEMA.names


def test_what_is_no_run_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"run\.json"):
        load_trials(tmp_path)


def test_a_run_of_a_newer_version_is_refused(tmp_path):
    RunFolder.at(tmp_path).write_json("run.json", {"format": 2})
    with pytest.raises(InputError, match="upgrade"):
        load_run(tmp_path)
