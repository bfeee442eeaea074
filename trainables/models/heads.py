"""The head of a network: finding it, replacing it, and grouping parameters into stages."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.errors import InputError

Head = nn.Linear | nn.Conv2d
"""Layer types that can be a head."""


def find_head(model: nn.Module, name: str, image_size: int) -> str:
    """Return the module path of the head: the last linear or convolutional layer that runs.

    Args:
        model: Model on any device; it is left in evaluation mode.
        name: Name of the model, for messages.
        image_size: Height and width in pixels of the image it is run on.

    Raises:
        InputError: The model does not accept such images, does not return logits of shape
            (batch size, classes), or has no such layer with as many outputs as classes.
    """
    executed: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, path=path: executed.append(path))
        for path, module in model.named_modules()
        if isinstance(module, Head)
    ]
    device = next(model.parameters(), torch.empty(0)).device
    image = torch.zeros(1, 3, image_size, image_size, device=device)
    model.eval()
    try:
        with torch.inference_mode():
            logits = model(image)
    except Exception as error:  # third-party networks may raise anything
        raise InputError(
            f"{name} cannot process images of {image_size}×{image_size} pixels ({error}): use "
            "another --image-size, or --image-size native"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    if not (isinstance(logits, Tensor) and logits.ndim == 2 and len(logits) == 1):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"{name} returns {shape} for one image but must return logits of shape (1, classes): "
            "use a classification network"
        )
    if not executed or outputs(model.get_submodule(executed[-1])) != logits.shape[1]:
        raise InputError(
            f"no head was found in {name}: its last layer must be a linear layer or a convolution "
            f"with as many outputs as the network, {logits.shape[1]}"
        )
    return executed[-1]


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
        new: nn.Module = nn.Linear(old.in_features, num_classes, bias=old.bias is not None)
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


def stages(model: nn.Module, head: str) -> list[list[nn.Parameter]]:
    """Group the parameters of a network into stages, from input to output, the head last.

    A stage is a child module of the network, in the order of registration. A child with more than
    half of all parameters is replaced by its own children, repeatedly.
    """
    modules = list(model.named_children())
    total = sum(p.numel() for p in model.parameters())
    while True:
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
