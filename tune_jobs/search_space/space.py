"""Search spaces: parameters, their conditions, sampling, and conversion to trial configs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from trainables.config import TrialConfig

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A searched setting: a range, both ends included, or a set of choices."""

    name: str
    """Field of TrialConfig, or `model.ARG` for an argument of the model."""
    kind: Literal["float", "int", "categorical"]
    """Type of the parameter: a range of floats or integers, or categorical choices."""
    low: float | int | None = None
    """Lowest value of the range; None for choices."""
    high: float | int | None = None
    """Highest value of the range; None for choices."""
    log: bool = False
    """Whether the range is sampled on a logarithmic scale."""
    step: float | int | None = None
    """Step of the values low, low + step, low + 2·step…; None for every value of the range."""
    choices: tuple[Any, ...] = ()
    """Values of a categorical parameter; empty for a range."""
    when: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """Condition: allowed values by the name of an earlier parameter; empty for none."""


Space: TypeAlias = dict[str, Parameter]
"""Parameters by name, in the order of sampling."""


class Suggester(Protocol):
    """Protocol of the sampling methods of an Optuna trial."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Sample a float from a range."""

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Sample an integer from a range."""

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """Sample one of the choices."""


# Shared by all trials: otherwise their scores would not be comparable, or would differ by luck.
NOT_SEARCHED = (
    "epochs", "precision", "split", "seed", "model_args", "weights", "input_size",
    "resize_to", "interpolation", "metric", "patience",
)  # fmt: skip
# Settings without effect on the networks of this package, which have no pretrained weights.
PRETRAINED_ONLY = (
    "model", "mode", "penalty", "head_epochs", "layer_decay", "lora_rank", "freeze_batch_norm",
    "drop_path",
)  # fmt: skip
# Settings that matter to mode probe.
PROBE_SETTINGS = (
    "model", "penalty", "class_weights", "normalize", "image_size", "resize",
)  # fmt: skip


def searchable(model: str) -> dict[str, Any]:
    """Return the names of the parameters that can be searched with a model, and their defaults.

    Raises:
        InputError: the model is unknown.
    """
    from trainables.models import is_registered, model_arguments  # imports torch

    arguments = model_arguments(model)
    config = TrialConfig(lr=1e-3, model=model)
    excluded = NOT_SEARCHED + (PRETRAINED_ONLY if is_registered(model) else ())
    names = [f.name for f in dataclasses.fields(config) if f.name not in excluded]
    values = {"lr": config.lr} | {name: getattr(config, name) for name in names}
    # Dropout is a setting of the trial, for the models that have it.
    del values["dropout"]
    if "dropout" in arguments and is_registered(model):
        values["dropout"] = arguments.pop("dropout")
    return values | {f"model.{name}": default for name, default in arguments.items()}


def without(space: Space, names: Iterable[str], config: TrialConfig) -> Space:
    """Return the space without the parameters fixed to their values in `config`.

    Parameters whose condition does not hold for the fixed values are removed as well.

    Args:
        space: search space.
        names: names of the fixed parameters.
        config: configuration with their values.
    """
    fixed = {name: getattr(config, name) for name in names if name in space}
    left: Space = {}
    for parameter in space.values():
        decided = {name: allowed for name, allowed in parameter.when.items() if name not in left}
        holds = all(
            name in fixed and is_among(fixed[name], allowed) for name, allowed in decided.items()
        )
        if parameter.name not in fixed and holds:
            open_ = {name: v for name, v in parameter.when.items() if name in left}
            left[parameter.name] = dataclasses.replace(parameter, when=open_)
    return left


def suggest(space: Space, trial: Suggester) -> dict[str, Any]:
    """Sample a value for every parameter whose condition holds, and return the values by name."""
    values: dict[str, Any] = {}
    for parameter in space.values():
        if _exists(parameter, values):
            values[parameter.name] = _draw(parameter, trial)
    return values


def _draw(parameter: Parameter, trial: Suggester) -> Any:
    if parameter.kind == "categorical":
        choices = {optuna_value(choice): choice for choice in parameter.choices}
        return choices[trial.suggest_categorical(parameter.name, list(choices))]
    draw = trial.suggest_int if parameter.kind == "int" else trial.suggest_float
    return draw(parameter.name, **_range(parameter))


def _range(parameter: Parameter) -> dict[str, Any]:
    """Return a range as arguments of Optuna's suggest methods and distributions."""
    step = 1 if parameter.kind == "int" and parameter.step is None else parameter.step
    return {"low": parameter.low, "high": parameter.high, "log": parameter.log, "step": step}


