"""Model registry: builds a network with random weights by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.errors import InputError
from trainables.models import cnn, pretrained
from trainables.models.own_networks import described
from trainables.models.registry import BUILDERS, is_registered, list_models, register_model

__all__ = [
    "build_for",
    "build_model",
    "cnn",
    "is_registered",
    "list_models",
    "model_arguments",
    "parameter_count",
    "pretrained",
    "register_model",
]


def build_model(name: str, num_classes: int, image_size: int, **model_args: Any) -> nn.Module:
    """Build a network with random weights.

    It maps normalised images, B×3×H×W, float32, to logits, B×num_classes.

    Args:
        name: One of `list_models()`, a classifier of torchvision, `timm:NAME` or
            `package.module:function`.
        num_classes: Number of classes.
        image_size: Height and width of the input in pixels.
        model_args: Keyword arguments, out of `model_arguments(name)`.

    Raises:
        InputError: There is no such model, or it cannot be built for that image size.
    """
    builder = _builder(name)
    try:
        return builder(num_classes=num_classes, image_size=image_size, **model_args)
    except InputError:
        raise
    except Exception as error:  # torch raises whatever impossible sizes lead it to
        given = ", ".join(f"{key}={value}" for key, value in model_args.items())
        raise InputError(
            f"{name} cannot be built for {num_classes} classes and images of {image_size} pixels"
            f"{f' with {given}' if given else ''} ({described(error)}): use other values"
        ) from error


def build_for(config: TrialConfig, data: TrainingData) -> nn.Module:
    """Build the network of a trial with random weights.

    Raises:
        InputError: There is no such model, or it cannot be built for that image size.
    """
    size = config.network_size(data.image_size)
    return build_model(config.model, len(data.classes), size, **config.build_args)


def model_arguments(name: str) -> dict[str, Any]:
    """Return the keyword arguments that `build_model` accepts as `model_args`, with defaults.

    The default is None for an argument that has no default.

    Raises:
        InputError: There is no such model.
    """
    return {
        argument: None if parameter.default is parameter.empty else parameter.default
        for argument, parameter in inspect.signature(_builder(name)).parameters.items()
        if argument not in ("num_classes", "image_size")
        and parameter.kind is not parameter.VAR_KEYWORD
    }


def _builder(name: str) -> Callable[..., nn.Module]:
    if name in BUILDERS:
        return BUILDERS[name]
    pretrained.input_spec(name)  # raises InputError for an unknown name
    return partial(pretrained.build, name)


def parameter_count(model: nn.Module) -> int:
    """Count the trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
