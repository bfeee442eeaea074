import dataclasses

import optuna
import pytest

from trainables import models
from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.models import registry
from tune_jobs.search_space.defaults import default_space
from tune_jobs.search_space.space import (
    Parameter,
    distributions,
    params_of,
    searchable,
    suggest,
    to_config,
)

BASE = TrialConfig(lr=1e-3, epochs=3, seed=7, dropout=0.1)
# Every kind of parameter, with conditions on one another.
MIXED = {
    parameter.name: parameter
    for parameter in [
        Parameter(name="lr", kind="float", low=1e-4, high=1e-1, log=True),
        Parameter(name="batch_size", kind="int", low=16, high=64, step=16),
        Parameter(name="dropout", kind="float", low=0.0, high=0.5, step=0.1),
        Parameter(name="optimizer", kind="categorical", choices=("adam", "sgd")),
        Parameter(
            name="momentum", kind="categorical", choices=(0.5, 0.9), when={"optimizer": ("sgd",)}
        ),
        Parameter(name="model.widths", kind="categorical", choices=([4, 8], [8])),
        Parameter(
            name="model.kernel_size", kind="int", low=1, high=3, step=2,
            when={"model.widths": ([8],)},
        ),
        Parameter(
            name="model.hidden_units", kind="int", low=8, high=64, log=True,
            when={"momentum": (0.9,), "model.kernel_size": (3,)},
        ),
    ]
}  # fmt: skip


def trials(space, count):
    """Trials of a new study with the values drawn from the space."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(count):
        trial = study.ask()
        yield trial, suggest(space, trial)


@pytest.mark.parametrize("space", [default_space(), MIXED], ids=["default", "mixed"])
def test_a_trial_has_the_parameters_whose_conditions_hold(space):
    seen = set()
    for trial, values in trials(space, 100):
        assert list(values) == list(trial.params)  # nothing else was asked of Optuna
        for name, parameter in space.items():
            holds = all(values.get(other) in allowed for other, allowed in parameter.when.items())
            assert (name in values) == holds
        seen.add(frozenset(values))
    assert len(seen) > 1


def test_momentum_is_searched_for_sgd_alone():
    for _, values in trials(default_space(), 50):
        assert ("momentum" in values) == (values["optimizer"] == "sgd")


@pytest.mark.parametrize("space", [default_space(), MIXED], ids=["default", "mixed"])
def test_a_trials_config_leads_back_to_what_optuna_drew(space):
    for trial, values in trials(space, 100):
        assert params_of(to_config(values, BASE), space) == trial.params
        assert distributions(space, trial.params) == trial.distributions
        # It can be told to a study, which checks that each value is in its distribution.
        optuna.trial.create_trial(
            params=trial.params,
            distributions=distributions(space, trial.params),
            value=0.5,
        )


def test_optuna_stores_lists_as_text():
    for trial, values in trials(default_space(), 5):
        assert isinstance(values["model.widths"], list)
        assert trial.params["model.widths"] == str(values["model.widths"])


def test_every_choice_of_the_default_model_can_be_built():
    space = default_space()
    for name in [name for name in space if name.startswith("model.")]:
        for choice in space[name].choices:
            config = to_config({name: choice}, BASE)
            models.build_model(config.model, 10, 16, **config.build_args)


def test_a_config_has_the_values_over_its_base():
    config = to_config({"lr": 0.01, "model.kernel_size": 3}, BASE)
    assert config == dataclasses.replace(BASE, lr=0.01, model_args={"kernel_size": 3})
    again = to_config({"model.hidden_units": 8}, config)
    assert again.model_args == {"kernel_size": 3, "hidden_units": 8}


def test_a_searched_dropout_wins_over_the_models_argument():
    base = dataclasses.replace(BASE, model_args={"dropout": 0.3, "kernel_size": 3})
    config = to_config({"dropout": 0.2}, base)
    assert config.build_args == {"dropout": 0.2, "kernel_size": 3}
    assert params_of(base, MIXED)["dropout"] == 0.3


def test_values_that_do_not_go_with_the_base_are_bad_input():
    with pytest.raises(InputError, match="Nesterov"):
        to_config({"optimizer": "sgd"}, dataclasses.replace(BASE, momentum=0))


def test_what_a_config_leaves_to_the_model_is_the_models_default():
    params = params_of(TrialConfig(lr=1e-3), default_space())
    assert params["dropout"] == 0.5
    assert params["model.widths"] == "[32, 64, 128]"
    assert params["model.kernel_size"] == 5


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"lr": 0.5}, {"lr"}),
        ({"batch_size": 24}, {"batch_size"}),
        ({"batch_size": 80}, {"batch_size"}),
        ({"dropout": 0.25}, {"dropout"}),
        ({"model_args": {"kernel_size": 2, "widths": [8]}}, {"model.kernel_size"}),
        ({"optimizer": "adamw"}, {"optimizer", "momentum"}),
        ({"optimizer": "sgd", "momentum": 0.7}, {"momentum"}),
    ],
)
def test_params_leave_out_what_is_not_in_the_space(changes, missing):
    inside = TrialConfig(
        lr=1e-3, batch_size=32, dropout=0.3, optimizer="sgd",
        model_args={"widths": (8,), "kernel_size": 3},
    )  # fmt: skip
    assert params_of(inside, MIXED).keys() == MIXED.keys()
    params = params_of(dataclasses.replace(inside, **changes), MIXED)
    if missing & {"momentum", "model.kernel_size"}:
        missing = missing | {"model.hidden_units"}  # which depends on both
    assert params.keys() == MIXED.keys() - missing


@pytest.fixture
def other_model(monkeypatch):
    """A model that takes an argument without a default, and any others, but no dropout."""

    def build(num_classes, image_size, depth, pretrained=True, **others):
        raise NotImplementedError

    monkeypatch.setitem(registry.BUILDERS, "other", build)
    return "other"


def test_another_model_has_the_settings_alone(other_model):
    settings = [name for name in default_space() if not name.startswith("model.")]
    settings.remove("dropout")
    assert list(default_space(other_model)) == settings


def test_what_can_be_searched_is_what_the_model_takes(other_model):
    values = searchable(other_model)
    assert {name for name in values if name.startswith("model.")} == {
        "model.depth", "model.pretrained"
    }  # fmt: skip
    assert values["model.pretrained"] is True
    assert not {"dropout", "epochs", "split", "seed", "model"} & values.keys()


def test_an_unknown_model_is_bad_input():
    with pytest.raises(InputError, match="cnn"):
        default_space("cmm")
