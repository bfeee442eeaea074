"""Logits of images, whatever they are compared with.

Shape letters: N images, H height, W width, C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainables.precision import Autocast

EVAL_BATCH = {"cpu": 128, "cuda": 2000}
"""Images of 32 pixels at a time. Larger batches fall out of a CPU's cache: 2,070 images/s at 128,
1,150 at 500 on one core."""


@torch.inference_mode()
def predict(
    model: nn.Module, images: Tensor, prepare: Callable[[Tensor], Tensor], autocast: Autocast
) -> Tensor:
    """Logits N×C of N×H×W×3 images, by the model in evaluation mode."""
    model.eval()
    size = getattr(prepare, "size", None) or images.shape[1]
    batch = EVAL_BATCH[images.device.type]
    if images.ndim == 4:  # and not features, which are small
        batch = max(8, int(batch * min(1, (32 / size) ** 2)))
    logits = []
    for part in images.split(batch):
        prepared = prepare(part)
        with autocast():
            logits.append(model(prepared).float())
    return torch.cat(logits)


def to_device(array: np.ndarray[Any, Any], device: torch.device) -> Tensor:
    """An array as a tensor; on a CPU it shares the array's memory, which may be read-only."""
    with warnings.catch_warnings():
        # Nothing here writes into the images, so a read-only array is as good.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array).to(device)
