import dataclasses
import json

import pytest

from trainables.config import RECIPES, Recipe, TrialConfig
from trainables.errors import InputError

NAN, INF = float("nan"), float("inf")

BAD_VALUES = [
    ("lr", 0.0),
    ("lr", -0.1),
    ("lr", NAN),
    ("lr", INF),
    ("epochs", 0),
    ("epochs", -3),
    ("batch_size", 0),
    ("label_smoothing", -0.1),
    ("label_smoothing", 1.0),
    ("label_smoothing", NAN),
    ("momentum", -0.1),
    ("momentum", 1.0),
    ("dropout", -0.1),
    ("dropout", 1.0),
    ("dropout", NAN),
    ("weight_decay", -1e-4),
    ("weight_decay", INF),
    ("weight_decay", NAN),
    ("rotation", -1.0),
    ("rotation", 181.0),
    ("rotation", NAN),
    *((key, value) for key in ("mixup", "cutmix") for value in (-0.1, INF, NAN)),
    *((key, value) for key in ("warmup", "ema", "drop_path") for value in (-0.1, 1.0, NAN)),
    *(("clip_norm", value) for value in (0.0, -1.0, INF, NAN)),
    *((key, 0) for key in ("patience", "lora_rank")),
    *(("layer_decay", value) for value in (0.0, 1.1, NAN)),
    ("split", (0.6, 0.2, 0.1)),
    ("split", (0.8, 0.2, 0.0)),
    ("split", (1.2, -0.1, -0.1)),
    ("split", (NAN, 0.5, 0.5)),
    pytest.param("split", (0.5, 0.5)),
    *(
        pytest.param(key, "typo")
        for key in ("loss", "optimizer", "schedule", "augment", "normalize", "precision")
    ),
]
NAMES = {"lr": "learning rate"}


@pytest.mark.parametrize(("key", "value"), BAD_VALUES)
def test_a_bad_value_is_refused_by_name(key, value):
    with pytest.raises(InputError) as error:
        TrialConfig.from_dict({"lr": 0.1, key: value})
    assert NAMES.get(key, key) in str(error.value)
    for each in value if isinstance(value, tuple) else [value]:
        assert str(each) in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 1),
        ("batch_size", 1),
        ("label_smoothing", 0.0),
        ("weight_decay", 0.0),
        ("momentum", 0.0),
        ("dropout", 0.0),
        ("rotation", 180),
        ("mixup", 0),
        ("lr", 1e-30),
        ("split", (0.7, 0.2, 0.1)),
        ("split", (1 / 3, 1 / 3, 1 / 3)),
    ],
)
def test_the_edge_of_a_range_is_accepted(key, value):
    assert getattr(TrialConfig(**{"lr": 0.1, key: value}), key) == value


def test_nesterov_momentum_of_zero_is_refused_before_torch_refuses_it():
    with pytest.raises(InputError, match="momentum is 0"):
        TrialConfig(lr=0.1, optimizer="sgd", momentum=0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("augment", "photo"),
        ("vertical_flip", True),
        ("rotation", 10.0),
        ("mixup", 0.2),
        ("cutmix", 1.0),
    ],
)
def test_what_changes_the_images_in_every_epoch_is_refused_with_cached_features(key, value):
    with pytest.raises(InputError, match=f"{key} {value} .*mode probe"):
        TrialConfig(lr=0.1, model="resnet18", weights="default", mode="probe", **{key: value})


def test_a_change_turns_off_the_parts_of_a_recipe_that_it_excludes():
    config = TrialConfig(lr=0.1, model="resnet18", weights="default", augment="photo", warmup=0.1)
    probe, cycle = config.replaced(mode="probe", lr=0.2), config.replaced(schedule="one_cycle")
    assert (probe.mode, probe.lr, probe.augment, probe.warmup) == ("probe", 0.2, "none", 0.1)
    assert (cycle.schedule, cycle.augment, cycle.warmup) == ("one_cycle", "photo", 0.0)


@pytest.mark.parametrize("key", ["learning_rate", "Epochs", "optimiser", "momentum "])
def test_an_unknown_key_is_refused_by_name(key):
    with pytest.raises(InputError, match=repr(key)):
        TrialConfig.from_dict({"lr": 0.1, key: 1})


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_config_survives_json(recipe):
    config = TrialConfig(
        **dataclasses.asdict(RECIPES[recipe]),
        lr=3e-4,
        seed=7,
        model_args={"widths": [8, 16], "dropout": 0.1},
    )
    assert TrialConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_dropout_is_the_models_own_unless_it_is_given():
    assert TrialConfig(lr=0.1, model_args={"widths": [8]}).build_args == {"widths": [8]}
    assert TrialConfig(lr=0.1, dropout=0.0).build_args == {"dropout": 0.0}


def test_to_dict_gives_a_copy():
    config = TrialConfig(lr=0.1, model_args={"widths": [8]})
    config.to_dict()["model_args"]["widths"].append(16)
    assert config.model_args == {"widths": [8]}


def test_standard_differs_from_the_report_in_loss_and_split_alone():
    standard, report = RECIPES["standard"], RECIPES["report"]
    different = {
        f.name
        for f in dataclasses.fields(Recipe)
        if getattr(standard, f.name) != getattr(report, f.name)
    }
    assert different == {"loss", "split"}


def test_the_report_recipe_is_that_of_the_report():
    report = RECIPES["report"]
    assert (report.epochs, report.batch_size, report.optimizer) == (20, 64, "adam")
    assert (report.loss, report.split) == ("softmax_cross_entropy", (0.6, 0.2, 0.2))
    assert (report.normalize, report.augment, report.schedule) == ("half", "none", "constant")
    assert report.weight_decay == report.label_smoothing == 0
