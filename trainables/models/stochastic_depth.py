"""Stochastic depth: set the rate at which the blocks of a network are skipped in training."""

from __future__ import annotations

import sys

from torch import nn


def set_drop_path(model: nn.Module, rate: float) -> int:
    """Set the probabilities that blocks are skipped, rising linearly from 0 to `rate` with depth.

    Blocks are the modules with a `DropPath` of timm or a `StochasticDepth` of torchvision. Where a
    network of timm is built without stochastic depth, its blocks have the place for it (an
    `nn.Identity` or None named drop_path…), which is filled.

    Args:
        model: Network; it is changed.
        rate: Probability of the last block, at least 0 and below 1.

    Returns:
        Number of blocks; 0 if the network has none.
    """
    blocks = [found for module in model.modules() if (found := _places(module))]
    for index, (block, names) in enumerate(blocks):
        p = rate * index / max(1, len(blocks) - 1)
        for name in names:
            layer = getattr(block, name)
            if _is_a(layer, "torchvision.ops", "StochasticDepth"):
                layer.p = p
            elif _is_a(layer, "timm.layers", "DropPath"):
                layer.drop_prob = p
            else:
                new = sys.modules["timm.layers"].DropPath(p)
                setattr(block, name, new.train(block.training))
    return len(blocks)


def _places(module: nn.Module) -> tuple[nn.Module, list[str]] | None:
    """Return a module and the names of its layers of stochastic depth; None if it has none."""
    names = [
        name
        for name, layer in module.named_children()
        if _is_a(layer, "torchvision.ops", "StochasticDepth")
        or _is_a(layer, "timm.layers", "DropPath")
    ]
    if type(module).__module__.startswith("timm."):
        free = {**module._modules, **vars(module)}
        names += [
            name
            for name, layer in free.items()
            if name.rstrip("0123456789") == "drop_path"
            and (layer is None or isinstance(layer, nn.Identity))
        ]
    return (module, names) if names else None


def _is_a(layer: object, package: str, name: str) -> bool:
    """Return whether a layer is of a class of a package, which is not imported for this."""
    return package in sys.modules and isinstance(layer, getattr(sys.modules[package], name))
