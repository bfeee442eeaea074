"""Files with the weights of a network, as people save them."""

from __future__ import annotations

import argparse
import pickle
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor

from trainables.errors import InputError

Value = TypeVar("Value")
PLACES = ("state_dict_ema", "model_ema", "model_state_dict", "state_dict", "model")
"""Keys under which trainers store the state dict of a network, in the order of preference: averaged
weights are those that a trainer validates and recommends."""
SHOWN = 5
"""Largest number of keys in a message."""


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
        # The options of a training script are stored beside its weights, and run no code.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} is refused ({str(error).splitlines()[0]}): it must hold only tensors, as "
            "loading anything else could run code. Save model.state_dict(), preferably as "
            "safetensors"
        ) from error
    except Exception as error:  # torch raises any type for a damaged file
        raise InputError(
            f"{path} cannot be read ({error}): it may be truncated; copy it again"
        ) from error
    return state_dict_in(content, path)


def state_dict_in(content: object, path: Path) -> dict[str, Tensor]:
    """Return the state dict of a network in the content of a file.

    Raises:
        InputError: There is none.
    """
    for key in PLACES:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if isinstance(content, Mapping):
        # torch.optim.swa_utils.AveragedModel counts its updates.
        content = {key: value for key, value in content.items() if key != "n_averaged"}
        if content and all(
            isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()
        ):
            return content
        keys = ", ".join(repr(key) for key in [*content][:SHOWN]) or "nothing"
        found = f"a mapping with {keys}"
    else:
        found = type(content).__name__
    raise InputError(
        f"{path} holds no state dict, which maps names to tensors, but {found}: save "
        f"model.state_dict(), as it is or under one of the keys {', '.join(PLACES)}"
    )


def with_names_of(own: Collection[str], weights: dict[str, Value]) -> dict[str, Value]:
    """Return weights under the names that a network has for them.

    Wrappers and trainers put a prefix before every name, such as `module.` or `model.`; it is
    removed. The prefix `body.` of networks that have their head from this package is added.

    Args:
        own: Names of the network.
        weights: Weights by the names of a file.
    """
    candidates = [weights]
    while (prefix := common_prefix(candidates[-1])) is not None:
        candidates.append({k.removeprefix(prefix): v for k, v in candidates[-1].items()})
    candidates += [{f"body.{k}": v for k, v in candidate.items()} for candidate in candidates]
    return max(candidates, key=lambda candidate: len(candidate.keys() & set(own)))


def common_prefix(names: Collection[str]) -> str | None:
    """Return the first part of dotted names, with its dot, if they all have the same."""
    first = {name.partition(".")[0] for name in names}
    if len(first) != 1 or not all("." in name for name in names):
        return None
    return f"{first.pop()}."


def prefix_hint(own: Collection[str], weights: Mapping[str, Any]) -> str:
    """Return the end of a sentence that names a prefix of some names, where they fit without it."""
    known = set(own)
    prefixes: Counter[str] = Counter()
    for name in weights:
        parts = name.split(".")
        for depth in range(1, len(parts)):
            prefix = ".".join(parts[:depth]) + "."
            prefixes[prefix] += name.removeprefix(prefix) in known
    prefix, fitting = max(prefixes.items(), key=lambda item: item[1], default=("", 0))
    if fitting <= len(known & weights.keys()):
        return ""
    return (
        f": {fitting} of its {len(weights)} names fit without the prefix {prefix!r}, so save the "
        "state dict of that part alone"
    )
