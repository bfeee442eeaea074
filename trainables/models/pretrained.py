"""Networks of others: torchvision's by name, `timm:NAME`, and `package.module:function`."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

from trainables.errors import InputError
from trainables.models.heads import find_head, replace_head

AUXILIARY = {
    "googlenet": (("aux1", "fc2"), ("aux2", "fc2")),
    "inception_v3": (("AuxLogits", "fc"),),
}
"""Branches of torchvision's networks that classify from the middle, and the heads in them."""
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and std of nearly all published weights, for one's own networks that say nothing else."""


@dataclass(frozen=True)
class InputSpec:
    """What the weights of a network were trained on."""

    size: int | None
    """Pixels of height and width; None where nobody says."""
    minimum: int
    """The smallest size the network takes."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def build(
    name: str,
    num_classes: int,
    image_size: int,
    aux_loss: bool = False,
    dropout: float | None = None,
) -> nn.Module:
    """Build a network with untrained weights and a head of `num_classes`.

    Args:
        name: of torchvision's network, or `timm:NAME`, or `package.module:function`.
        num_classes: outputs.
        image_size: pixels of height and width.
        aux_loss: keep the auxiliary heads of GoogLeNet and Inception, to train with.
        dropout: share of units silenced in every dropout layer; the network's own without it.

    Raises:
        InputError: there is no such network, it does not take such images, or it has no head.
    """
    if aux_loss and name not in AUXILIARY:
        raise InputError(f"{name} has no auxiliary heads: --aux-loss is for {', '.join(AUXILIARY)}")
    # Some networks compute with tensors to find their widths, which the meta device cannot.
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
            setattr(model, "aux_logits", False)  # noqa: B010  which mypy takes for a module
            for branch, _ in branches:
                setattr(model, branch, None)
        replace_head(model, find_head(model, name, image_size), num_classes)
        if outputs_of(model, image_size) != num_classes:
            raise InputError(
                f"{name} does not return {num_classes} logits an image with a head of so many"
            )
    if dropout is not None:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout
    return model.train()


@torch.inference_mode()
def outputs_of(model: nn.Module, image_size: int) -> int:
    """Logits that a model in evaluation mode returns for an image."""
    return int(model(torch.zeros(1, 3, image_size, image_size)).shape[1])


def construct(name: str, num_classes: int, pretrained: bool) -> nn.Module:
    """The network as its package makes it, with its own head.

    Args:
        name: as for `build`.
        num_classes: told to a function of one's own that has a parameter of that name.
        pretrained: with the weights it comes with, which may have to be downloaded.

    Raises:
        InputError: there is no such network.
    """
    if ":" not in name:
        check_torchvision(name)
        # The published weights of these two were trained on inputs of mean and std 0.5, to which
        # they convert; a training from scratch loses nothing by it.
        extra: dict[str, Any] = {"aux_logits": True, "transform_input": True}
        extra = extra if name in AUXILIARY else {}
        if extra and not pretrained:
            extra["init_weights"] = True  # as it will be by default
        source = "DEFAULT" if pretrained else None
        return torchvision.models.get_model(name, weights=source, **extra)  # type: ignore[no-any-return]
    if name.startswith("timm:"):
        return timm().create_model(checked_timm(name), pretrained=pretrained)  # type: ignore[no-any-return]
    function = own_function(name)
    taken = inspect.signature(function).parameters
    given = {"num_classes": num_classes, "pretrained": pretrained}
    model = function(**{key: value for key, value in given.items() if key in taken})
    if not isinstance(model, nn.Module):
        raise InputError(
            f"{name} returned {type(model).__name__} and must return a torch.nn.Module"
        )
    return model


def input_spec(name: str) -> InputSpec:
    """What images a network expects.

    Raises:
        InputError: there is no such network.
    """
    if ":" not in name:
        check_torchvision(name)
        weights = torchvision.models.get_model_weights(name).DEFAULT
        images = weights.transforms()
        return InputSpec(
            images.crop_size[0],
            max(weights.meta["min_size"]),
            tuple(images.mean),
            tuple(images.std),
        )
    if name.startswith("timm:"):
        about = timm().models.get_pretrained_cfg(checked_timm(name))
        return InputSpec(about.input_size[-1], 1, tuple(about.mean), tuple(about.std))
    own_function(name)
    return InputSpec(None, 1, *IMAGENET)


def check_torchvision(name: str) -> None:
    """Raise InputError unless torchvision has a classifier of that name."""
    from trainables.models import list_models

    names = torchvision.models.list_models(module=torchvision.models)
    if name not in names:
        near = difflib.get_close_matches(name, [*list_models(), *names], n=5, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else f"e.g. {', '.join(list_models())}"
        raise InputError(
            f"model {name!r} is unknown; {hint} Every classifier of torchvision goes by its name, "
            "timm's by timm:NAME, your own by package.module:function"
        )


def checked_timm(name: str) -> str:
    """The part of `timm:NAME` that timm knows; raises InputError if it does not."""
    bare = name.removeprefix("timm:")
    if not timm().is_model(bare):
        near = difflib.get_close_matches(bare, timm().list_models(), n=5, cutoff=0.5)
        raise InputError(
            f"timm has no model {bare!r}; near are {', '.join(near) or 'none'}: see "
            "timm.list_models()"
        )
    return bare


def timm() -> Any:
    """The package; raises InputError where it is not installed."""
    if importlib.util.find_spec("timm") is None:
        raise InputError("timm is not installed: pip install 'bakeoff[timm]'")
    return importlib.import_module("timm")


def own_function(name: str) -> Callable[..., Any]:
    """The function `package.module:function`; raises InputError if there is none."""
    module_name, _, function_name = name.partition(":")
    # A script has its own folder in the path, a person's modules are where they are.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"model {name!r} cannot be imported ({error}): it must be package.module:function, "
            "importable from here"
        ) from error
    if not callable(function):
        raise InputError(f"{name} is {type(function).__name__} and must be a function")
    return function  # type: ignore[no-any-return]


def made_by(name: str) -> str:
    """What makes a network besides its weights: a library's version, or the file of one's own."""
    if name.startswith("timm:"):
        return f"timm {timm().__version__}"
    if ":" in name:
        return inspect.getsource(sys.modules[own_function(name).__module__])
    return f"torchvision {torchvision.__version__}"
