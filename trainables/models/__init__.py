"""The registry of models: a name -> a function that builds an untrained network."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from torch import nn

from trainables.config import TrialConfig
from trainables.data import TrainingData

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

    Args:
        name: of `list_models()`, of a network of torchvision, `timm:NAME` or
            `package.module:function`.
        num_classes: outputs.
        image_size: pixels of height and width.
        model_args: those of `model_arguments(name)`.

    Raises:
        InputError: no model has that name, or it cannot be built for that image size.
    """
    return _builder(name)(num_classes=num_classes, image_size=image_size, **model_args)


def build_for(config: TrialConfig, data: TrainingData) -> nn.Module:
    """Build the network of a trial, untrained; raises as `build_model` does."""
    size = config.input_size or data.image_size
    return build_model(config.model, len(data.classes), size, **config.build_args)


def is_registered(name: str) -> bool:
    """Whether a model is of our own registry, and not a network of another package."""
    return name in _BUILDERS


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
    if name in _BUILDERS:
        return _BUILDERS[name]
    pretrained.input_spec(name)  # refuses a name that nobody knows
    return partial(pretrained.build, name)


def parameter_count(model: nn.Module) -> int:
    """Number of learnable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


from trainables.models import cnn, pretrained  # noqa: E402, F401  the CNN registers itself
