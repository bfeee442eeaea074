"""Image sizes that networks are made for: those of their pretrained weights, or none."""

from __future__ import annotations

from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.models import pretrained
from trainables.models.registry import is_registered
from trainables.trust import is_own
from trainables.views import Interpolation

ASSUMED_SIZE, ASSUMED_RESIZE = 224, 256
"""Image size and length of the shorter side, assumed of user-defined pretrained networks."""


def native_size(model: str, assume: bool = False) -> tuple[int, int | None, Interpolation]:
    """Return image size, length of the shorter side and interpolation of a network's weights.

    Args:
        model: Name of the network.
        assume: Take the sizes of ImageNet where the network defines none.

    Raises:
        InputError: The network does not exist, or does not define an image size.
    """
    spec = None if is_registered(model) else pretrained.input_spec(model)
    if spec is not None and spec.size is not None:
        return spec.size, spec.resize_to, spec.interpolation
    if assume:
        return ASSUMED_SIZE, ASSUMED_RESIZE, "bilinear"
    raise InputError(f"{model} does not define an image size: give --image-size in pixels")


def uses_own_size(config: TrialConfig) -> bool:
    """Return whether no pretrained weights decide the image size of a network."""
    user_defined = is_own(config.model)
    return is_registered(config.model) or (user_defined and config.weights == "none")


def size_missed(config: TrialConfig, size: int) -> int | None:
    """Return the image size that pretrained weights know, if a trial has less than half of it.

    Args:
        config: Configuration of the trial.
        size: Height and width of its network inputs in pixels; 0 if unknown.
    """
    if not size or config.weights == "none" or is_registered(config.model):
        return None
    native = native_size(config.model, assume=True)[0]
    return native if 2 * size < native else None
