"""MNASNet of torchvision, which reads state dicts of any origin."""

from __future__ import annotations

from typing import Any

from torchvision.models import MNASNet


class AnyMNASNet(MNASNet):  # type: ignore[misc]
    """MNASNet that accepts a state dict without metadata, such as one of a safetensors file.

    torchvision refuses it, because it tells an early layout of the network by the metadata.
    """

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: dict[str, Any], *args: Any
    ) -> None:
        versioned = {"version": self._version, **local_metadata}
        super()._load_from_state_dict(state_dict, prefix, versioned, *args)
