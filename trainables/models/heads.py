"""The last layer of a network, whatever it is called: found, replaced, and told from the rest."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.errors import InputError

Head = nn.Linear | nn.Conv2d


def find_head(model: nn.Module, name: str, image_size: int) -> str:
    """Name of the module that makes the logits: the last linear layer or convolution that runs.

    Args:
        model: on any device; it is left in evaluation mode.
        name: of the model, for messages.
        image_size: pixels of height and width of the image that is tried.

    Raises:
        InputError: the model does not take such images, returns no B×C logits, or has no such
            layer with C outputs.
    """
    ran: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, path=path: ran.append(path))
        for path, module in model.named_modules()
        if isinstance(module, Head)
    ]
    device = next(model.parameters(), torch.empty(0)).device
    image = torch.zeros(1, 3, image_size, image_size, device=device)
    model.eval()
    try:
        with torch.inference_mode():
            logits = model(image)
    except Exception as error:  # whatever a network of others raises
        raise InputError(
            f"{name} cannot take images of {image_size} pixels ({error}): give another "
            "--image-size, or --image-size native"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    if not (isinstance(logits, Tensor) and logits.ndim == 2 and len(logits) == 1):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"{name} turns one image into {shape} and must return logits of shape (1, classes)"
        )
    if not ran or outputs(model.get_submodule(ran[-1])) != logits.shape[1]:
        raise InputError(
            f"no head was found in {name}: its last layer must be linear or a convolution with as "
            f"many outputs as the network, {logits.shape[1]}"
        )
    return ran[-1]


def outputs(layer: nn.Module) -> int:
    """Features that a head puts out."""
    assert isinstance(layer, Head)
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels


def replace_head(model: nn.Module, path: str, num_classes: int) -> None:
    """Put an untrained layer of so many outputs in the place of a head, unless it has as many."""
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
    """Learnable parameters in the order of the network, the head's last.

    A stage is a child of the network, in the order they were made. One that holds more than half
    of the parameters is taken apart into its own children, as are containers of everything.
    """
    parts = list(model.named_children())
    total = sum(p.numel() for p in model.parameters())
    while True:
        sizes = [sum(p.numel() for p in part.parameters()) for _, part in parts]
        largest = max(range(len(parts)), key=sizes.__getitem__)
        path, part = parts[largest]
        inner = [(f"{path}.{name}", child) for name, child in part.named_children()]
        if 2 * sizes[largest] <= total or not inner:
            break
        parts[largest : largest + 1] = inner
    own = {id(p) for p in model.get_submodule(head).parameters()}
    seen: set[int] = set(own)
    found = []
    for _, part in parts:
        stage = [p for p in part.parameters() if id(p) not in seen]
        seen |= {id(p) for p in stage}
        if stage:
            found.append(stage)
    # Parameters that hang on no child, such as a transformer's class token, are of the first.
    loose = [p for p in model.parameters() if id(p) not in seen]
    if loose:
        found[:1] = [[*loose, *(found[0] if found else [])]]
    return [*found, list(model.get_submodule(head).parameters())]
