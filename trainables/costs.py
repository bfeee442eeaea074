"""What a model costs to use, measured."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

WARM_UP, TIMED = 5, 30


@torch.inference_mode()
def latency_ms(model: nn.Module, image_size: int, device: torch.device) -> float:
    """Median milliseconds to classify one image, in fp32, of 30 after 5 to warm up.

    Args:
        model: on the device; it is left in evaluation mode.
        image_size: pixels of height and width.
        device: that the model is on. What else runs on the machine slows it down.
    """
    model.eval()
    image = torch.zeros(1, 3, image_size, image_size, device=device)
    times = []
    for _ in range(WARM_UP + TIMED):
        start = time.perf_counter()
        model(image).sum().item()  # waits for a GPU
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times[WARM_UP:])
