"""Fine-tuning on a real local Ray, from the command line to the run folder."""

import json

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests import nets
from tests.images import load_source, training_data
from tests.tune_jobs.conftest import command_line
from trainables.config import TrialConfig
from trainables.device_images import on_device
from trainables.errors import InputError
from trainables.models import build_model
from trainables.precision import Autocast
from trainables.prediction import predict
from trainables.preparation import Preparation
from tune_jobs import finetune as job
from tune_jobs.analysis.results import load_epochs, load_front, load_run, load_trials
from tune_jobs.finetune import FinetuneOptions, weights_of
from tune_jobs.tuning import tuner

pytestmark = pytest.mark.usefixtures("undrawn")

TINY = "tests.nets:tiny"
SHORT = ("--epochs", 2, "--image-size", 16, "--precision", "fp32")


@pytest.fixture(scope="module")
def finetune():
    return command_line(job.finetune)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(1)
    file = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(nets.tiny().state_dict(), file)
    return file


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def run(local_ray, finetune, weights, tmp_path_factory):
    """A grid of four modes and two learning rates, with initial weights from a file."""
    storage = tmp_path_factory.mktemp("runs")
    code = finetune(
        *SHORT, "--models", TINY, "--weights", weights, "--mode", "full", "probe", "gradual",
        "lora", "--lr", 1e-3, 1e-1, "--penalty", 1, 0.01, "--storage-path", storage,
    )  # fmt: skip
    assert code == 0
    return storage / "finetune"


def test_every_mode_is_trained_at_its_rates_or_penalties(run):
    trials = load_trials(run).set_index("trial")
    trials = trials[trials["members"].isna()]  # without soups
    assert list(trials.index) == [
        f"tests.nets.tiny,{setting},{mode}"
        for mode, settings in (
            ("full", ("lr=0.001", "lr=0.1")),
            ("probe", ("penalty=1", "penalty=0.01")),
            ("gradual", ("lr=0.001", "lr=0.1")),
            ("lora", ("lr=0.001", "lr=0.1")),
        )
        for setting in settings
    ]
    probes = load_epochs(run).set_index("trial").filter(like="probe", axis=0)
    assert probes["penalty"].tolist() == [1, 0.01]
    assert probes["learning_rate"].isna().all()
    assert set(trials["status"]) == {"finished"}
    assert set(trials["config/mode"]) == {"full", "probe", "gradual", "lora"}
    assert set(trials["micro_batch"]) == {64}
    assert list(load_run(run)["weights"]) == [TINY]


@pytest.mark.parametrize("mode", ["full", "probe", "gradual", "lora"])
def test_the_whole_network_of_each_trial_can_be_rebuilt_from_the_run(run, mode):
    from tune_jobs.run_folder.checkpoints import best_weights
    from tune_jobs.run_folder.folder import RunFolder
    from tune_jobs.run_folder.schema import config_of

    digits = load_source("digits", 16)
    data = training_data(digits.images, digits.labels, digits.classes)
    folder = RunFolder.at(run)
    rows = [row for row in folder.read_rows("trials.parquet") if row["config/mode"] == mode]
    for row in rows:
        config = config_of(row)
        model = build_model(config.model, 10, 16, **config.build_args)
        model.load_state_dict(best_weights(folder, row["checkpoint"], config, 10, 16))
        cpu = torch.device("cpu")
        prepare = Preparation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), cpu)
        images = on_device(data.val_images, cpu)
        logits = predict(model, images, prepare, Autocast("fp32", cpu))
        accuracy = (logits.argmax(1).numpy() == data.val_labels).mean()
        assert row["best/val_accuracy"] == pytest.approx(accuracy)


def test_best_holds_a_whole_network(run):
    about = json.loads((run / "best" / "model.json").read_text())
    model = build_model(about["model"], 10, about["view"]["size"], **about["model_args"])
    model.load_state_dict(load_file(run / "best" / "model.safetensors"))
    assert about["mean"] == [0.485, 0.456, 0.406]


