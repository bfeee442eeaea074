"""Networks that injure the process that trains them, for `benchmarks.faults`."""

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

HUGE = 200 * 2**30
"""Bytes that no machine of ours has."""


def tiny(num_classes: int = 10) -> nn.Sequential:
    """A network that does no harm."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, num_classes),
    )  # fmt: skip


class Harmful(nn.Sequential):
    """Network that does harm in its tenth step of training."""

    harm = "none"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute logits, N×C, of images, N×3×H×W, and do harm once."""
        logits: torch.Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        if not self.training or x.device.type == "meta":
            return logits
        self.steps = getattr(self, "steps", 0) + 1
        if self.steps == 10:
            logits = HARMS[self.harm](logits)
        return logits


def print_much(logits: torch.Tensor) -> torch.Tensor:
    """Print 100 MB."""
    for _ in range(100):
        sys.stdout.write("x" * (1 << 20))
    return logits


def fork(logits: torch.Tensor) -> torch.Tensor:
    """Leave a process that ends at once."""
    if os.fork() == 0:
        os._exit(0)
    return logits


def need_much_memory(logits: torch.Tensor) -> torch.Tensor:
    """Take 30 GB, piece by piece."""
    pieces = [torch.ones(2**26) for _ in range(120)]
    return logits + pieces[-1][0]


def fail(logits: torch.Tensor) -> torch.Tensor:
    """Raise an exception."""
    raise RuntimeError("this network fails")


HARMS: dict[str, Callable[[torch.Tensor], Any]] = {
    "none": lambda logits: logits,
    "raises": fail,
    "nan": lambda logits: logits * float("nan"),
    "wrong_shape": lambda logits: logits[:, :3],
    "other_device": lambda logits: logits.to("meta"),
    "exits": lambda logits: os._exit(3),
    "segfaults": lambda logits: ctypes.string_at(0),
    "hangs": lambda logits: threading.Event().wait(),
    "much_memory": lambda logits: torch.ones(HUGE // 4).sum() + logits,
    "needs_30_gb": need_much_memory,
    "prints": print_much,
    "forks": fork,
}
"""What networks do with their logits, by name."""


def harmful(harm: str, num_classes: int) -> nn.Module:
    """Return a network that does harm of a kind."""
    network = Harmful(*tiny(num_classes))
    network.harm = harm
    return network


def __getattr__(name: str) -> Callable[[int], nn.Module]:
    """Return the function that builds a harmful network, for each name in HARMS."""
    if name not in HARMS:
        raise AttributeError(name)

    def build(num_classes: int = 10) -> nn.Module:
        return harmful(name, num_classes)

    return build
