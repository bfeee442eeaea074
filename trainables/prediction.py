"""Inference: logits of images or of features.

Shape letters: N images, H height, W width, F features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainables.device_images import Inputs, Resident
from trainables.memory import is_out_of_memory
from trainables.precision import Autocast
from trainables.progress import Advance, ignore

EVAL_BATCH = {"cpu": 128, "cuda": 2000}
"""Batch size of inference by device type, for images of 32×32 pixels. On a CPU, larger batches do
not fit into the cache: one core classifies 2,070 images/s at 128 and 1,150 images/s at 500."""


def batch_size(device: torch.device, size: int) -> int:
    """Return the batch size of inference for images of a height and width in pixels."""
    return max(8, int(EVAL_BATCH[device.type] * min(1, (32 / size) ** 2)))


@torch.inference_mode()
def predict(
    model: nn.Module,
    images: Inputs | Tensor,
    prepare: Callable[[Tensor], Tensor],
    autocast: Autocast,
    advance: Advance = ignore,
) -> Tensor:
    """Compute logits in batches, with the model in evaluation mode.

    The batch size is halved when a batch does not fit into memory.

    Args:
        model: Model; it is left in evaluation mode.
        images: Images, N×H×W×3, uint8, or features, N×F, float32, for the device of the model.
        prepare: Function that turns a batch of `images` into the input of the model.
        autocast: Factory of autocast contexts.
        advance: Callback, called with the number of images of each batch.

    Returns:
        Logits, N×C, float32, on the device of the model.

    Raises:
        RuntimeError: A single image does not fit into memory.
    """
    model.eval()
    inputs = Resident(images) if isinstance(images, Tensor) else images
    batch = EVAL_BATCH[inputs.device.type]
    if len(inputs.shape) == 4:  # features are small, so their batch size is not reduced
        batch = batch_size(inputs.device, getattr(prepare, "size", None) or inputs.shape[1])
    logits, done = [], 0
    while done < len(inputs):
        try:
            for subset in inputs.slices(batch, start=done):
                prepared = prepare(subset)
                with autocast():
                    logits.append(model(prepared).float())
                done += len(subset)
                advance(len(subset))
        except RuntimeError as error:  # noqa: PERF203  once for each batch size that fails
            if not is_out_of_memory(error) or batch == 1:
                raise
            batch //= 2
    return torch.cat(logits)