@pytest.mark.faults
def test_a_worker_that_dies_is_replaced_with_the_same_result(
    run, finetune, weights, killed_worker, tmp_path
):
    code = finetune(
        *SHORT, "--models", TINY, "--weights", weights, "--mode", "full", "probe", "gradual",
        "lora", "--lr", 1e-3, 1e-1, "--penalty", 1, 0.01, "--storage-path", tmp_path,
    )  # fmt: skip
    assert code == 0
    assert killed_worker
    columns = ["trial", "best/val_accuracy", "last/val_loss", "last/train_loss"]
    again, before = load_trials(tmp_path / "finetune"), load_trials(run)
    assert again[columns].equals(before[columns])


def test_optuna_searches_networks_modes_and_rates(local_ray, finetune, weights, tmp_path, study_of):
    code = finetune(
        *SHORT, "--models", TINY, "--weights", weights, "--mode", "probe", "gradual",
        "--search", "optuna", "--trials", 6, "--storage-path", tmp_path,
    )  # fmt: skip
    assert code == 0
    study = study_of(tmp_path / "finetune")
    assert len(study.trials) == 6
    for trial in study.trials:
        assert ("layer_decay" in trial.params) == (trial.params["mode"] == "gradual")
    begun_with = study.trials[0].system_attrs["fixed_params"]
    assert begun_with["schedule"] == "constant"  # the recipe's
    assert not {"model", "mode", "lr"} & begun_with.keys()  # nobody's


def test_several_objectives_choose_among_networks_with_parameters_of_their_own(
    local_ray, finetune, tmp_path, study_of
):
    space = tmp_path / "space.yaml"
    other = "timm:test_resnet"
    space.write_text(
        "lr: {low: 1.0e-4, high: 1.0e-2, log: true}\n"
        f"model: {{choices: ['{TINY}', '{other}']}}\n"
        f"label_smoothing: {{low: 0.0, high: 0.1, when: {{model: ['{other}']}}}}\n"
    )
    code = finetune(
        "--smoke-test", "--models", TINY, other, "--weights", "none", "--search", "optuna",
        "--space", space, "--objective", "accuracy,latency_ms,parameters,macs", "--trials", 6,
        "--sampler", "random", "--storage-path", tmp_path,
    )  # fmt: skip
    assert code == 0
    run = tmp_path / "finetune"
    study = study_of(run)
    for trial in study.trials:
        assert ("label_smoothing" in trial.params) == (trial.params["model"] == other)
    trials = load_trials(run)
    costs = trials.groupby("config/model")[["parameters", "macs"]].first()
    assert (costs.loc[TINY] < costs.loc[other]).all()
    assert (trials["latency_ms"] > 0).all()
    front = load_front(run)
    assert set(front["trial"]) == {f"trial-{t.number:03d}" for t in study.best_trials}
    assert TINY in set(front["config/model"])  # the cheaper one


def test_a_search_begins_with_published_settings_and_ends_with_a_soup(
    local_ray, finetune, tmp_path, study_of, capfd
):
    torch.manual_seed(0)
    weights = tmp_path / "weights.safetensors"
    save_file(build_model("timm:test_resnet", 10, 32).state_dict(), weights)
    code = finetune(
        "--smoke-test", "--models", "timm:test_resnet", "--weights", weights, "--search",
        "optuna", "--trials", 5, "--storage-path", tmp_path,
    )  # fmt: skip
    assert code == 0
    run = tmp_path / "finetune"
    first = study_of(run).trials[0].params
    assert first["lr"] == pytest.approx(0.003 * 64 / 512)
    assert (first["optimizer"], first["batch_size"]) == ("sgd", 64)
    ((name, made),) = load_run(run)["soups"].items()
    assert name == "soup-timm.test_resnet"
    assert len(made["tried"]) == 5
    trials = load_trials(run).set_index("trial")
    assert (name in trials.index) == made["better"]
    assert name in capfd.readouterr().out
    # Nothing is averaged again.
    assert finetune("--name", "finetune", "--storage-path", tmp_path, "--resume") == 0
    pd.testing.assert_frame_equal(load_trials(run).set_index("trial"), trials)
    assert name not in capfd.readouterr().out.split("Best:")[0].split("trial ")[0]


