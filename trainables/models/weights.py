"""Initial weights: download or read them, check them against the network, and load them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock
from torch import Tensor, nn

from trainables.config import file_stem
from trainables.errors import InputError
from trainables.models import (
    is_registered,
    own_networks,
    pretrained,
    timm_networks,
    weight_files,
)
from trainables.models.checkpoint_files import prefix_hint, weights_file, with_names_of
from trainables.models.heads import BodyWithHead, find_head
from trainables.models.own_networks import described

Weights: TypeAlias = dict[str, npt.NDArray[Any]]
"""State dict as NumPy arrays, which Ray shares between processes without copying."""
SHOWN = 5
"""Largest number of parameter names in a message."""


def read_weights(name: str, source: str) -> Weights:
    """Read the weights of a network.

    Args:
        name: Name of the model.
        source: `default` for the published weights, which may download them, or a file path.

    Returns:
        State dict; bfloat16 values are converted to float32.

    Raises:
        InputError: The weights cannot be read or downloaded, or hold NaN.
    """
    state = default_weights(name) if source == "default" else weights_file(Path(source))
    # NumPy has no bfloat16.
    tensors = {k: v.float() if v.dtype is torch.bfloat16 else v for k, v in state.items()}
    for key, value in tensors.items():
        if value.is_floating_point() and value.isnan().any():
            raise InputError(
                f"the weights of {name} hold NaN in {key}: the training that saved them diverged; "
                "use weights of an earlier epoch"
            )
    return {key: value.detach().cpu().numpy() for key, value in tensors.items()}


def fingerprint(weights: Weights) -> str:
    """Hash the names, shapes, dtypes and values of weights."""
    digest = hashlib.blake2b(digest_size=16)
    for key in sorted(weights):
        digest.update(repr((key, weights[key].shape, str(weights[key].dtype))).encode())
        digest.update(np.ascontiguousarray(weights[key]).data)
    return digest.hexdigest()


def default_weights(name: str) -> dict[str, Tensor]:
    """Return the published weights of a network, from a cache or a download.

    Raises:
        InputError: The network has no published weights, or they cannot be downloaded.
    """
    if is_registered(name):
        raise InputError(f"{name} comes with no weights: give a file, or --weights none")
    if ":" in name and not timm_networks.is_timm(name):
        function = own_networks.user_function(name)
        if "pretrained" not in own_networks.parameters_of(function):
            raise InputError(
                f"{name} has no parameter `pretrained`, so it has no weights of its own: give "
                "a file, or --weights none"
            )
        return pretrained.published_state(name)
    if timm_networks.is_timm(name) and not timm_networks.config_of(name).has_weights:
        raise InputError(f"timm has no weights of {name}: give a file, or --weights none")
    cache = weight_files.checkpoints()
    cache.mkdir(parents=True, exist_ok=True)
    try:
        # One process of a node downloads; the others wait and then read the cached file.
        with FileLock(cache / f"{file_stem(name)}.lock"):
            return pretrained.published_state(name)
    except InputError:
        raise
    except Exception as error:  # of a connection, the hub's library, or a damaged file
        raise InputError(unavailable_message(name, error)) from error


def unavailable_message(name: str, error: Exception) -> str:
    """Return a message for weights that cannot be read or downloaded, with the remedy."""
    file: Path | None
    if timm_networks.is_timm(name):
        about = timm_networks.config_of(name)
        file, place = weight_files.cached_file(about), weight_files.remedy(about)
    else:
        url = pretrained.torchvision_weights(name).url
        file = weight_files.checkpoints() / Path(url).name
        place = f"put {url} at {file}"
    alternatives = "or use --weights FILE, or --weights none to train from scratch"
    if file is not None and file.is_file():
        return (
            f"the weights of {name} cannot be read from {file} ({described(error)}): it may be "
            f"truncated; replace it, {alternatives}"
        )
    return (
        f"the weights of {name} are neither in a cache nor can they be downloaded ({error}): "
        f"{place}, {alternatives}"
    )


def load_weights(model: nn.Module, name: str, image_size: int, weights: Weights) -> None:
    """Load weights into a network, except those of its heads, which are for other classes.

    Args:
        model: Network to load the weights into.
        name: Name of the model.
        image_size: Height and width of its input in pixels.
        weights: State dict.

    Raises:
        InputError: A parameter outside of the heads is missing, unexpected or of another shape.
    """
    own = model.state_dict()
    heads = head_names(model, name, image_size)
    named = with_names_of(own, weights)
    optional = published_heads(model, name)
    loaded = {
        key: value
        for key, value in named.items()
        if not key.startswith(heads) and not (key not in own and key.startswith(optional))
    }
    # Older files lack the batch counters of batch normalisation.
    needed = {k for k in own if not k.startswith(heads) and not k.endswith("num_batches_tracked")}
    wrong = [f"{key} is missing" for key in own if key in needed - loaded.keys()]
    wrong += [f"{key} is unexpected" for key in loaded if key not in own]
    if not wrong and timm_networks.is_timm(name):
        loaded = at_image_size(model, name, image_size, loaded)
    wrong += [
        f"{key} has shape {tuple(value.shape)} but must have {tuple(own[key].shape)}"
        for key, value in loaded.items()
        if key in own and value.shape != own[key].shape
    ]
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise InputError(
            f"the weights do not fit {name}: {', '.join(wrong[:SHOWN])}{more}. Use weights of this "
            f"network{size_hint(name, image_size)}{prefix_hint(own, weights)}"
        )
    model.load_state_dict(
        {key: torch.from_numpy(np.array(value)) for key, value in loaded.items()}, strict=False
    )


def head_names(model: nn.Module, name: str, image_size: int) -> tuple[str, ...]:
    """Return the parameter name prefixes of all heads, including auxiliary ones."""
    auxiliary = [f"{branch}.{head}." for branch, head in pretrained.AUXILIARY.get(name, ())]
    training = model.training
    head = find_head(model, name, image_size)
    model.train(training)
    return (f"{head}.", *auxiliary)


def published_heads(model: nn.Module, name: str) -> tuple[str, ...]:
    """Return the parameter name prefixes of heads and auxiliary branches that a network may lack.

    Published weights have them, for other classes.
    """
    if timm_networks.is_timm(name):
        prefix = "body." if isinstance(model, BodyWithHead) else ""
        return tuple(f"{prefix}{head}" for head in timm_networks.heads_of(name))
    return tuple(f"{branch}." for branch, _ in pretrained.AUXILIARY.get(name, ()))


def at_image_size(model: nn.Module, name: str, image_size: int, weights: Weights) -> Weights:
    """Convert what depends on the image size, such as position embeddings, as far as timm can.

    Args:
        model: Network of timm, built for `image_size`.
        name: Its name.
        image_size: Height and width of its input in pixels.
        weights: Weights by the names of the network's parameters.

    Returns:
        Weights, with their own shapes where timm cannot convert them.
    """
    own = model.state_dict()
    other = [key for key, value in weights.items() if value.shape != own[key].shape]
    if not (other and timm_networks.config_of(name).fixed_input_size):
        return weights
    prefix = "body." if isinstance(model, BodyWithHead) else ""
    state = {k.removeprefix(prefix): torch.from_numpy(np.array(v)) for k, v in weights.items()}
    try:
        converted = timm_networks.create(name, 1, image_size, state).state_dict()
    except Exception:  # timm raises errors of many types; the caller names what does not fit
        return weights
    return weights | {key: converted[key.removeprefix(prefix)].numpy() for key in other}


def size_hint(name: str, image_size: int) -> str:
    """Return the end of a sentence that names the image size that weights were published for."""
    if not timm_networks.is_timm(name):
        return ""
    native = timm_networks.input_of(name)["input_size"][-1]
    if image_size == native or not timm_networks.config_of(name).fixed_input_size:
        return ""
    return f", or --image-size {native}, for which the published ones are"
