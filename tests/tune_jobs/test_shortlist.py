"""A shortlist on a real local Ray, and the fine-tuning that goes on from it."""

import json

import pytest
from PIL import Image

from tests.tune_jobs.conftest import command_line
from tune_jobs import finetune as finetune_job
from tune_jobs import lr_grid as grid_job
from tune_jobs import shortlist as job
from tune_jobs.analysis.results import load_epochs, load_run, load_shortlist, load_trials
from tune_jobs.run_folder.folder import RunFolder

SMALL, WIDE = "tests.nets:published", "tests.nets:published_wide"
ABSENT = "timm:resnet18.a1_in1k"


@pytest.fixture(scope="module")
def shortlist():
    return command_line(job.shortlist)


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hub")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="module")
def storage(local_ray, tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def cnn(storage):
    code = command_line(grid_job.lr_grid)(
        "--epochs", 1, "--lr", 1e-3, "--image-size", 16, "--storage-path", storage
    )
    assert code == 0
    return storage / "lr-grid"


@pytest.fixture(scope="module")
def run(shortlist, cnn, storage):
    code = shortlist(
        "--models", SMALL, WIDE, ABSENT, "tests.nets:absent", "--image-size", 16,
        "--with", cnn, "--storage-path", storage,
    )  # fmt: skip
    assert code == 0
    return storage / "shortlist"


def test_networks_are_ranked_and_the_others_keep_their_reason(run, cnn):
    table = load_shortlist(run)
    ranked = table.dropna(subset="rank")
    assert set(ranked["model"]) == {SMALL, WIDE}
    assert ranked["rank"].tolist() == [1, 2]
    assert ranked["mean"].is_monotonic_decreasing
    assert ranked["resampled"].map(len).tolist() == [10, 10]
    for column in ("macs", "latency_ms", "features_s", "parameters", "penalty"):
        assert (ranked[column] > 0).all()
    assert ranked["weights"].nunique() == 2
    rest = table[table["rank"].isna()].set_index("model")
    assert rest.loc["cnn", "run"] == str(cnn)
    assert rest.loc["cnn", "score"] == load_trials(cnn)["best/val_accuracy"].max()
    failed = rest.drop("cnn")
    assert set(failed["status"]) == {"failed"}
    assert "weights" in failed.loc[ABSENT, "error"]
    assert "cannot be imported" in failed.loc["tests.nets:absent", "error"]


def test_the_run_folder_is_that_of_every_run(run):
    trials = load_trials(run).set_index("config/model")
    assert trials.loc[SMALL, "status"] == "finished"
    assert trials.loc[SMALL, "config/mode"] == "probe"
    assert load_run(run)["status"] == "finished"
    assert len(load_epochs(run)) == 2
    about = json.loads((run / "best" / "model.json").read_text())
    assert about["model"] == load_shortlist(run)["model"][0]
    with Image.open(run / "shortlist.png") as picture:
        assert min(picture.size) > 200


def test_a_shortlist_that_is_resumed_stays_as_it_is(run, shortlist):
    before = load_shortlist(run)
    assert shortlist("--name", run.name, "--storage-path", run.parent, "--resume") == 0
    after = load_shortlist(run)
    columns = ["model", "score", "mean", "penalty", "rank"]
    assert after[columns].equals(before[columns])


def test_fine_tuning_goes_on_with_the_first(run, storage):
    code = command_line(finetune_job.finetune)(
        "--from", run, "--top", 1, "--lr", 1e-3, "--epochs", 1, "--storage-path", storage
    )
    assert code == 0
    trials = load_trials(storage / "finetune")
    assert trials["config/model"].tolist() == [load_shortlist(run)["model"][0]]
    assert trials["config/image_size"].tolist() == [16]


def test_a_search_goes_on_with_the_first(run, storage, study_of):
    code = command_line(finetune_job.finetune)(
        "--from", run, "--top", 2, "--search", "optuna", "--trials", 2, "--epochs", 1,
        "--storage-path", storage, "--name", "search",
    )  # fmt: skip
    assert code == 0
    study = study_of(storage / "search")
    first = load_shortlist(run)["model"][0]
    assert study.trials[0].params["model"] == first


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--epochs", 3], ["--epochs", "no effect", "leave it out"]),
        (["--models", "resnet18", "resnet18"], ["resnet18 2 times"]),
        (["--models", "resnet81"], ["none of the networks", "resnet18"]),
        (["--with", "absent", "--models", SMALL], ["absent", "not a run folder"]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_bad_input_is_one_message(options, words, shortlist, tmp_path, assert_one_message):
    assert shortlist(*options, "--storage-path", tmp_path / "runs") == 2
    assert_one_message(words)
    assert not (tmp_path / "runs").exists()


def test_a_run_on_other_images_does_not_stand_beside_it(
    run, cnn, shortlist, storage, assert_one_message
):
    code = shortlist(
        "--models", SMALL, "--split", 0.5, 0.25, 0.25, "--with", cnn, "--storage-path", storage
    )
    assert code == 2
    assert_one_message([str(cnn), "split", "the same"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--top", 3], ["--top 3", "2 networks"]),
        (["--top", 0], ["--top is 0", "1 or more"]),
        (["--models", "resnet18"], ["--models", "both name networks"]),
    ],
)
def test_networks_of_a_shortlist_are_refused(
    run, storage, options, words, tmp_path, assert_one_message
):
    code = command_line(finetune_job.finetune)("--from", run, *options, "--storage-path", tmp_path)
    assert code == 2
    assert_one_message(words)


def test_a_grid_takes_networks_of_a_shortlist_alone(cnn, tmp_path, assert_one_message):
    finetune = command_line(finetune_job.finetune)
    assert finetune("--from", cnn, "--storage-path", tmp_path) == 2
    assert_one_message([str(cnn), "no shortlist", "--search optuna"])
    assert finetune("--top", 2, "--storage-path", tmp_path) == 2
    assert_one_message(["--top", "--from"])
    assert RunFolder.at(tmp_path).names() == []
