"""Networks of other packages: torchvision by name, `timm:NAME`, `package.module:function`."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from trainables.errors import InputError
from trainables.models.heads import find_head, replace_head
from trainables.models.registry import list_models
from trainables.views import Interpolation

AUXILIARY = {
    "googlenet": (("aux1", "fc2"), ("aux2", "fc2")),
    "inception_v3": (("AuxLogits", "fc"),),
}
"""Auxiliary branches of torchvision's networks by model name, each with the name of its head."""
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation per channel of ImageNet, assumed for user-defined networks."""


@dataclass(frozen=True)
class InputSpec:
    """Input images that the pretrained weights of a network expect."""

    size: int | None
    """Height and width in pixels; None if unknown."""
    resize_to: int | None
    """Length in pixels that the shorter side was resized to before the centre was cropped; None if
    unknown."""
    interpolation: Interpolation
    """Interpolation of the resizing."""
    minimum: int
    """Smallest height and width in pixels that the network accepts."""
    mean: tuple[float, float, float]
    """Mean per channel that inputs are normalised with, in 0..1."""
    std: tuple[float, float, float]
    """Standard deviation per channel that inputs are normalised with, above 0."""


def build(
    name: str,
    num_classes: int,
    image_size: int,
    aux_loss: bool = False,
    dropout: float | None = None,
) -> nn.Module:
    """Build a network with random weights and a head of `num_classes` outputs.

    Args:
        name: Name of a torchvision classifier, `timm:NAME` or `package.module:function`.
        num_classes: Number of classes.
        image_size: Height and width of the input in pixels.
        aux_loss: Keep the auxiliary heads of GoogLeNet and Inception, and train with their losses.
        dropout: Dropout probability of every dropout layer; None keeps those of the network.

    Raises:
        InputError: There is no such network, it does not accept such images, or it has no head.
    """
    if aux_loss and name not in AUXILIARY:
        raise InputError(
            f"{name} has no auxiliary heads: use --aux-loss only with {' or '.join(AUXILIARY)}"
        )
    # Some networks compute their widths from tensor values, which the meta device does not have.
    with torch.device("cpu"):
        model = construct(name, num_classes, pretrained=False)
        minimum = input_spec(name).minimum
        if image_size < minimum:
            raise InputError(
                f"image size {image_size} is below the {minimum} pixels that {name} needs: give "
                f"--image-size {minimum} or more, or --image-size native"
            )
        branches = AUXILIARY.get(name, ())
        for branch, head in branches:
            replace_head(model, f"{branch}.{head}", num_classes)
        if not aux_loss and branches:
            setattr(model, "aux_logits", False)  # noqa: B010  mypy expects a module
            for branch, _ in branches:
                setattr(model, branch, None)
        replace_head(model, find_head(model, name, image_size), num_classes)
        if outputs_of(model, image_size) != num_classes:
            raise InputError(
                f"{name} does not return {num_classes} logits per image, although its head has "
                "that many outputs: use a network that returns the outputs of its last layer"
            )
    if dropout is not None:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout
    return model.train()


@torch.inference_mode()
def outputs_of(model: nn.Module, image_size: int) -> int:
    """Return the number of logits that a model in evaluation mode computes per image."""
    return int(model(torch.zeros(1, 3, image_size, image_size)).shape[1])


def construct(name: str, num_classes: int, pretrained: bool) -> nn.Module:
    """Construct a network as its package defines it, with its original head.

    Args:
        name: Name of a torchvision classifier, `timm:NAME` or `package.module:function`.
        num_classes: Number of classes; passed only to a user-defined function that has a parameter
            of that name.
        pretrained: Load the published weights, which may download them.

    Raises:
        InputError: There is no such network.
    """
    if ":" not in name:
        check_torchvision(name)
        # The published weights of these two were trained on inputs of mean and std 0.5, to which
        # transform_input converts; training from scratch is not affected.
        extra: dict[str, Any] = {"aux_logits": True, "transform_input": True}
        extra = extra if name in AUXILIARY else {}
        if extra and not pretrained:
            extra["init_weights"] = True  # the future default of torchvision
        source = "DEFAULT" if pretrained else None
        return torchvision_models().get_model(name, weights=source, **extra)  # type: ignore[no-any-return]
    if name.startswith("timm:"):
        return timm().create_model(checked_timm(name), pretrained=pretrained)  # type: ignore[no-any-return]
    function = user_function(name)
    accepted = inspect.signature(function).parameters
    arguments = {"num_classes": num_classes, "pretrained": pretrained}
    model = function(**{key: value for key, value in arguments.items() if key in accepted})
    if not isinstance(model, nn.Module):
        raise InputError(
            f"{name} returned {type(model).__name__} but must return a torch.nn.Module"
        )
    return model


def input_spec(name: str) -> InputSpec:
    """Return the input specification of a network's pretrained weights.

    Raises:
        InputError: There is no such network.
    """
    if ":" not in name:
        check_torchvision(name)
        weights = torchvision_models().get_model_weights(name).DEFAULT
        images = weights.transforms()
        return InputSpec(
            images.crop_size[0],
            images.resize_size[0],
            _interpolation(images.interpolation.value),
            max(weights.meta["min_size"]),
            tuple(images.mean),
            tuple(images.std),
        )
    if name.startswith("timm:"):
        about = timm().models.get_pretrained_cfg(checked_timm(name))
        size = about.input_size[-1]
        return InputSpec(
            size,
            math.floor(size / about.crop_pct),
            _interpolation(about.interpolation),
            1,
            tuple(about.mean),
            tuple(about.std),
        )
    user_function(name)
    return InputSpec(None, None, "bilinear", 1, *IMAGENET)


def _interpolation(name: str) -> Interpolation:
    """Return the interpolation of published weights: bicubic or, for any other, bilinear."""
    return "bicubic" if name == "bicubic" else "bilinear"


def torchvision_models() -> ModuleType:
    """Import torchvision.models, which takes 1.6 s that trials of the CNN need not wait for."""
    from torchvision import models

    return models  # type: ignore[no-any-return]


def check_torchvision(name: str) -> None:
    """Raise InputError unless torchvision has a classifier of that name."""
    models = torchvision_models()
    names = models.list_models(module=models)
    if name not in names:
        near = difflib.get_close_matches(name, [*list_models(), *names], n=5, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}? Use" if near else "use"
        raise InputError(
            f"model {name!r} is unknown: {hint} {', '.join(list_models())}, the name of a "
            "torchvision classifier, timm:NAME or package.module:function"
        )


def checked_timm(name: str) -> str:
    """Return NAME of `timm:NAME`.

    Raises:
        InputError: timm has no model of that name.
    """
    bare = name.removeprefix("timm:")
    if not timm().is_model(bare):
        near = difflib.get_close_matches(bare, timm().list_models(), n=5, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}? See" if near else "see"
        raise InputError(f"timm has no model {bare!r}: {hint} timm.list_models()")
    return bare


def timm() -> Any:
    """Import the package timm.

    Raises:
        InputError: It is not installed.
    """
    if importlib.util.find_spec("timm") is None:
        raise InputError("timm is not installed: run pip install 'bakeoff[timm]'")
    return importlib.import_module("timm")


def user_function(name: str) -> Callable[..., Any]:
    """Import a user-defined function by its name, `package.module:function`.

    Raises:
        InputError: There is no such function.
    """
    module_name, _, function_name = name.partition(":")
    # sys.path contains the folder of the script, but user modules are in the working directory.
    cwd = str(Path.cwd())
    if cwd not in sys.path:
        sys.path.append(cwd)
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"model {name!r} cannot be imported ({error}): it must be package.module:function, "
            "importable from the working directory"
        ) from error
    if not callable(function):
        raise InputError(f"{name} is {type(function).__name__} but must be a function")
    return function  # type: ignore[no-any-return]


def code_version(name: str) -> str:
    """Return what identifies the code of a network: library version or user source file."""
    if name.startswith("timm:"):
        return f"timm {timm().__version__}"
    if ":" in name:
        return inspect.getsource(sys.modules[user_function(name).__module__])
    import torchvision

    return f"torchvision {torchvision.__version__}"
