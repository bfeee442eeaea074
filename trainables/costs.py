"""What a model costs to use: counted, and measured on the device at hand."""

from __future__ import annotations

import platform
import statistics
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

WARM_UP, TIMED = 5, 30
LATENCY_RUNS = 200
THROUGHPUT_BATCH, THROUGHPUT_RUNS = 256, 5
MOST_SECONDS = 10.0
"""Of one measurement; a large network on a CPU is timed fewer times."""


@dataclass(frozen=True)
class Costs:
    """Of one model in fp32, on images that are prepared already."""

    macs: int
    """Multiply-accumulates of the matrix products and convolutions of one image."""
    latency_p50_ms: float
    """Median time to classify one image."""
    latency_p95_ms: float
    """Time that 95 in 100 single images stay under."""
    images_per_second: float
    """At batch 256, or as large a one as a GPU has memory for; the median of the batches."""


def measure(model: nn.Module, image_size: int, device: torch.device) -> Costs:
    """Count and time a model.

    Args:
        model: on the device; it is left in evaluation mode.
        image_size: pixels of height and width.
        device: that the model is on. What else runs on the machine slows it down.
    """
    single = _times(model, 1, image_size, device, LATENCY_RUNS)
    batch = THROUGHPUT_BATCH
    while True:
        try:
            batched = _times(model, batch, image_size, device, THROUGHPUT_RUNS)
            break
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
            batch //= 2
    return Costs(
        macs=count_macs(model, image_size, device),
        latency_p50_ms=1e3 * float(np.quantile(single, 0.5)),
        latency_p95_ms=1e3 * float(np.quantile(single, 0.95)),
        images_per_second=batch / statistics.median(batched),
    )


@torch.inference_mode()
def count_macs(model: nn.Module, image_size: int, device: torch.device) -> int:
    """Multiply-accumulates of one image, half of what torch's FlopCounterMode counts."""
    model.eval()
    counter = FlopCounterMode(display=False)
    with counter:
        model(_images(1, image_size, device))
    return int(counter.get_total_flops()) // 2


def latency_ms(model: nn.Module, image_size: int, device: torch.device) -> float:
    """Median milliseconds to classify one image, of 30; the args are those of `measure`."""
    return 1e3 * statistics.median(_times(model, 1, image_size, device, TIMED))


@torch.inference_mode()
def _times(
    model: nn.Module, batch: int, image_size: int, device: torch.device, runs: int
) -> list[float]:
    """Seconds of each run, after some to warm up."""
    model.eval()
    images = _images(batch, image_size, device)
    times: list[float] = []
    begin = time.perf_counter()
    for i in range(min(WARM_UP, runs) + runs):
        start = time.perf_counter()
        model(images).sum().item()  # waits for a GPU
        end = time.perf_counter()
        if i >= min(WARM_UP, runs):
            times.append(end - start)
        if times and end - begin > MOST_SECONDS:
            break
    return times


def _images(batch: int, image_size: int, device: torch.device) -> torch.Tensor:
    shape = batch, 3, image_size, image_size
    return torch.zeros(shape, device=device).to(memory_format=torch.channels_last)


def describe_device(device: torch.device) -> str:
    """What a device is called, with the threads that torch takes on a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = torch.cpu.get_capabilities().get("cpu_name", platform.machine())
    return f"{name}, {torch.get_num_threads()} threads"
