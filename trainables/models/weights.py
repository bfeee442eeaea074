"""Initial weights: download or read them, check them against the network, and load them."""

from __future__ import annotations

import hashlib
import inspect
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias
from urllib.error import URLError

import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from trainables.errors import InputError
from trainables.models import is_registered, pretrained
from trainables.models.heads import find_head

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
        InputError: The weights cannot be read or downloaded; the message states the remedy.
    """
    state = default_weights(name) if source == "default" else weights_file(Path(source))
    # NumPy has no bfloat16.
    tensors = {k: v.float() if v.dtype is torch.bfloat16 else v for k, v in state.items()}
    return {key: value.detach().cpu().numpy() for key, value in tensors.items()}


def fingerprint(weights: Weights) -> str:
    """Hash the names, shapes, dtypes and values of weights."""
    digest = hashlib.blake2b(digest_size=16)
    for key in sorted(weights):
        digest.update(repr((key, weights[key].shape, str(weights[key].dtype))).encode())
        digest.update(np.ascontiguousarray(weights[key]).data)
    return digest.hexdigest()


def default_weights(name: str) -> dict[str, Tensor]:
    """Return the published weights of a network, from the cache of its package or a download.

    Raises:
        InputError: The network has no published weights, or they cannot be downloaded.
    """
    if is_registered(name):
        raise InputError(f"{name} comes with no weights: give a file, or --weights none")
    if ":" in name and not name.startswith("timm:"):
        function = pretrained.user_function(name)
        if "pretrained" not in inspect.signature(function).parameters:
            raise InputError(
                f"{name} has no parameter `pretrained`, so it has no weights of its own: give "
                "a file, or --weights none"
            )
        return pretrained.construct(name, 1000, pretrained=True).state_dict()
    cache = Path(torch.hub.get_dir(), "checkpoints")
    cache.mkdir(parents=True, exist_ok=True)
    try:
        # One process of a node downloads; the others wait and then read the cached file.
        with FileLock(cache / f"{name.replace(':', '.')}.lock"):
            return pretrained.construct(name, 1000, pretrained=True).state_dict()
    except (URLError, OSError, RuntimeError) as error:
        raise InputError(unavailable_message(name, cache, error)) from error


def unavailable_message(name: str, cache: Path, error: Exception) -> str:
    """Return a message for weights that are neither cached nor downloadable, with the remedy."""
    alternatives = "or use --weights FILE, or --weights none to train from scratch"
    if name.startswith("timm:"):
        return (
            f"the weights of {name} cannot be downloaded ({error}): download them with timm on a "
            f"computer with internet access and copy its cache here, {alternatives}"
        )
    url = pretrained.torchvision_models().get_model_weights(name).DEFAULT.url
    return (
        f"the weights of {name} cannot be downloaded from {url} ({error}): put that file at "
        f"{cache / Path(url).name}, {alternatives}"
    )


def weights_file(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a safetensors file, or from a torch file that holds only tensors.

    Raises:
        InputError: There is no such file, it is damaged, it would run code, or it holds no state
            dict.
    """
    if not path.is_file():
        raise InputError(
            f"--weights {path}: there is no such file; give the path of a file, default or none"
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is refused ({str(error).splitlines()[0]}): it must hold only tensors, as "
            "loading anything else could run code. Save model.state_dict(), preferably as "
            "safetensors"
        ) from error
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({error}): it may be truncated; copy it again"
        ) from error
    for key in ("state_dict", "model"):  # keys under which common trainers store the state dict
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not (isinstance(content, Mapping) and all(isinstance(v, Tensor) for v in content.values())):
        raise InputError(
            f"{path} holds no state dict, which maps names to tensors: save model.state_dict()"
        )
    return dict(content)


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
    loaded = {
        key: value
        for key, value in weights.items()
        if not key.startswith(heads) and not (key not in own and key.startswith(branches(name)))
    }
    # Older files lack the batch counters of batch normalisation.
    needed = {k for k in own if not k.startswith(heads) and not k.endswith("num_batches_tracked")}
    wrong = [f"{key} is missing" for key in own if key in needed - loaded.keys()]
    wrong += [f"{key} is unexpected" for key in loaded if key not in own]
    wrong += [
        f"{key} has shape {tuple(value.shape)} but must have {tuple(own[key].shape)}"
        for key, value in loaded.items()
        if key in own and value.shape != own[key].shape
    ]
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise InputError(
            f"the weights do not fit {name}: {', '.join(wrong[:SHOWN])}{more}. Use weights of this "
            "network"
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


def branches(name: str) -> tuple[str, ...]:
    """Return the parameter name prefixes of auxiliary branches, which a network may lack."""
    return tuple(f"{branch}." for branch, _ in pretrained.AUXILIARY.get(name, ()))
