"""The list of runs: bakeoff runs and load_runs."""

import json
import shutil

import pytest

from tests.tune_jobs.conftest import command_line
from tests.tune_jobs.runs import edit_record, edit_trials, write_tables
from trainables.errors import InputError
from tune_jobs.analysis.datasets import dataset_labels, together
from tune_jobs.analysis.results import load_runs, load_trials
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.runs import runs as list_runs


@pytest.fixture
def runs(tmp_path):
    """A storage folder with two runs on the same images."""
    storage = tmp_path / "runs"
    write_tables(storage / "finetune", {"a": [0.5]}, job="finetune")
    write_tables(storage / "lr-grid", {"lr=0.1": [0.4, 0.6], "lr=0.01": [0.5, 0.8, 0.7]})
    return storage


def record(name="photos", images="a", split="s", metric="accuracy", **more):
    return {
        "dataset": {"name": name, "source_fingerprint": images, "images": 100, **more},
        "split": {"fingerprint": split, "seed": 0, "shares": None},
        "options": {"training": {"metric": metric}},
    }


def test_a_data_set_is_called_by_its_name():
    assert dataset_labels([record(), record("digits", "b")]) == ["photos", "digits"]
    assert dataset_labels([record(), record(metric="auroc")]) == ["photos", "photos"]


@pytest.mark.parametrize(
    ("other", "labels"),
    [
        ({"images": "b", "images_": 90}, ["photos (100 images)", "photos (90 images)"]),
        ({"split": "t", "seed": 7}, [
            "photos (100 images, --split-seed 0)", "photos (100 images, --split-seed 7)"]),
        ({"split": "t", "shares": [0.6, 0.2, 0.2], "seed": 0}, [
            "photos (100 images, --split-seed 0)",
            "photos (100 images, --split 0.6 0.2 0.2 --split-seed 0)"]),
        ({"images": "b"}, [
            f"photos (100 images, --split-seed 0, fingerprints {each} and s)" for each in "ab"]),
    ],
)  # fmt: skip
def test_data_sets_of_one_name_are_told_apart_by_as_little_as_it_takes(other, labels):
    second = record(images=other.get("images", "a"), split=other.get("split", "s"))
    second["dataset"]["images"] = other.get("images_", 100)
    second["split"] |= {key: other[key] for key in ("seed", "shares") if key in other}
    assert dataset_labels([record(), second]) == labels


def test_runs_belong_together_by_images_split_and_metric():
    records = [
        record(), record("digits", "b"), record(), record(split="t"), record(metric="auroc"),
        record("photos", None, None),
    ]  # fmt: skip
    assert together(records) == [[0, 2, 5], [1], [3], [4]]
    # A run of an earlier version has no fingerprint, but may have other classes.
    assert together([record(classes=["a"]), record(images=None, classes=["b"])]) == [[0], [1]]


def test_every_run_of_a_folder_has_a_row(runs):
    frame = load_runs(runs).set_index("run")
    assert list(frame.index) == ["lr-grid", "finetune"]  # the best of a group first
    row, trials = frame.loc["lr-grid"], load_trials(runs / "lr-grid")
    assert (row["score"], row["best"]) == (0.8, "lr=0.01")
    assert (row["dataset"], row["models"], row["metric"]) == ("digits", "cnn", "accuracy")
    assert (row["trials"], row["epochs"]) == (2, 5)
    assert row["seconds"] == pytest.approx(trials["seconds"].sum())
    assert frame["group"].tolist() == [1, 1]
    assert load_runs(runs / "lr-grid")["run"].tolist() == ["lr-grid"]


def test_runs_in_which_nothing_has_a_score_yet_have_a_row(runs, capfd):
    write_tables(runs / "later", {"lr=0.1": []}, status="running", ended=None)
    with RunFolder.at(runs / "later").lock():
        row = load_runs(runs).set_index("run").loc["later"]
        assert (row["status"], row["trials"], row.isna()["best"]) == ("running", 0, True)
        assert command_line(list_runs)(runs) == 0
    printed = capfd.readouterr().out
    assert "later" in printed
    assert "--resume" not in printed


def test_a_run_whose_driver_was_killed_is_interrupted_and_can_be_resumed(runs, capfd):
    killed = write_tables(runs / "later", {"lr=0.1": [0.5]}, status="running", ended=None)
    edit_trials(killed, lambda row: row | {"status": "running"})
    assert load_runs(killed)["status"].tolist() == ["interrupted"]
    assert load_trials(killed)["status"].tolist() == ["interrupted"]
    assert command_line(list_runs)(runs) == 0
    assert f"lr_grid.py --name later --resume --storage-path {runs}\n" in capfd.readouterr().out


def table_cut(run):
    file = run / "trials.parquet"
    file.write_bytes(file.read_bytes()[:100])


def newer_version(run):
    edit_record(run, format=99)


def record_lost(run):
    (run / "run.json").unlink()


def record_of_others(run):
    (run / "run.json").write_text(json.dumps({"format": 1}))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (table_cut, "trials.parquet is damaged"),
        (newer_version, "upgrade"),
        (record_lost, "no run.json"),
        (record_of_others, "job must be of type str"),
    ],
)
def test_a_damaged_run_keeps_its_row_with_the_reason(damage, reason, runs, capfd):
    damage(runs / "lr-grid")
    row = load_runs(runs).set_index("run").loc["lr-grid"]
    assert row["status"] == "damaged"
    assert reason in row["error"]
    assert command_line(list_runs)(runs) == 0
    printed = capfd.readouterr().out
    assert "warning: lr-grid cannot be read: " in printed
    assert "compare.py" not in printed  # of one network, it would open the test set for nothing


def test_a_folder_without_runs_is_refused(tmp_path, assert_one_message):
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match="holds no run"):
        load_runs(tmp_path)
    assert command_line(list_runs)(tmp_path) == 2
    assert_one_message(["holds no run", "in which run folders are"])


def test_the_list_suggests_a_comparison_for_each_data_set(runs, capfd):
    edit_trials(runs / "finetune", lambda row: row | {"config/model": f"network of {row['trial']}"})
    shutil.copytree(runs / "lr-grid", runs / "others")
    dataset = json.loads((runs / "others/run.json").read_text())["dataset"]
    edit_record(runs / "others", dataset=dataset | {"source_fingerprint": "f00d", "name": "mine"})
    assert command_line(list_runs)(runs) == 0
    printed = capfd.readouterr().out
    assert f"compare.py {runs / 'lr-grid'} {runs / 'finetune'}\n" in printed
    assert f"compare.py {runs / 'others'}" not in printed  # a single network
    assert "mine" in printed
