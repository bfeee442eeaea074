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

from trainables.memory import is_out_of_memory
from trainables.precision import Autocast

EVAL_BATCH = {"cpu": 128, "cuda": 2000}
"""Images of 32 pixels at a time. Larger batches fall out of a CPU's cache: 2,070 images/s at 128,
1,150 at 500 on one core."""


@torch.inference_mode()
def predict(
    model: nn.Module, images: Tensor, prepare: Callable[[Tensor], Tensor], autocast: Autocast
) -> Tensor:
    """Logits N×C of N×H×W×3 images, by the model in evaluation mode.

    Batches are halved where they do not fit into memory.

    Raises:
        RuntimeError: not even one image fits.
    """
    model.eval()
    size = getattr(prepare, "size", None) or images.shape[1]
    batch = EVAL_BATCH[images.device.type]
    if images.ndim == 4:  # and not features, which are small
        batch = max(8, int(batch * min(1, (32 / size) ** 2)))
    logits, done = [], 0
    while done < len(images):
        part = images[done : done + batch]
        try:
            prepared = prepare(part)
            with autocast():
                logits.append(model(prepared).float())
        except RuntimeError as error:
            if not is_out_of_memory(error) or batch == 1:
                raise
            batch //= 2
        else:
            done += len(part)
    return torch.cat(logits)


def to_device(array: np.ndarray[Any, Any], device: torch.device) -> Tensor:
    """An array as a tensor; on a CPU it shares the array's memory, which may be read-only."""
    with warnings.catch_warnings():
        # Nothing here writes into the images, so a read-only array is as good.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array).to(device)
