"""Default search spaces of the jobs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tune_jobs.search_space.space import Parameter, Space, searchable


def default_space(model: str = "cnn") -> Space:
    """Return the default search space of a search over one network.

    Args:
        model: name of the network; the parameters that it does not support are left out.

    Raises:
        InputError: the model is unknown.
    """
    parameters = [
        Parameter(name="lr", kind="float", low=1e-4, high=1e-1, log=True),
        _choice("batch_size", 32, 64, 128),
        _choice("optimizer", "adam", "adamw", "sgd"),
        Parameter(name="momentum", kind="float", low=0.8, high=0.99, when={"optimizer": ("sgd",)}),
        Parameter(name="weight_decay", kind="float", low=1e-6, high=1e-1, log=True),
        _choice("schedule", "constant", "cosine", "one_cycle"),
        Parameter(name="dropout", kind="float", low=0.0, high=0.7),
        Parameter(name="label_smoothing", kind="float", low=0.0, high=0.2),
        _choice("augment", "none", "flip_crop"),
    ]
    if model == "cnn":
        parameters += [
            _choice("model.widths", [16, 32, 64], [32, 64, 128], [64, 128, 256]),
            _choice("model.kernel_size", 3, 5),
            _choice("model.hidden_units", 32, 64, 128, 256),
        ]
    known = searchable(model)
    return {parameter.name: parameter for parameter in parameters if parameter.name in known}


def finetune_space(models: Sequence[str], modes: Sequence[str]) -> Space:
    """Return the default search space of fine-tuning.

    Args:
        models: networks; searched if there are several.
        modes: fine-tuning modes; searched if there are several.
    """
    parameters = []
    if len(models) > 1:
        parameters.append(_choice("model", *models))
    if len(modes) > 1:
        parameters.append(_choice("mode", *modes))
    trained = tuple(mode for mode in modes if mode != "probe")
    if trained:
        steps = [
            Parameter(name="lr", kind="float", low=1e-6, high=1e-1, log=True),
            _choice("batch_size", 32, 64, 128),
            _choice("optimizer", "adam", "adamw", "sgd"),
            Parameter(name="weight_decay", kind="float", low=1e-8, high=1e-1, log=True),
            _choice("schedule", "constant", "cosine", "one_cycle"),
            Parameter(name="label_smoothing", kind="float", low=0.0, high=0.2),
            Parameter(name="warmup", kind="float", low=0.0, high=0.2, when=_SCHEDULED),
            _choice("augment", "none", "flip_crop", "photo"),
            _choice("clip_norm", None, 1.0),
            _choice("ema", 0.0, 0.9998),
            Parameter(name="layer_decay", kind="float", low=0.4, high=1.0),
        ]
        when = {"mode": trained} if "probe" in modes else {}
        parameters += [dataclasses.replace(step, when=step.when | when) for step in steps]
    else:
        parameters.append(Parameter(name="penalty", kind="float", low=1e-4, high=10.0, log=True))
    return {parameter.name: parameter for parameter in parameters}


_SCHEDULED = {"schedule": ("constant", "cosine")}
"""Condition of the warm-up: the schedule one_cycle has one of its own."""


def _choice(name: str, *choices: Any) -> Parameter:
    return Parameter(name=name, kind="categorical", choices=choices)
