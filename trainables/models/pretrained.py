"""Networks of other packages: torchvision by name, `timm:NAME`, `package.module:function`."""

from __future__ import annotations

import copy
import difflib
import importlib.util
import inspect
import math
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from trainables.errors import InputError
from trainables.models import own_networks, timm_networks
from trainables.models.heads import last_layer, make_linear, output_of, outputs, replace_head
from trainables.models.registry import BUILDERS, list_models
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
        minimum = input_spec(name).minimum
        if image_size < minimum:
            raise InputError(
                f"image size {image_size} is below the {minimum} pixels that {name} needs: give "
                f"--image-size {minimum} or more, or --image-size native"
            )
        model = construct(name, num_classes, image_size)
        branches = AUXILIARY.get(name, ())
        for branch, head in branches:
            replace_head(model, f"{branch}.{head}", num_classes)
        if not aux_loss and branches:
            setattr(model, "aux_logits", False)  # noqa: B010  mypy expects a module
            for branch, _ in branches:
                setattr(model, branch, None)
        last = last_layer(model, name, image_size)
        make_linear(model, last)
        if outputs(model.get_submodule(last.path)) != num_classes:
            replace_head(model, last.path, num_classes)
            returned = output_of(model, name, image_size).shape[1]
            if returned != num_classes:
                raise InputError(
                    f"{name} returns {returned} logits per image, although its head has "
                    f"{num_classes} outputs: use a network that returns the outputs of its last "
                    "layer"
                )
        if aux_loss:
            check_auxiliary(model, name, image_size)
    if dropout is not None:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout
    return model.train()


def check_auxiliary(model: nn.Module, name: str, image_size: int) -> None:
    """Raise InputError if the auxiliary branches of a network do not accept an image size."""
    copied = copy.deepcopy(model).train()  # training changes statistics of batch normalisation
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            copied(torch.zeros(2, 3, image_size, image_size))
    except RuntimeError as error:
        raise InputError(
            f"the auxiliary branches of {name} cannot process images of {image_size}×{image_size} "
            f"pixels ({error}): use another --image-size, or leave --aux-loss out"
        ) from error


def construct(name: str, num_classes: int, image_size: int) -> nn.Module:
    """Construct a network with random weights and the head that its package gives it.

    Args:
        name: Name of a torchvision classifier, `timm:NAME` or `package.module:function`.
        num_classes: Number of classes, which a network of torchvision does not have yet, and one's
            own only if its function has a parameter of that name.
        image_size: Height and width of the input in pixels.

    Raises:
        InputError: There is no such network, or it cannot be built.
    """
    if timm_networks.is_timm(name):
        return timm_networks.build(name, num_classes, image_size)
    if ":" in name:
        return own_networks.construct(name, num_classes, pretrained=False)
    # The future default of torchvision, for networks with auxiliary branches.
    extra = {"init_weights": True} if name in AUXILIARY else {}
    return torchvision_network(name, None, **extra)


def published_state(name: str) -> dict[str, Tensor]:
    """Return the published weights of a network, which may download them.

    Raises:
        InputError: There is no such network, or it cannot be built.
    """
    if timm_networks.is_timm(name):
        return timm_networks.create(name, pretrained=True).state_dict()
    if ":" in name:
        return own_networks.construct(name, 1000, pretrained=True).state_dict()
    return torchvision_network(name, "DEFAULT").state_dict()


def torchvision_network(name: str, weights: str | None, **extra: Any) -> nn.Module:
    """Construct a classifier of torchvision.

    Raises:
        InputError: There is no such network.
    """
    check_torchvision(name)
    if name in AUXILIARY:
        # The published weights of these two were trained on inputs of mean and std 0.5, to which
        # transform_input converts; training from scratch is not affected.
        extra |= {"aux_logits": True, "transform_input": True}
    model: nn.Module = torchvision_models().get_model(name, weights=weights, **extra)
    if name.startswith("mnasnet"):
        from trainables.models.mnasnet import AnyMNASNet

        model.__class__ = AnyMNASNet
    return model


def torchvision_weights(name: str) -> Any:
    """Return the description of the published weights of a torchvision classifier, an enum member.

    Raises:
        InputError: There is no such network.
    """
    check_torchvision(name)
    return torchvision_models().get_model_weights(name).DEFAULT


def input_spec(name: str) -> InputSpec:
    """Return the input specification of a network's pretrained weights.

    Raises:
        InputError: There is no such network.
    """
    if ":" not in name:
        weights = torchvision_weights(name)
        images = weights.transforms()
        return InputSpec(
            images.crop_size[0],
            images.resize_size[0],
            _interpolation(images.interpolation.value),
            max(weights.meta["min_size"]),
            tuple(images.mean),
            tuple(images.std),
        )
    if timm_networks.is_timm(name):
        about = timm_networks.input_of(name)
        size = about["input_size"][-1]
        return InputSpec(
            size,
            math.floor(size / about["crop_pct"]),
            _interpolation(about["interpolation"]),
            1,
            tuple(about["mean"]),
            tuple(about["std"]),
        )
    own_networks.user_function(name)
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
        near = meant_by(name, [*list_models(), *names])
        hint = f"did you mean {', '.join(near)}? Use" if near else "use"
        raise InputError(
            f"model {name!r} is unknown: {hint} {', '.join(list_models())}, the name of a "
            "torchvision classifier, timm:NAME or package.module:function"
        )


def meant_by(name: str, names: list[str]) -> list[str]:
    """Return what an unknown name of a model may mean, at most 5 names.

    Args:
        name: The name.
        names: Names of this package and of torchvision.
    """
    if timm_networks.is_known(f"timm:{name}"):
        return [f"timm:{name}"]
    module, _, function = name.rpartition(".")
    near = difflib.get_close_matches(name, names, n=5, cutoff=0.5)
    package = module.partition(".")[0]
    if not package:
        return near
    # Tables name a function of one's own with dots alone; timm separates a tag by one.
    meant = [f"{module}:{function}", f"timm:{name}"]
    if importlib.util.find_spec(package) is None:
        meant.reverse()
    return [*meant, *near][:5]


def code_version(name: str) -> str:
    """Return what identifies the code of a network: library version or source file."""
    if name in BUILDERS:
        return inspect.getsource(sys.modules[BUILDERS[name].__module__])
    if timm_networks.is_timm(name):
        return f"timm {timm_networks.package().__version__}"
    if ":" in name:
        return inspect.getsource(sys.modules[own_networks.user_function(name).__module__])
    import torchvision

    return f"torchvision {torchvision.__version__}"
