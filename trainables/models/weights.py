"""Weights that training starts from: fetched, checked against the network, and put into it."""

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
import torchvision
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from trainables.errors import InputError
from trainables.models import is_registered, pretrained
from trainables.models.heads import find_head

Weights: TypeAlias = dict[str, npt.NDArray[Any]]
"""A state dict as arrays, which Ray shares without a copy."""
SHOWN = 5
"""Names of parameters in a message, at most."""


def read_weights(name: str, source: str) -> Weights:
    """The weights of a network: `default`, which may be downloaded, or those in a file.

    Raises:
        InputError: they cannot be had; the message says which file to put where.
    """
    state = default_weights(name) if source == "default" else weights_file(Path(source))
    # NumPy knows no bfloat16.
    tensors = {k: v.float() if v.dtype is torch.bfloat16 else v for k, v in state.items()}
    return {key: value.detach().cpu().numpy() for key, value in tensors.items()}


def fingerprint(weights: Weights) -> str:
    """Hash of the content: equal where the weights are."""
    digest = hashlib.blake2b(digest_size=16)
    for key in sorted(weights):
        digest.update(repr((key, weights[key].shape, str(weights[key].dtype))).encode())
        digest.update(np.ascontiguousarray(weights[key]).data)
    return digest.hexdigest()


def default_weights(name: str) -> dict[str, Tensor]:
    """The weights a network comes with, from its package's cache or download.

    Raises:
        InputError: it comes with none, or they cannot be downloaded.
    """
    if is_registered(name):
        raise InputError(f"{name} comes with no weights: give a file, or --weights none")
    if ":" in name and not name.startswith("timm:"):
        function = pretrained.own_function(name)
        if "pretrained" not in inspect.signature(function).parameters:
            raise InputError(
                f"{name} has no parameter `pretrained`, so it has no weights of its own: give "
                "a file, or --weights none"
            )
        return pretrained.construct(name, 1000, pretrained=True).state_dict()
    cache = Path(torch.hub.get_dir(), "checkpoints")
    cache.mkdir(parents=True, exist_ok=True)
    try:
        # One process of a machine downloads, the others wait and find the file.
        with FileLock(cache / f"{name.replace(':', '.')}.lock"):
            return pretrained.construct(name, 1000, pretrained=True).state_dict()
    except (URLError, OSError, RuntimeError) as error:
        raise InputError(f"{missing(name, cache)} ({error})") from error


def missing(name: str, cache: Path) -> str:
    """What to do when the weights of a network can neither be found nor downloaded."""
    rest = "or give --weights FILE, or --weights none to train from scratch"
    if name.startswith("timm:"):
        return (
            f"the weights of {name} cannot be had: fetch them with timm where there is a network, "
            f"and copy its cache here; {rest}"
        )
    url = torchvision.models.get_model_weights(name).DEFAULT.url
    return (
        f"the weights of {name} cannot be had from {url}: put that file at "
        f"{cache / Path(url).name}; {rest}"
    )


def weights_file(path: Path) -> dict[str, Tensor]:
    """A state dict out of a safetensors file, or one of torch that holds nothing but tensors.

    Raises:
        InputError: there is no such file, it is damaged, it would run code, or is no state dict.
    """
    if not path.is_file():
        raise InputError(f"--weights {path}: there is no such file; give one, or default, or none")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is refused: it holds more than tensors, and reading it could run code. Save "
            f"model.state_dict(), best as safetensors ({str(error).splitlines()[0]})"
        ) from error
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({error}): it may be truncated; copy it again"
        ) from error
    for key in ("state_dict", "model"):  # as trainers save them
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not (isinstance(content, Mapping) and all(isinstance(v, Tensor) for v in content.values())):
        raise InputError(f"{path} holds no state dict, names with a tensor each: save one")
    return dict(content)


def load_weights(model: nn.Module, name: str, image_size: int, weights: Weights) -> None:
    """Put weights into a network, all but the head's, which is made for other classes.

    Raises:
        InputError: a parameter beside the head's is missing, too many, or of another shape.
    """
    own = model.state_dict()
    heads = head_names(model, name, image_size)
    given = {
        key: value
        for key, value in weights.items()
        if not key.startswith(heads) and not (key not in own and key.startswith(branches(name)))
    }
    # Older files do not count the batches that batch normalisation has seen.
    needed = {k for k in own if not k.startswith(heads) and not k.endswith("num_batches_tracked")}
    wrong = [f"{key} is missing" for key in own if key in needed - given.keys()]
    wrong += [f"{key} is unknown" for key in given if key not in own]
    wrong += [
        f"{key} is {tuple(value.shape)} and must be {tuple(own[key].shape)}"
        for key, value in given.items()
        if key in own and value.shape != own[key].shape
    ]
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise InputError(
            f"the weights do not fit {name}: {', '.join(wrong[:SHOWN])}{more}. Give those of this "
            "network"
        )
    model.load_state_dict(
        {key: torch.from_numpy(np.array(value)) for key, value in given.items()}, strict=False
    )


def head_names(model: nn.Module, name: str, image_size: int) -> tuple[str, ...]:
    """Beginnings of the names of the parameters of all heads, auxiliary ones included."""
    auxiliary = [f"{branch}.{head}." for branch, head in pretrained.AUXILIARY.get(name, ())]
    training = model.training
    head = find_head(model, name, image_size)
    model.train(training)
    return (f"{head}.", *auxiliary)


def branches(name: str) -> tuple[str, ...]:
    """Beginnings of the names of the parameters of auxiliary branches, which may be left out."""
    return tuple(f"{branch}." for branch, _ in pretrained.AUXILIARY.get(name, ()))
