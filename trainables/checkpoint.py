"""Checkpoints: the complete training state, sufficient to resume with identical results.

A checkpoint is a folder of three files. `state.pt` holds the weights, their moving average, the
states of optimiser, learning-rate schedule and random number generators, and the metrics of the
finished epochs; it is read with `weights_only=True`, so it cannot run code. `best.safetensors`
holds the weights of the best epoch by the metric of the trial, and `correct.bin` which validation
images they classify correctly, a bit an image.
"""

from __future__ import annotations

import copy
import hashlib
import zipfile
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load, save
from torch import Tensor

from trainables.config import MUTABLE_SETTINGS, TrialConfig

STATE_FILE = "state.pt"
BEST_FILE = "best.safetensors"
CORRECT_FILE = "correct.bin"
BEST_DIGEST = "best_sha256"
"""Key in STATE_FILE of the SHA-256 of BEST_FILE, in hexadecimal."""
LEARNING_RATES = ("lr", "initial_lr", "max_lr", "min_lr")
"""Keys of an optimiser's parameter group in which optimisers and schedules keep learning rates."""


class TrainingState(TypedDict):
    """Complete state of a trial after an epoch."""

    config: dict[str, Any]
    """Trial configuration (TrialConfig.to_dict()); a state resumes only under the same one."""
    precision: Literal["fp32", "bf16", "fp16"]
    """Numeric precision of the trial."""
    history: list[dict[str, float]]
    """Metrics of each finished epoch: EPOCH_METRICS and `epoch`."""
    model: dict[str, Tensor]
    """State dict of the model, with the shapes and dtypes of the model."""
    optimizer: dict[str, Any]
    """State dict of the optimiser."""
    scheduler: dict[str, Any]
    """State dict of the learning-rate schedule."""
    scaler: dict[str, Any]
    """State dict of the gradient scaler; empty unless the precision is fp16."""
    rng: dict[str, Tensor]
    """Random number generator states, 1-D, uint8: `order` (shuffling), `cpu` and, on a GPU,
    `cuda`."""
    average: dict[str, Tensor]
    """State dict of the moving average of the weights; empty without one."""
    parts: int
    """Number of micro-batches that a batch is split into to fit into memory, 1 or more."""
    best: dict[str, Tensor]
    """State dict of the network after its best epoch by `config.metric`, the first if tied: of the
    averaged weights where there are any, and with merged adapters in mode lora."""
    correct: bytes
    """Which validation images that network classifies correctly, as `pack` returns it; empty in
    states of earlier versions."""


def save_checkpoint(folder: Path, state: TrainingState) -> str:
    """Write a training state into an existing folder.

    Returns:
        SHA-256 of BEST_FILE, in hexadecimal.
    """
    best = save({k: v.contiguous() for k, v in state["best"].items()})
    digest = hashlib.sha256(best).hexdigest()
    rest = {key: value for key, value in state.items() if key not in ("best", "correct")}
    torch.save(rest | {BEST_DIGEST: digest}, folder / STATE_FILE)
    if state["correct"]:
        (folder / CORRECT_FILE).write_bytes(state["correct"])
    (folder / BEST_FILE).write_bytes(best)
    return digest


def load_checkpoint(folder: Path) -> TrainingState:
    """Load a training state onto the CPU.

    Raises:
        Exception: A file is missing, truncated or altered. The type depends on the damage.
    """
    with zipfile.ZipFile(folder / STATE_FILE) as file:  # torch.load() checks no checksum
        if (wrong := file.testzip()) is not None:
            raise ValueError(f"{wrong} in {STATE_FILE} is altered")
    state: TrainingState = torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
    best = (folder / BEST_FILE).read_bytes()
    digest = state.pop(BEST_DIGEST, None)  # type: ignore[misc]
    if digest not in (None, hashlib.sha256(best).hexdigest()):  # None in earlier versions
        raise ValueError(f"{BEST_FILE} is altered")
    state["best"] = load(best)
    correct = folder / CORRECT_FILE
    state["correct"] = correct.read_bytes() if correct.exists() else b""
    return state


def pack(correct: Tensor) -> bytes:
    """Return which images are correctly classified, N, bool, as one bit an image."""
    return np.packbits(correct.cpu().numpy()).tobytes()


def unpack(content: bytes, images: int) -> npt.NDArray[np.bool_]:
    """Return which images are correctly classified, N, bool: the inverse of `pack`.

    Args:
        content: content of CORRECT_FILE.
        images: number of images N.

    Raises:
        ValueError: The content is of another number of images.
    """
    bits = np.unpackbits(np.frombuffer(content, dtype=np.uint8))
    if len(bits) != 8 * -(-images // 8):
        raise ValueError(f"{len(content)} bytes are not the bits of {images} images")
    return bits[:images].astype(bool)


def changed(state: TrainingState, config: TrialConfig) -> TrainingState:
    """Return a copy of a state that resumes under another configuration.

    The current learning rate and the remaining learning-rate schedule are scaled by the ratio of
    the learning rates of the two configurations. The momentum buffers of the optimiser are kept.

    Args:
        state: Training state; it is not modified.
        config: New configuration, which may differ from that of `state` in MUTABLE_SETTINGS only.
    """
    # States of earlier versions lack the settings that were added since.
    before, after = TrialConfig.from_dict(state["config"]).to_dict(), config.to_dict()
    wrong = [key for key in after if after[key] != before[key] and key not in MUTABLE_SETTINGS]
    assert not wrong, wrong
    state = copy.deepcopy(state)
    factor = after["lr"] / before["lr"]
    for group in state["optimizer"]["param_groups"]:
        group |= {key: factor * group[key] for key in LEARNING_RATES if key in group}
        group["weight_decay"] = after["weight_decay"]
        if "momentum" in group:
            group["momentum"] = after["momentum"]
    for key in ("base_lrs", "_last_lr"):
        state["scheduler"][key] = [factor * lr for lr in state["scheduler"][key]]
    state["config"] = after
    return state
