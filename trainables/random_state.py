"""State of torch's global random number generators, saved in checkpoints.

Shuffling has a generator of its own (loop.py).
"""

from __future__ import annotations

import torch
from torch import Tensor


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Return the states of the generators, each 1-D, uint8: `cpu` and, on a GPU, `cuda`."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    """Restore states that `random_state` returned.

    A trial that moves from a CPU to a GPU keeps the current state of that GPU's generator.
    """
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