def _exists(parameter: Parameter, values: dict[str, Any]) -> bool:
    return all(
        name in values and is_among(values[name], allowed)
        for name, allowed in parameter.when.items()
    )


def optuna_value(value: Any) -> Any:
    """Return a value as Optuna stores it: lists, which it does not support, as JSON text."""
    return json.dumps(value) if isinstance(value, (list, tuple)) else value


def is_among(value: Any, values: Iterable[Any]) -> bool:
    """Return whether a value is one of `values`; a tuple equals the list of its elements."""
    return optuna_value(value) in map(optuna_value, values)


def contains(parameter: Parameter, value: Any) -> bool:
    """Return whether a value is within a parameter's range or choices."""
    if parameter.kind == "categorical":
        return is_among(value, parameter.choices)
    whole = parameter.kind == "int"
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return False
    assert parameter.low is not None
    assert parameter.high is not None
    steps = (value - parameter.low) / (parameter.step or 1)
    on_step = parameter.step is None or abs(steps - round(steps)) < 1e-8  # the tolerance of Optuna
    return on_step and parameter.low <= value <= parameter.high


def to_config(values: dict[str, Any], base: TrialConfig) -> TrialConfig:
    """Return `base` with the values of the searched parameters.

    Args:
        values: values by parameter name.
        base: configuration of the parameters that are not searched.

    Raises:
        InputError: the values are not valid together with the base.
    """
    settings = {name: value for name, value in values.items() if not name.startswith("model.")}
    arguments = {
        name.removeprefix("model."): value for name, value in values.items() if name not in settings
    }
    # A model argument takes precedence over the setting of the same name (dropout).
    kept = {name: value for name, value in base.model_args.items() if name not in settings}
    if settings.get("mode", base.mode) == "probe":
        base = base.as_probe()
        settings = {name: value for name, value in settings.items() if name in PROBE_SETTINGS}
    return base.replaced(**settings, model_args=kept | arguments)


def params_of(config: TrialConfig, space: Space) -> dict[str, Any]:
    """Return the parameter values of a configuration by name, as Optuna stores them.

    This is the inverse of `suggest` and `to_config`. Parameters whose condition does not hold, or
    whose value is outside the space, are left out.
    """
    defaults = searchable(config.model)
    return within(space, {name: _value(config, name, defaults) for name in space})


def within(space: Space, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a trial of a space can have, as Optuna stores them.

    Left out are those that are no parameter, are out of its range, or whose condition does not
    hold.

    Args:
        space: search space.
        settings: values by parameter name.
    """
    values: dict[str, Any] = {}
    for parameter in space.values():
        if parameter.name not in settings or not contains(parameter, settings[parameter.name]):
            continue
        if _exists(parameter, values):
            values[parameter.name] = settings[parameter.name]
    return {name: optuna_value(value) for name, value in values.items()}


def _value(config: TrialConfig, name: str, defaults: dict[str, Any]) -> Any:
    """Return a parameter's value in a configuration, or the model's default."""
    if name == "dropout" or name.startswith("model."):
        return config.build_args.get(name.removeprefix("model."), defaults.get(name))
    return getattr(config, name)


def distributions(space: Space, params: Iterable[str]) -> dict[str, BaseDistribution]:
    """Return the Optuna distributions of the parameters with these names."""
    return {name: _distribution(space[name]) for name in params}


def _distribution(parameter: Parameter) -> BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if parameter.kind == "categorical":
        return CategoricalDistribution([optuna_value(choice) for choice in parameter.choices])
    distribution = IntDistribution if parameter.kind == "int" else FloatDistribution
    return distribution(**_range(parameter))