def test_each_network_has_its_own_weights(local_ray, finetune, weights, tmp_path):
    code = finetune(
        "--smoke-test", "--models", "timm:test_resnet", TINY, "--weights", "none", weights,
        "--lr", 1e-3, "--storage-path", tmp_path,
    )  # fmt: skip
    assert code == 0
    trials = load_trials(tmp_path / "finetune").set_index("config/model")
    assert dict(trials["config/weights"]) == {"timm:test_resnet": "none", TINY: str(weights)}
    assert list(load_run(tmp_path / "finetune")["weights"]) == [TINY]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--models", "resnet81"], ["resnet81", "resnet18"]),
        (["--models", TINY, "--weights", "absent.safetensors"], ["absent", "no such file"]),
        (["--models", TINY], ["pretrained", "no weights of its own"]),
        (["--models", TINY, "--mode", "probe", "--weights", "none"], ["probe", "mode full"]),
        (["--models", "resnet18", "resnet34", "--weights", "x.pt"], ["x.pt", "one entry for each"]),
        (["--models", "resnet18", "--weights", "none", "none"], ["none none", "one entry"]),
        (
            ["--search", "optuna", "--models", "resnet18", TINY, "--weights", "none", "default"],
            ["none default", "--search grid"],
        ),
        (["--models", "densenet121", "--weights", "none", "--image-size", 16], ["16", "29"]),
        (["--models", TINY, "--weights", "none", "--image-size", "native"], ["image size"]),
        (["--models", "cnn"], ["cnn", "half or dataset"]),
        (["--models", "resnet18", "--weights", "none", "--aux-loss"], ["resnet18", "auxiliary"]),
        (["--models", "cnn", "--normalize", "half"], ["cnn", "no weights"]),
        (["--lr", 0, "--weights", "none"], ["learning rate 0"]),
        (["--lr", 1, 1, "--weights", "none"], ["1.0 2 times"]),
        (["--trials", 5, "--weights", "none"], ["--trials", "--search optuna"]),
        (["--scheduler", "pbt", "--weights", "none"], ["pbt", "--search optuna"]),
        (["--search", "optuna", "--lr", 1, 2], ["--lr", "one"]),
        (["--search", "optuna", "--lr", "1e-5", "1e-4", "1e-3"], ["--lr", "one"]),  # the default
        (["--search", "optuna", "--seeds", 2], ["--seeds", "grid"]),
        (["--penalty", 1], ["--penalty", "--mode probe only"]),
        (["--mode", "probe", "--penalty", 0], ["penalty 0", "above 0"]),
        (["--mode", "probe", "--penalty", 1, 1], ["--penalty", "2 times"]),
        (["--mode", "probe", "--epochs", 3], ["--epochs", "no effect", "--mode probe"]),
        (["--mode", "probe", "--lr", 0.1], ["--lr", "no effect", "--mode probe"]),
        (["--layer-decay", 0, "--weights", "none"], ["layer_decay", "above 0"]),
        (["--mode", "lora", "--lora-rank", 0], ["lora_rank is 0"]),
        (["--lora-rank", 4], ["--lora-rank applies to --mode lora only"]),
        (["--head-epochs", 2], ["--head-epochs applies to --mode gradual only"]),
        (["--mode", "lora", "--weights", "none"], ["lora", "mode full"]),
        (["--warmup", 0.1, "--schedule", "one_cycle"], ["warmup is 0.1", "one_cycle", "cosine"]),
        (["--clip-norm", 0], ["clip_norm is 0", "above 0"]),
        (["--ema", 1], ["ema is 1", "below 1"]),
        (["--patience", 0], ["patience is 0"]),
        (["--patience", 2, "--scheduler", "hyperband"], ["--patience 2", "hyperband", "asha"]),
        (
            ["--patience", 2, "--scheduler", "pbt", "--search", "optuna"],
            ["--patience 2", "pbt", "asha"],
        ),
        (
            ["--models", TINY, "--weights", "none", "--drop-path", 0.1],
            ["--drop-path 0.1", "tests.nets:tiny has no stochastic depth"],
        ),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_bad_input_is_one_message_before_anything_starts(
    options, words, finetune, tmp_path, assert_one_message
):
    assert finetune(*options, "--storage-path", tmp_path / "runs") == 2
    assert_one_message(words)
    assert not (tmp_path / "runs").exists()


