"""The head of a network: finding it, replacing it, and grouping parameters into stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainables.errors import InputError

Head = nn.Linear | nn.Conv2d
"""Layer types that can be a head."""


class NoHeadError(InputError):
    """A network does not end in a layer with as many outputs as it returns logits."""


class PooledLinear(nn.Linear):
    """A linear layer in the place of a 1×1 convolution of feature maps of one pixel.

    It maps features, B×F×1×1 or B×F, to B×C×1×1, and reads the weights of the convolution.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits, B×C×1×1, from pooled features, B×F×1×1 or B×F."""
        return super().forward(x.flatten(1))[..., None, None]

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        weight = state_dict.get(f"{prefix}weight")
        if weight is not None:
            state_dict[f"{prefix}weight"] = weight.flatten(1)
        super()._load_from_state_dict(state_dict, prefix, *args)


class BodyWithHead(nn.Module):
    """A network that computes features, followed by a linear head.

    Args:
        body: Network that maps images, B×3×H×W, to features, B×`features`.
        features: Number of features.
        num_classes: Number of classes.
    """

    def __init__(self, body: nn.Module, features: int, num_classes: int):
        super().__init__()
        self.body = body
        self.head = nn.Linear(features, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, B×num_classes, from normalised images, B×3×H×W, float32."""
        logits: Tensor = self.head(self.body(images))
        return logits


@dataclass(frozen=True)
class LastLayer:
    """The last linear or convolutional layer that runs in a network."""

    path: str
    """Module path."""
    output: Tensor
    """Its output for one image: 1×C, or 1×C×H×W of a convolution, float32."""
    gives_logits: bool
    """Whether the network returns this output as it is, apart from flattening it."""


def find_head(model: nn.Module, name: str, image_size: int) -> str:
    """Return the module path of the head: the last linear or convolutional layer that runs.

    Args:
        model: Model on any device; it is left in evaluation mode.
        name: Name of the model, for messages.
        image_size: Height and width in pixels of the image it is run on.

    Raises:
        InputError: The model does not accept such images, does not return finite logits of shape
            (batch size, classes), or has no such layer with as many outputs as classes.
    """
    return last_layer(model, name, image_size).path


def last_layer(model: nn.Module, name: str, image_size: int) -> LastLayer:
    """Return the last linear or convolutional layer that runs; see `find_head`."""
    executed: list[tuple[str, Tensor]] = []
    hooks = [
        module.register_forward_hook(
            # A copy, because the next layer may work in place.
            lambda _, inputs, output, path=path: executed.append((path, output.clone()))
        )
        for path, module in model.named_modules()
        if isinstance(module, Head)
    ]
    try:
        logits = output_of(model, name, image_size)
    finally:
        for hook in hooks:
            hook.remove()
    if logits.ndim != 2:
        raise wrong_output(name, tuple(logits.shape))
    path, output = executed[-1] if executed else ("", logits)
    if not executed or outputs(model.get_submodule(path)) != logits.shape[1]:
        raise NoHeadError(
            f"no head was found in {name}: its last layer must be a linear layer or a convolution "
            f"with as many outputs as the network, {logits.shape[1]}"
        )
    return LastLayer(path, output, torch.equal(output.flatten(), logits.flatten()))


@torch.inference_mode()
def output_of(model: nn.Module, name: str, image_size: int) -> Tensor:
    """Return the output of a network for one random image, in evaluation mode.

    An image of zeros would not do: it may give a network without biases only zeros, which no layer
    changes.

    Raises:
        InputError: The model does not accept such an image, or does not return one tensor of
            finite numbers with one row.
    """
    device = next(model.parameters(), torch.empty(0)).device
    random = torch.Generator().manual_seed(0)  # the random numbers of the caller stay as they are
    image = torch.randn(1, 3, image_size, image_size, generator=random, device="cpu").to(device)
    model.eval()
    try:
        output = model(image)
    except Exception as error:  # third-party networks may raise anything
        raise InputError(
            f"{name} cannot process images of {image_size}×{image_size} pixels "
            f"({type(error).__name__}: {error}): use "
            "another --image-size, or --image-size native"
        ) from error
    if not isinstance(output, Tensor):
        raise wrong_output(name, type(output).__name__)
    if output.ndim < 2 or len(output) != 1:
        raise wrong_output(name, tuple(output.shape))
    if not output.isfinite().all():
        raise InputError(
            f"{name} returns NaN or infinite values for a random image, but its outputs must "
            "be finite: check how it is initialised and what it divides by"
        )
    return output


