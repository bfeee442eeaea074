import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from trainables.config import RECIPES
from trainables.errors import InputError
from tune_jobs.command_line.parser import flatten, parse
from tune_jobs.lr_grid import GridOptions, grid


def parsed(*arguments):
    return parse(GridOptions, "", arguments).options


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_preset_of_the_training_options(name):
    assert parsed("--recipe", name).training == RECIPES[name]


@pytest.mark.parametrize("name", ["--recipe", "--name", "--storage-path", "--batch-size"])
def test_an_option_without_its_value_is_one_message(name, capfd):
    with pytest.raises(InputError, match=name):
        parsed("--epochs", "3", name)
    assert "usage" not in capfd.readouterr().err


def test_every_field_of_a_recipe_can_be_overridden():
    options = parsed("--recipe", "report", "--epochs", "3", "--split", "0.5", "0.3", "0.2")
    assert options.training.epochs == 3
    assert options.training.split == (0.5, 0.3, 0.2)
    assert options.training.loss == "softmax_cross_entropy"


def test_the_default_grid_is_the_reports():
    trials = grid(parsed())
    assert [t.lr for t in trials.values()] == [1e-4, 2.5e-4, 1e-3, 1e-2, 1e-1]
    assert {t.epochs for t in trials.values()} == {20}


def test_seeds_multiply_the_grid():
    trials = grid(parsed("--lr", "1e-3", "1e-2", "--seeds", "2", "--seed", "5"))
    assert {(t.lr, t.seed) for t in trials.values()} == {
        (1e-3, 5), (1e-2, 5), (1e-3, 6), (1e-2, 6)
    }  # fmt: skip
    assert len(trials) == 4


def test_learning_rates_that_differ_late_are_trials_of_their_own():
    rates = ("0.001", "1e-5", "1.23456789", "0.1234567", "0.1234568")
    assert list(grid(parsed("--lr", *rates))) == [
        "lr=0.001", "lr=1e-05", "lr=1.23457", "lr=0.1234567", "lr=0.1234568"
    ]  # fmt: skip


def test_a_flat_view_of_the_options_names_each_once():
    assert flatten(parsed("--name", "x"))["name"] == "x"
    assert flatten(parsed())["batch_size"] == 64


@pytest.mark.parametrize("gpus", [1, 0.5, 0.25, 0.2, 0.33, 1 / 3, 0.125, 0])
def test_unit_fractions_of_a_gpu_are_accepted(gpus):
    assert parsed("--gpus-per-trial", str(gpus)).run.gpus_per_trial == gpus


