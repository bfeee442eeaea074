"""Small networks that have weights of their own, for benchmarks without downloads."""

import torch
from torch import nn


def network(widths: list[int], num_classes: int) -> nn.Sequential:
    """Return convolutions of some widths and a linear layer, always with the same weights."""
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for before, width in zip([3, *widths], widths, strict=False):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * widths[-1], num_classes)]
    return nn.Sequential(*layers)


def small(num_classes: int = 10, pretrained: bool = False) -> nn.Sequential:
    """Return a network of one convolution."""
    return network([8], num_classes)


def wide(num_classes: int = 10, pretrained: bool = False) -> nn.Sequential:
    """Return a network of one wide convolution."""
    return network([32], num_classes)


def deep(num_classes: int = 10, pretrained: bool = False) -> nn.Sequential:
    """Return a network of three convolutions."""
    return network([8, 8, 16], num_classes)
