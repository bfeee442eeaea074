"""Where the pretrained weights of a network come from, and under which licence."""

from __future__ import annotations

from dataclasses import dataclass

from trainables.models import pretrained, timm_networks
from trainables.models.registry import is_registered


@dataclass(frozen=True)
class Published:
    """Origin of the published weights of a network, as far as its package states it."""

    licence: str | None = None
    """Licence of the weights: an SPDX identifier in lower case, or the address of its text."""
    source: str | None = None
    """Address of the page or file of the weights."""
    origin: str | None = None
    """Address of the work that the weights were first published with."""


def published(name: str) -> Published:
    """Return the origin of the published weights of a network.

    Raises:
        InputError: There is no such network.
    """
    if is_registered(name):
        return Published()
    if timm_networks.is_timm(name):
        about = timm_networks.config_of(name)
        url = about.url if isinstance(about.url, str | None) else about.url[0]
        source = f"https://huggingface.co/{about.hf_hub_id}" if about.hf_hub_id else url
        return Published(about.license, source or None, about.origin_url)
    if ":" in name:
        return Published()
    weights = pretrained.torchvision_weights(name)
    # Weights under another licence than that of torchvision state it.
    licence = weights.meta.get("license", "bsd-3-clause")
    return Published(licence, weights.url, weights.meta.get("recipe"))
