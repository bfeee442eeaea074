import dataclasses
import io
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

from tests import nets
from tests.tune_jobs.conftest import command_line
from tests.tune_jobs.runs import edit_record, write_run
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.saved_model import load_model
from trainables.soup import Soup
from trainables.target import ACCURACY
from tune_jobs import compare as compare_job
from tune_jobs.analysis.results import load_comparison, load_trials
from tune_jobs.command_line.options import DataOptions
from tune_jobs.ray_runtime.capacity import TrialResources
from tune_jobs.run_folder.constraints import parse_constraints
from tune_jobs.run_folder.folder import TRIALS_FILE, RunFolder
from tune_jobs.run_folder.schema import config_of, members_of
from tune_jobs.tuning import soup
from tune_jobs.tuning.data import read_images
from tune_jobs.tuning.found_images import find_images
from tune_jobs.tuning.recorder import Recorder

pytestmark = pytest.mark.usefixtures("undrawn")

TINY = "tests.nets:tiny"
PRETRAINED = TrialConfig(lr=1e-3, model=TINY, weights="tiny.safetensors", image_size=8)
SCORES = {
    f"val_{name}": 0.9
    for name in ("loss", "accuracy", "precision", "recall", "balanced_accuracy", "macro_f1",
                 "log_loss", "auroc")
}  # fmt: skip


def recorder_of(folder, constraints=(), **accuracies):
    """Tables of finished trials with these validation accuracies."""
    recorder = Recorder(RunFolder.at(folder), parse_constraints(constraints))
    for name, accuracy in accuracies.items():
        recorder.add(name, PRETRAINED, parameters=9)
        recorder.rows[name] |= {
            "status": "finished", "epochs": 1, "checkpoint": f"{name}/checkpoint_000000",
            "best/val_accuracy": accuracy, "best/val_loss": 1.0, "precision": "fp32",
            "seconds": 1.0, "peak_memory_mb": 10.0,
        }  # fmt: skip
    return recorder


def run_of(recorder):
    printed = io.StringIO()
    console = Console(file=printed, width=200)
    return SimpleNamespace(recorder=recorder, console=console, target=ACCURACY), printed


def made(*members, better=True):
    return soup.Made(Soup(members, {}, SCORES), better, "0" * 64, 1.5)


@pytest.fixture
def making(monkeypatch):
    """Replace the averaging by a result; the list has the trials of each call."""
    calls, answer = [], {"made": made(0, 1)}

    def make(run, name, trials, resources):
        calls.append(trials)
        if isinstance(answer["made"], Exception):
            raise answer["made"]
        return answer["made"]

    monkeypatch.setattr("tune_jobs.tuning.soup._make", make)
    return calls, answer


def make_soups(recorder, record):
    run, printed = run_of(recorder)
    soup.make_soups(run, record, TrialResources(1, 0))
    return printed.getvalue()


def test_finished_trials_of_one_network_are_averaged_best_first(tmp_path):
    recorder = recorder_of(tmp_path, a=0.5, b=0.7, c=0.6)
    assert soup.groups(recorder) == {"soup-tests.nets.tiny": ["b", "c", "a"]}


@pytest.mark.parametrize(
    "different",
    [
        {"model": "tests.nets:limited"}, {"model_args": {"width": 2}}, {"weights": "other"},
        {"normalize": "dataset"}, {"image_size": 12}, {"freeze_batch_norm": True},
        {"mode": "probe"}, {"weights": "none"},
    ],
    ids=str,
)  # fmt: skip
def test_a_trial_of_another_network_other_inputs_or_other_weights_is_no_member(different, tmp_path):
    recorder = recorder_of(tmp_path, a=0.5, b=0.7, c=0.6)
    recorder.configs["b"] = dataclasses.replace(PRETRAINED, **different)
    assert list(soup.groups(recorder).values()) == [["c", "a"]]


def test_trials_that_did_not_finish_or_violate_a_constraint_are_no_members(tmp_path):
    recorder = recorder_of(tmp_path, ["val_accuracy>=0.55"], a=0.5, b=0.7, c=0.6, d=0.8)
    recorder.rows["d"]["status"] = "stopped"
    assert list(soup.groups(recorder).values()) == [["b", "c"]]


def test_networks_at_two_sizes_have_two_soups(tmp_path):
    recorder = recorder_of(tmp_path, a=0.5, b=0.7, c=0.6, d=0.8)
    for name in "cd":
        recorder.configs[name] = dataclasses.replace(PRETRAINED, image_size=12)
    assert list(soup.groups(recorder)) == ["soup-tests.nets.tiny", "soup-tests.nets.tiny-2"]


def test_a_better_average_is_a_trial_that_can_be_the_best(tmp_path, making):
    from tune_jobs.tuning.best_model import best_row

    recorder, record = recorder_of(tmp_path, a=0.5, b=0.7), {}
    assert "90.00%" in make_soups(recorder, record)
    best = best_row(recorder)
    assert best["trial"] == "soup-tests.nets.tiny"
    assert members_of(best) == ["b", "a"]
    assert best["status"] == "finished"
    assert best["seconds"] == 1.5
    assert record["soups"] == {
        best["trial"]: {"tried": ["b", "a"], "members": ["b", "a"], "better": True}
    }


def test_one_that_is_not_better_is_one_line(tmp_path, making):
    making[1]["made"] = made(0, better=False)
    recorder, record = recorder_of(tmp_path, a=0.5, b=0.7), {}
    printed = make_soups(recorder, record)
    assert "left out" in printed
    assert printed.count("\n") == 1
    assert list(recorder.rows) == ["a", "b"]


