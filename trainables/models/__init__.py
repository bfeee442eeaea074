"""The registry of models: a name -> a function that builds an untrained network."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from trainables.errors import InputError

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])
_BUILDERS: dict[str, Callable[..., nn.Module]] = {}


def register_model(name: str) -> Callable[[Builder], Builder]:
    """Make a function or class that takes `num_classes` and `image_size` known by a name."""

    def register(builder: Builder) -> Builder:
        assert name not in _BUILDERS, name
        _BUILDERS[name] = builder
        return builder

    return register


def list_models() -> list[str]:
    """Names that `build_model` knows, sorted."""
    return sorted(_BUILDERS)


def build_model(name: str, num_classes: int, image_size: int, **model_args: Any) -> nn.Module:
    """Build a network that turns B×3×H×W floats into B×num_classes logits.

    Raises:
        InputError: no model has that name, or it cannot be built for that image size.
    """
    return _builder(name)(num_classes=num_classes, image_size=image_size, **model_args)


def model_arguments(name: str) -> dict[str, Any]:
    """What `build_model` takes as `model_args`, with the defaults; None where there is none.

    Raises:
        InputError: no model has that name.
    """
    return {
        argument: None if parameter.default is parameter.empty else parameter.default
        for argument, parameter in inspect.signature(_builder(name)).parameters.items()
        if argument not in ("num_classes", "image_size")
        and parameter.kind is not parameter.VAR_KEYWORD
    }


def _builder(name: str) -> Callable[..., nn.Module]:
    if name not in _BUILDERS:
        raise InputError(f"model {name!r} is unknown; the models are {', '.join(list_models())}")
    return _BUILDERS[name]


def parameter_count(model: nn.Module) -> int:
    """Number of learnable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


from trainables.models import cnn  # noqa: E402, F401  the models register themselves
