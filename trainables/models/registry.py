"""The registry of the models of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import nn

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])
BUILDERS: dict[str, Callable[..., nn.Module]] = {}
"""Constructors of the models of this package, by name."""


def register_model(name: str) -> Callable[[Builder], Builder]:
    """Register a function or class that takes `num_classes` and `image_size` under a name."""

    def register(builder: Builder) -> Builder:
        assert name not in BUILDERS, name
        BUILDERS[name] = builder
        return builder

    return register


def list_models() -> list[str]:
    """Return the names of the registered models, sorted."""
    return sorted(BUILDERS)


def is_registered(name: str) -> bool:
    """Return whether a model is registered here, as opposed to one of another package."""
    return name in BUILDERS
