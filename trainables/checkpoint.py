"""The complete training state on disk: enough to go on as if nothing had happened.

A checkpoint is a folder of two files. `state.pt` holds weights, optimiser, schedule, random
states and the epochs so far, read with `weights_only=True` so that it cannot run code.
`best.safetensors` holds the weights of the best epoch by validation accuracy.
"""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any, Literal, TypedDict

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from trainables.config import CHANGEABLE, TrialConfig

STATE_FILE = "state.pt"
BEST_FILE = "best.safetensors"
RATES = ("lr", "initial_lr", "max_lr", "min_lr")
"""Of a group of parameters, as optimisers and schedules keep them."""


class TrainingState(TypedDict):
    """All that changes while a trial trains."""

    config: dict[str, Any]
    """TrialConfig.to_dict(): a state only goes on under the settings it was made with."""
    precision: Literal["fp32", "bf16", "fp16"]
    """That the trial computes in."""
    history: list[dict[str, float]]
    """One entry of metrics an epoch; its length is the number of finished epochs."""
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    scaler: dict[str, Any]
    rng: dict[str, Tensor]
    """States of the generators: of the image order, and of torch on each device."""
    parts: int
    """That a batch is cut into, where it did not fit into memory; a trial keeps them."""
    best: dict[str, Tensor]
    """Weights after the epoch with the highest validation accuracy, the first of equals."""


def save_checkpoint(folder: Path, state: TrainingState) -> str:
    """Write a state into an existing folder; returns the SHA-256 of the file of best weights."""
    rest = {key: value for key, value in state.items() if key != "best"}
    torch.save(rest, folder / STATE_FILE)
    best = save({k: v.contiguous() for k, v in state["best"].items()})
    (folder / BEST_FILE).write_bytes(best)
    return hashlib.sha256(best).hexdigest()


def load_checkpoint(folder: Path) -> TrainingState:
    """Read a state back, onto the CPU.

    Raises:
        Exception: a file is missing, truncated or altered; which one depends on the damage.
    """
    state: TrainingState = torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
    state["best"] = load_file(folder / BEST_FILE)
    return state


def changed(state: TrainingState, config: TrialConfig) -> TrainingState:
    """A copy of a state that goes on under another config, which differs in CHANGEABLE alone.

    The learning rate and the course of it still to come are scaled as the rates of the configs
    are; the momentum that the optimiser has gathered stays.
    """
    before, after = state["config"], config.to_dict()
    wrong = [key for key in after if after[key] != before[key] and key not in CHANGEABLE]
    assert not wrong, wrong
    state = copy.deepcopy(state)
    factor = after["lr"] / before["lr"]
    for group in state["optimizer"]["param_groups"]:
        group |= {key: factor * group[key] for key in RATES if key in group}
        group["weight_decay"] = after["weight_decay"]
        if "momentum" in group:
            group["momentum"] = after["momentum"]
    for key in ("base_lrs", "_last_lr"):
        state["scheduler"][key] = [factor * rate for rate in state["scheduler"][key]]
    state["config"] = after
    return state
