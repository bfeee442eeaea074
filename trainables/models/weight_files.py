"""Files of timm's published weights: where they are looked for, and where to put them by hand."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any
from urllib.request import getproxies

import torch

SUFFIXES = (".safetensors", ".bin", ".pth", ".npz")
"""Endings of weights files, in the order in which they are looked for."""
PUBLISHED_AS = (
    "model.safetensors",
    "pytorch_model.bin",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
)
"""Names of weights files in repositories of the Hugging Face hub, in the order of preference."""


def checkpoints() -> Path:
    """Return the folder in which torch keeps downloaded weights."""
    return Path(torch.hub.get_dir(), "checkpoints")


def cached_file(about: Any) -> Path | None:
    """Return the file of the weights that timm describes, if one of the caches has it."""
    name = full_name(about)
    placed = [checkpoints() / f"{name}{suffix}" for suffix in SUFFIXES if name]
    if isinstance(about.url, str) and about.url:
        placed.append(checkpoints() / Path(about.url).name)
    for file in placed:
        if file.is_file():
            return file
    if about.hf_hub_id:
        first = (about.hf_hub_filename,) if about.hf_hub_filename else ()
        for filename in (*first, *PUBLISHED_AS):
            if (found := in_hub_cache(about.hf_hub_id, filename)) is not None:
                return found
    return None


def full_name(about: Any) -> str | None:
    """Return NAME.TAG of a network of timm's own list."""
    if not about.architecture or about.source:
        return None
    return ".".join(filter(None, (about.architecture, about.tag)))


def in_hub_cache(repository: str, filename: str) -> Path | None:
    """Return a file of the Hugging Face hub, if its cache has it."""
    from huggingface_hub import try_to_load_from_cache

    repository, _, revision = repository.partition("@")
    found = try_to_load_from_cache(repository, filename, revision=revision or None)
    return Path(found) if isinstance(found, str) else None


def placed_folder(repository: str) -> Path | None:
    """Return the folder with a copy of a repository of the Hugging Face hub, if there is one."""
    folder = checkpoints() / repository.replace("/", "--")
    return folder if (folder / "config.json").is_file() else None


def check_network() -> None:
    """Raise ConnectionError if the address of the Hugging Face hub cannot be looked up.

    Without a network the hub's library tries again and again, for 48 seconds per network.
    """
    from huggingface_hub import constants

    host = constants.ENDPOINT.partition("://")[2].partition("/")[0].partition(":")[0]
    if constants.HF_HUB_OFFLINE or "https" in getproxies() or "all" in getproxies():
        return  # the library answers at once, or a proxy looks up the address
    try:
        socket.getaddrinfo(host, 443)
    except OSError as error:
        raise ConnectionError(f"{host} cannot be reached: {error}") from error


def remedy(about: Any) -> str:
    """Return which file of which repository to put where, for weights that cannot be had."""
    name = full_name(about)
    if name is None:  # a network that a repository of the hub describes
        return folder_remedy(about.hf_hub_id)
    target = checkpoints() / name
    if about.hf_hub_id:
        file = about.hf_hub_filename or PUBLISHED_AS[0]
        source = f"{file} of https://huggingface.co/{about.hf_hub_id}"
    else:
        url = about.url if isinstance(about.url, str) else about.url[0]
        file, source = Path(url).name, url
    return f"put {source} at {target}{os.path.splitext(file)[1]}"  # noqa: PTH122  a.b_c.pth


def folder_remedy(repository: str) -> str:
    """Return which files of a repository of the hub to put where."""
    return (
        f"put config.json and {PUBLISHED_AS[0]} of https://huggingface.co/{repository} into "
        f"{checkpoints() / repository.replace('/', '--')}"
    )
