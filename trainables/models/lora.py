"""Low-rank adapters (LoRA, Hu et al. 2022) of the layers of a network, through the package peft."""

from __future__ import annotations

import importlib.util
import re

import torch
from torch import Tensor, nn

from trainables.errors import InputError


def add_adapters(model: nn.Module, name: str, head: str, image_size: int, rank: int) -> None:
    """Freeze a network except its head, and add trainable adapters to the layers before the head.

    The weight of an adapted layer is that of the network plus a product of two matrices of rank
    `rank`, the second of which is zero at the start.

    Args:
        model: Network on the CPU; it is changed.
        name: Name of the network, for messages.
        head: Module path of the head.
        image_size: Height and width of the input in pixels.
        rank: Rank of the adapters.

    Raises:
        InputError: peft is not installed, or the network has no layer that can be adapted.
    """
    targets = layers_to_adapt(model, name, head, image_size)
    from peft import LoraConfig, inject_adapter_in_model  # takes seconds

    pattern = "|".join(map(re.escape, targets))  # a list of names would match their endings
    settings = LoraConfig(r=rank, lora_alpha=rank, target_modules=pattern)
    inject_adapter_in_model(settings, model)  # freezes the other parameters
    model.get_submodule(head).requires_grad_()


def layers_to_adapt(model: nn.Module, name: str, head: str, image_size: int) -> list[str]:
    """Return the paths of the layers that get adapters, in the order of their execution.

    Left out are depthwise and other grouped convolutions, whose adapters would be larger than they
    are or could not be merged; subclasses, which peft would construct with the arguments of
    nn.Conv2d; and layers whose forward method is never called, because the network reads their
    weights instead (attention in torchvision's vision and Swin transformers).

    Args:
        model: Network on the CPU; it keeps its mode.
        name: Name of the network, for messages.
        head: Module path of the head, which gets none.
        image_size: Height and width of the input in pixels.

    Raises:
        InputError: peft is not installed, or the network has no layer that can be adapted.
    """
    if importlib.util.find_spec("peft") is None:
        raise InputError("mode lora needs peft: run pip install peft, or use mode full")
    found: dict[str, None] = {}
    hooks = [
        module.register_forward_hook(lambda *_, path=path: found.setdefault(path))
        for path, module in model.named_modules()
        if path != head and _fits(module)
    ]
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            model(torch.zeros(1, 3, image_size, image_size))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    if not found:
        raise InputError(
            f"mode lora finds no layer of {name} to adapt: it adapts layers that are exactly "
            "nn.Linear, or nn.Conv2d of one group, and no subclasses of these; use mode full"
        )
    return list(found)


def _fits(layer: nn.Module) -> bool:
    if type(layer) is nn.Conv2d:
        plain = layer.padding_mode == "zeros" and set(layer.dilation) == {1}
        return plain and layer.groups == 1
    return type(layer) is nn.Linear


def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of an adapted network, with the adapters added to its weights.

    Its names, shapes and dtypes are those of the network without adapters. Tensors without an
    adapter are those of the model, which training continues to modify.
    """
    from peft.tuners.lora import LoraLayer

    state: dict[str, Tensor] = {}
    adapted = {path for path, layer in model.named_modules() if isinstance(layer, LoraLayer)}
    for key, value in model.state_dict().items():
        path, _, rest = key.partition(".base_layer.")
        if rest and path in adapted:
            layer = model.get_submodule(path)
            delta = layer.get_delta_weight("default") if rest == "weight" else 0  # type: ignore[operator]
            state[f"{path}.{rest}"] = (value + delta).detach()
        elif not any(part in key for part in (".lora_A.", ".lora_B.")):
            state[key] = value
    return state