@pytest.mark.parametrize("gpus", [0.3, 0.4, 0.75, 1.5, 2, -1, -0.5])
def test_other_fractions_would_straddle_two_gpus(gpus):
    with pytest.raises(InputError, match="1/k"):
        parsed("--gpus-per-trial", str(gpus))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--lr", "0"], ["learning rate 0", "above 0"]),
        (["--lr", "-1e-3"], ["-0.001", "above 0"]),
        (["--lr", "nan"], ["nan", "finite"]),
        (["--lr", "inf"], ["inf", "finite"]),
        (["--lr", "fast"], ["fast"]),
        (["--lr", "1e-3", "0.001"], ["0.001", "2 times"]),
        (["--lr"], ["--lr"]),
        (["--epochs", "0"], ["epochs", "0", "1 or more"]),
        (["--batch-size", "0"], ["batch", "1 or more"]),
        (["--seeds", "0"], ["seeds", "1 or more"]),
        (["--seed", "-1"], ["--seed is -1", "at least 0"]),
        (["--seed", "99999999999999999999"], ["--seed is 99999999999999999999", "below"]),
        (["--split-seed", "-1"], ["--split-seed is -1", "at least 0"]),
        (["--split", "0.5", "0.5", "0.5"], ["0.5", "sum to 1"]),
        (["--recipe", "slow"], ["slow", "standard"]),
        (["--gpus-per-trial", "0.3"], ["0.3", "1/k"]),
        (["--cpus-per-trial", "0"], ["0", "1 or more"]),
        (["--max-concurrent", "0"], ["0", "1 or more"]),
        (["--name", "a/b"], ["a/b", "folder name"]),
        (["--name", "../up"], ["../up", "folder name"]),
        (["--name", ""], ["folder name"]),
        (["--resume"], ["--name"]),
        (["--resume", "--name", "nothing"], ["nothing", "no run"]),
        (["--nonsense"], ["nonsense"]),
        (["--address", "ray://127.0.0.1:1"], ["ray://127.0.0.1:1", "--address auto"]),
        (["--address", "127.0.0.1:1"], ["127.0.0.1:1", "--address"]),
        (["--address", "127.0.0.1:x"], ["127.0.0.1:x", "HOST:PORT"]),
        (["--address", "127.0.0.2"], ["nothing answers at 127.0.0.2", "HOST:PORT"]),
        (["--address", "127.0.0.2:٣"], ["127.0.0.2:٣", "digits 0 to 9", "HOST:PORT"]),
    ],
)  # fmt: skip
def test_bad_input_is_one_message_and_exit_code_2(
    arguments, words, command, assert_one_message, tmp_path
):
    assert command(*arguments, "--storage-path", tmp_path / "runs") == 2
    assert_one_message(words)
    assert not (tmp_path / "runs").exists()  # nothing was written


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "cifar11"], ["cifar11", "digits"]),
        (["--data", "{tmp}/empty"], ["empty", "subfolder"]),
        (["--data", "{tmp}/few"], ["rare", "5"]),
        (["--data", "{tmp}/labelless.parquet"], ["label", "--label-column"]),
        (["--data", "{tmp}/truncated.parquet"], ["truncated.parquet", "copy it again"]),
        (["--data", "{tmp}/broken"], ["broken.png", "replace"]),
        (["--image-size", "4"], ["4", "8 or more"]),
        (["--image-size", "0"], ["0", "1 or more"]),
        (["--storage-path", "{tmp}/few/rare/0.png/runs"], ["0.png/runs", "another folder"]),
        (["--storage-path", "teleport://x"], ["teleport", "s3://"]),
    ],
)  # fmt: skip
def test_images_and_folders_that_cannot_be_used_are_one_message(
    arguments, words, command, assert_one_message, inputs, local_ray
):
    arguments = [word.format(tmp=inputs) for word in arguments]
    if "--storage-path" not in arguments:
        arguments += ["--storage-path", inputs / "runs"]
    assert command(*arguments) == 2
    assert_one_message(words)
    assert not (inputs / "runs").exists()  # nothing was written


def test_a_run_is_resumed_by_its_own_job(search, tmp_path, assert_one_message):
    (tmp_path / "rates").mkdir()
    record = {
        "format": 1, "job": "lr-grid", "status": "finished", "started": "", "resumed": [],
        "dataset": {}, "split": {}, "options": dataclasses.asdict(parsed()),
    }  # fmt: skip
    (tmp_path / "rates" / "run.json").write_text(json.dumps(record))
    assert search("--name", "rates", "--storage-path", tmp_path, "--resume") == 2
    assert_one_message(
        ["'rates'", "is a run of lr-grid, and optuna-search resumes only its own", "another --name"]
    )


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("training", "epochs", "many"),
        ("training", "epochs", [3]),
        ("training", "split", [0.5, "half", 0.2]),
        ("run", "track", 3),
        (None, "lr", [1e-3, None]),
    ],
)
def test_a_stored_option_of_another_type_is_one_message(group, name, value, tmp_path):
    options = dataclasses.asdict(parsed())
    (options if group is None else options[group])[name] = value
    record = {
        "format": 1, "job": "lr-grid", "status": "finished", "started": "", "resumed": [],
        "dataset": {}, "split": {}, "options": options,
    }  # fmt: skip
    (tmp_path / "rates").mkdir()
    (tmp_path / "rates" / "run.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"the options in .*run\.json are not those of a run"):
        parsed("--name", "rates", "--storage-path", str(tmp_path), "--resume")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Unusable datasets that --data may be given by mistake."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)

    def image(*path):
        file = folder.joinpath(*path)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file)
        return file

    (folder / "empty").mkdir()
    for i in range(6):
        image("few", "common", f"{i}.png")
        image("broken", "a", f"{i}.png")
        image("broken", "b", f"{i}.png")
    for i in range(2):
        image("few", "rare", f"{i}.png")
    (folder / "broken" / "b" / "broken.png").write_bytes(b"not an image")
    content = image("one.png").read_bytes()
    pq.write_table(pa.table({"img": [content]}), folder / "labelless.parquet")
    whole = folder / "whole.parquet"
    pq.write_table(pa.table({"img": [content] * 99, "label": list(range(99))}), whole)
    (folder / "truncated.parquet").write_bytes(whole.read_bytes()[:-100])
    return folder