def wrong_output(name: str, found: object) -> InputError:
    """Return the error of a network that returns no logits, but a tensor of a shape, or a type."""
    return InputError(
        f"{name} returns {found} for one image but must return logits of shape (1, classes): "
        "use a classification network"
    )


def linear_head(model: nn.Module, name: str, image_size: int) -> str:
    """Return the module path of a network's linear head.

    With `nn.Identity()` in its place, the network returns the features that the head is applied to.

    Args:
        model: Network; it is left in evaluation mode.
        name: Name of the model, for messages.
        image_size: Height and width of its input in pixels.

    Raises:
        InputError: The last layer of the network is not linear, or its outputs are not the logits.
    """
    last = last_layer(model, name, image_size)
    if not isinstance(model.get_submodule(last.path), nn.Linear):
        raise InputError(
            f"the last layer of {name} is a convolution, but mode probe trains a linear head: use "
            "mode full"
        )
    if not last.gives_logits:
        raise InputError(
            f"{name} changes the outputs of its last layer, {last.path}, before it returns them, "
            "but mode probe trains a linear head on features: use mode full"
        )
    return last.path


def outputs(layer: nn.Module) -> int:
    """Return the number of outputs of a head."""
    assert isinstance(layer, Head)
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels


def replace_head(model: nn.Module, path: str, num_classes: int) -> None:
    """Replace the head at `path` by a randomly initialised one of `num_classes` outputs.

    A head that already has as many outputs is kept.
    """
    old = model.get_submodule(path)
    if outputs(old) == num_classes:
        return
    if isinstance(old, nn.Linear):
        kind = PooledLinear if isinstance(old, PooledLinear) else nn.Linear
        new: nn.Module = kind(old.in_features, num_classes, bias=old.bias is not None)
    else:
        assert isinstance(old, nn.Conv2d)
        new = nn.Conv2d(
            old.in_channels,
            num_classes,
            old.kernel_size,  # type: ignore[arg-type]
            old.stride,  # type: ignore[arg-type]
            old.padding,  # type: ignore[arg-type]
            bias=old.bias is not None,
        )
    model.set_submodule(path, new)


def make_linear(model: nn.Module, last: LastLayer) -> None:
    """Replace a head that is a 1×1 convolution of pooled features by an equal linear layer."""
    old = model.get_submodule(last.path)
    pooled = last.gives_logits and last.output.ndim == 4
    if not (pooled and isinstance(old, nn.Conv2d) and old.kernel_size == (1, 1)):
        return
    if old.groups == 1 and last.output.shape[2:] == (1, 1):
        new = PooledLinear(old.in_channels, old.out_channels, bias=old.bias is not None)
        new.load_state_dict(old.state_dict())
        model.set_submodule(last.path, new)


def stages(model: nn.Module, head: str) -> list[list[nn.Parameter]]:
    """Group the parameters of a network into stages, from input to output, the head last.

    A stage is a child module of the network, in the order of registration. A child with more than
    half of all parameters is replaced by its own children, repeatedly.
    """
    modules = list(model.named_children())
    total = sum(p.numel() for p in model.parameters())
    while modules:
        sizes = [sum(p.numel() for p in module.parameters()) for _, module in modules]
        largest = max(range(len(modules)), key=sizes.__getitem__)
        path, module = modules[largest]
        inner = [(f"{path}.{name}", child) for name, child in module.named_children()]
        if 2 * sizes[largest] <= total or not inner:
            break
        modules[largest : largest + 1] = inner
    own = {id(p) for p in model.get_submodule(head).parameters()}
    seen: set[int] = set(own)
    found = []
    for _, module in modules:
        stage = [p for p in module.parameters() if id(p) not in seen]
        seen |= {id(p) for p in stage}
        if stage:
            found.append(stage)
    # Parameters outside of all children, such as a transformer's class token, join the first stage.
    loose = [p for p in model.parameters() if id(p) not in seen]
    if loose:
        found[:1] = [[*loose, *(found[0] if found else [])]]
    return [*found, list(model.get_submodule(head).parameters())]