def test_a_failure_is_one_line_and_the_trials_stay(tmp_path, making):
    making[1]["made"] = RuntimeError("no room\nat all")
    recorder, record = recorder_of(tmp_path, a=0.5, b=0.7), {}
    printed = make_soups(recorder, record)
    assert "was not made: RuntimeError: no room" in printed
    assert printed.count("\n") == 1
    assert list(recorder.rows) == ["a", "b"]
    assert record["soups"] == {}  # so that --resume tries again


def test_a_resumed_run_averages_again_only_with_new_trials(tmp_path, making):
    calls, _ = making
    RunFolder.at(tmp_path / "run").make()
    recorder, record = recorder_of(tmp_path / "run", a=0.5, b=0.7), {}
    make_soups(recorder, record)
    recorder.write(force=True)
    again = recorder_of(tmp_path / "run", a=0.5, b=0.7)
    again.restore()
    assert again.rows["soup-tests.nets.tiny"] | {"feasible": None} == (
        recorder.rows["soup-tests.nets.tiny"] | {"feasible": None}
    )
    make_soups(again, record)
    assert calls == [["b", "a"]]
    again.rows["c"] = again.rows["a"] | {"trial": "c", "best/val_accuracy": 0.6}
    again.configs["c"], again.epochs["c"] = PRETRAINED, {}
    make_soups(again, record)
    assert calls == [["b", "a"], ["b", "c", "a"]]
    assert list(again.rows)[-1] == "soup-tests.nets.tiny"
    assert len(again.rows) == 4


def test_an_interrupted_run_has_none_yet(tmp_path, making):
    recorder, record = recorder_of(tmp_path, a=0.5, b=0.7), {}
    recorder.rows["a"]["status"] = "running"
    assert make_soups(recorder, record) == ""
    assert making[0] == []


# With images


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two trainings of a network, and their average, which is entered however good it is."""
    storage = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    weights = storage / "tiny.safetensors"
    save_file(nets.tiny(5).state_dict(), weights)
    config = TrialConfig(
        lr=3e-3, epochs=2, batch_size=32, model=TINY, weights=str(weights), precision="fp32",
        normalize="dataset", freeze_batch_norm=True,
    )  # fmt: skip
    # So alike that their average is as good as they are.
    configs = {"a": config, "b": dataclasses.replace(config, lr=3.0003e-3)}
    options = DataOptions(image_size=(8,))
    path = write_run(storage / "finetune", configs, options, job="finetune")
    folder = RunFolder.at(path)
    rows = sorted(folder.read_rows(TRIALS_FILE), key=lambda row: -row["best/val_accuracy"])
    found = find_images(options)
    data = read_images(found, [], None, smoke_test=False, console=Console(quiet=True))
    result = soup.make_soup(
        folder.uri, "soup-tiny", [(row["checkpoint"], row["weights_sha256"]) for row in rows],
        config_of(rows[0]), data.trials, "fp32", (-1.0, 0.0), 1,
    )  # fmt: skip
    recorder = Recorder(folder)
    for name in configs:
        recorder.add(name, configs[name], parameters=1)
    recorder.restore()
    names = [row["trial"] for row in rows]
    members = [names[position] for position in result.soup.members]
    if len(members) == 2:
        row = soup.row_of("soup-tiny", members, result, recorder)
        row |= {"best/val_accuracy": 1.0}  # so that it wins
        recorder.add_soup(row, recorder.configs[members[0]])
    recorder.write(force=True)
    edit_record(path, soups={})
    return path, result, data.trials


def test_the_average_of_a_network_is_written_with_its_hash(run, assert_weights_are_hashed):
    path, result, _ = run
    assert result.soup.members == (0, 1)
    assert result.better
    assert_weights_are_hashed(path)
    trials = load_trials(path).set_index("trial")
    assert trials.loc["soup-tiny", "epochs"] == 0
    assert trials["members"].isna().tolist() == [True, True, False]


def test_altered_weights_are_not_averaged(run):
    path, _, images = run
    config = config_of(RunFolder.at(path).read_rows(TRIALS_FILE)[0])
    checkpoints = [("a/checkpoint_000000", "0" * 64)] * 2
    with pytest.raises(InputError, match="altered"):
        soup.make_soup(str(path), "x", checkpoints, config, images, "fp32", (0.0, 0.0), 1)
    assert not (path / "x").exists()


def test_a_comparison_chooses_a_soup_and_does_not_train_it_again(run, local_ray, tmp_path, capfd):
    path, _, _ = run
    compare = command_line(compare_job.compare)
    assert compare(path, "--output", tmp_path / "c", "--seeds", 2) == 0
    printed = " ".join(capfd.readouterr().out.split())
    assert "averages 2 trainings" in printed
    assert "left out of --seeds" in printed
    (row,) = load_comparison(tmp_path / "c").to_dict("records")
    assert row["trial"] == "soup-tiny"
    seconds = load_trials(path).set_index("trial")["seconds"]
    assert row["training_seconds"] == pytest.approx(seconds.sum())
    report = (tmp_path / "c" / "report.md").read_text()
    assert "soup-tiny is a soup: the average of the weights of" in report
    assert "nan" not in report
    assert load_model(tmp_path / "c" / "model").classes  # as predict.py loads it
