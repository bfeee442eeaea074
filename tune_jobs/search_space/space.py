"""What a search varies: parameters, the conditions they exist under, and their way to a trial."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from trainables.config import TrialConfig

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One setting that is searched: a range, both ends included, or a set of choices."""

    name: str
    """A field of TrialConfig, or `model.ARG` for an argument of the model."""
    kind: Literal["float", "int", "categorical"]
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    """Search the range on a logarithmic scale."""
    step: float | int | None = None
    """Only low, low + step, low + 2·step…"""
    choices: tuple[Any, ...] = ()
    when: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """It exists only where these parameters, all before it, have one of these values."""


Space: TypeAlias = dict[str, Parameter]
"""Parameters by name, in the order they are drawn."""


class Suggester(Protocol):
    """The part of an Optuna trial that draws values."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Draw a number."""

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Draw a whole number."""

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """Draw one of the choices."""


# The same for all trials: the budget, what is measured with, and what would only be luck.
NOT_SEARCHED = (
    "epochs", "precision", "split", "seed", "model_args", "weights", "input_size",
)  # fmt: skip
# What a network of our own has no use for.
OF_PRETRAINED = ("model", "mode", "head_epochs", "layer_decay", "freeze_batch_norm")


def searchable(model: str) -> dict[str, Any]:
    """What can be searched with a model, by name, with the value it has where it is not.

    Raises:
        InputError: no model has that name.
    """
    from trainables.models import is_registered, model_arguments  # imports torch

    arguments = model_arguments(model)
    config = TrialConfig(lr=1e-3, model=model)
    left_out = NOT_SEARCHED + (OF_PRETRAINED if is_registered(model) else ())
    names = [f.name for f in dataclasses.fields(config) if f.name not in left_out]
    values = {"lr": config.lr} | {name: getattr(config, name) for name in names}
    # Dropout is a setting of its own, for the models that have it.
    del values["dropout"]
    if "dropout" in arguments and is_registered(model):
        values["dropout"] = arguments.pop("dropout")
    return values | {f"model.{name}": default for name, default in arguments.items()}


def without(space: Space, names: Iterable[str], config: TrialConfig) -> Space:
    """The space less the parameters of those names, which have the value that `config` has."""
    given = {name: getattr(config, name) for name in names if name in space}
    left: Space = {}
    for parameter in space.values():
        decided = {name: allowed for name, allowed in parameter.when.items() if name not in left}
        holds = all(
            name in given and is_among(given[name], allowed) for name, allowed in decided.items()
        )
        if parameter.name not in given and holds:
            open_ = {name: v for name, v in parameter.when.items() if name in left}
            left[parameter.name] = dataclasses.replace(parameter, when=open_)
    return left


def suggest(space: Space, trial: Suggester) -> dict[str, Any]:
    """Draw a value for each parameter whose condition holds, by name."""
    values: dict[str, Any] = {}
    for parameter in space.values():
        if _exists(parameter, values):
            values[parameter.name] = _draw(parameter, trial)
    return values


def _draw(parameter: Parameter, trial: Suggester) -> Any:
    if parameter.kind == "categorical":
        choices = {stored(choice): choice for choice in parameter.choices}
        return choices[trial.suggest_categorical(parameter.name, list(choices))]
    draw = trial.suggest_int if parameter.kind == "int" else trial.suggest_float
    return draw(parameter.name, **_range(parameter))


def _range(parameter: Parameter) -> dict[str, Any]:
    """A range as Optuna's arguments, which are the same for a trial and a distribution."""
    step = 1 if parameter.kind == "int" and parameter.step is None else parameter.step
    return {"low": parameter.low, "high": parameter.high, "log": parameter.log, "step": step}


def _exists(parameter: Parameter, values: dict[str, Any]) -> bool:
    return all(
        name in values and is_among(values[name], allowed)
        for name, allowed in parameter.when.items()
    )


def stored(value: Any) -> Any:
    """A value as Optuna stores it, which knows no lists: those are JSON text."""
    return json.dumps(value) if isinstance(value, (list, tuple)) else value


def is_among(value: Any, values: Iterable[Any]) -> bool:
    """Whether a value is one of several; a tuple is the list of the same elements."""
    return stored(value) in map(stored, values)


def contains(parameter: Parameter, value: Any) -> bool:
    """Whether a parameter can have a value."""
    if parameter.kind == "categorical":
        return is_among(value, parameter.choices)
    whole = parameter.kind == "int"
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return False
    assert parameter.low is not None
    assert parameter.high is not None
    steps = (value - parameter.low) / (parameter.step or 1)
    on_step = parameter.step is None or abs(steps - round(steps)) < 1e-8  # as Optuna has it
    return on_step and parameter.low <= value <= parameter.high


def to_config(values: dict[str, Any], base: TrialConfig) -> TrialConfig:
    """The trial that has the values by parameter name, and is `base` in everything else.

    Raises:
        InputError: the values do not go together with the base.
    """
    settings = {name: value for name, value in values.items() if not name.startswith("model.")}
    arguments = {
        name.removeprefix("model."): value for name, value in values.items() if name not in settings
    }
    # An argument of the model would win over the setting of that name, which is dropout.
    kept = {name: value for name, value in base.model_args.items() if name not in settings}
    return dataclasses.replace(base, **settings, model_args=kept | arguments)


def params_of(config: TrialConfig, space: Space) -> dict[str, Any]:
    """The inverse of `suggest` and `to_config`, with the values as Optuna stores them.

    A parameter that does not exist for the trial, or cannot have its value, is left out.
    """
    defaults = searchable(config.model)
    values: dict[str, Any] = {}
    for parameter in space.values():
        value = _value(config, parameter.name, defaults)
        if _exists(parameter, values) and contains(parameter, value):
            values[parameter.name] = value
    return {name: stored(value) for name, value in values.items()}


def _value(config: TrialConfig, name: str, defaults: dict[str, Any]) -> Any:
    """What a trial has for a parameter; the model's default where nothing else is given."""
    if name == "dropout" or name.startswith("model."):
        return config.build_args.get(name.removeprefix("model."), defaults.get(name))
    return getattr(config, name)


def distributions(space: Space, params: Iterable[str]) -> dict[str, BaseDistribution]:
    """Optuna's distributions of the parameters of those names."""
    return {name: _distribution(space[name]) for name in params}


def _distribution(parameter: Parameter) -> BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if parameter.kind == "categorical":
        return CategoricalDistribution([stored(choice) for choice in parameter.choices])
    distribution = IntDistribution if parameter.kind == "int" else FloatDistribution
    return distribution(**_range(parameter))