def test_the_recipe_modern_is_for_every_mode_and_network(
    local_ray, finetune, weights, tmp_path, capfd
):
    code = finetune(
        *SHORT, "--models", TINY, "--weights", weights, "--mode", "probe", "full", "--recipe",
        "modern", "--epochs", 8, "--patience", 1, "--lr", 1e-30, "--storage-path", tmp_path,
    )  # fmt: skip
    assert code == 0
    trials = load_trials(tmp_path / "finetune")
    assert set(trials["status"]) == {"finished"}
    trained = trials.query("`config/mode` == 'full'").iloc[0]
    assert trained["config/augment"] == "photo"
    assert trained["config/ema"] == 0.9998
    assert trained["epochs"] < 8
    assert set(trials.query("`config/mode` == 'probe'")["config/augment"]) == {"none"}
    assert "ended before epoch 8, after 1 without a better accuracy" in capfd.readouterr().out


def test_a_search_leaves_out_what_a_recipe_cannot_have(local_ray, finetune, weights, tmp_path):
    space = tmp_path / "space.yaml"
    space.write_text(
        "mode: {choices: [probe, full]}\nschedule: {choices: [one_cycle, cosine]}\n"
        "warmup: {low: 0.1, high: 0.2}\n"
    )
    code = finetune(
        *SHORT, "--models", TINY, "--weights", weights, "--mode", "probe", "full", "--recipe",
        "modern", "--search", "optuna", "--trials", 5, "--sampler", "random", "--space", space,
        "--storage-path", tmp_path,
    )  # fmt: skip
    assert code == 0
    trials = load_trials(tmp_path / "finetune")
    assert {"finished", "stopped"} >= set(trials["status"])
    for row in trials.to_dict("records"):
        assert (row["config/augment"] == "none") == (row["config/mode"] == "probe")
        assert (row["config/warmup"] == 0) == (row["config/schedule"] == "one_cycle")


def test_rates_that_differ_late_are_trials_of_their_own():
    options = FinetuneOptions(lr=(0.1234567, 0.1234568))
    trials = job.grid(options, {TINY: TrialConfig(lr=1.0, model=TINY)})
    assert [trial.lr for trial in trials.values()] == [0.1234567, 0.1234568]


def test_one_file_for_several_networks_is_of_ones_own():
    def found(*weights, models=("timm:test_resnet", TINY)):
        return weights_of(FinetuneOptions(models=models, weights=weights))

    assert found("mine.pt") == {"timm:test_resnet": "default", TINY: "mine.pt"}
    assert found("none") == {"timm:test_resnet": "none", TINY: "none"}
    assert found("none", "mine.pt") == {"timm:test_resnet": "none", TINY: "mine.pt"}
    for models in (("resnet18", "resnet34"), (TINY, "tests.nets:other", "resnet18")):
        with pytest.raises(InputError, match="one entry for each"):
            found("mine.pt", models=models)


def test_a_grid_is_not_extended(run, finetune, assert_one_message):
    assert finetune("--name", run.name, "--storage-path", run.parent, "--extend", 5) == 2
    assert_one_message(["--extend 5", "a grid has all its trials"])


def test_weights_of_another_network_are_refused(finetune, weights, tmp_path, assert_one_message):
    code = finetune("--models", "resnet18", "--weights", weights, "--storage-path", tmp_path)
    assert code == 2
    assert_one_message(["do not fit resnet18", "conv1.weight is missing", "more"])
    assert not list(tmp_path.iterdir())


def test_a_probe_of_a_convolutional_head_is_refused(finetune, tmp_path, assert_one_message):
    file = tmp_path / "w.safetensors"
    save_file(build_model("squeezenet1_1", 10, 32).state_dict(), file)
    code = finetune(
        "--models", "squeezenet1_1", "--weights", file, "--mode", "probe",
        "--storage-path", tmp_path / "runs",
    )  # fmt: skip
    assert code == 2
    assert_one_message(["squeezenet1_1", "convolution", "mode full"])


def test_a_trial_that_hangs_is_ended(local_ray, finetune, tmp_path, monkeypatch):
    monkeypatch.setattr(tuner, "WORKER_RETRIES", 0)
    words = "--models", "tests.nets:hangs", "--weights", "none", "--lr", 1e-3
    assert finetune(*SHORT, *words, "--trial-timeout", 1, "--storage-path", tmp_path) == 1
    (trial,) = load_trials(tmp_path / "finetune").to_dict("records")
    assert trial["status"] == "failed"
    assert "no epoch within 1 s" in trial["error"]
