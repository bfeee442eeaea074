"""Inference costs of a model: multiply-accumulates, latency and throughput on a device."""

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
CPU_PIXELS = THROUGHPUT_BATCH * 64**2
"""Most pixels of a batch on a CPU, where larger ones take memory and are no faster."""
MAX_SECONDS = 10.0
"""Time limit of one measurement in seconds; large networks on a CPU are timed fewer times."""


@dataclass(frozen=True)
class Costs:
    """Inference costs of one model in fp32, without preprocessing."""

    macs: int
    """Multiply-accumulate operations of matrix products and convolutions for one image."""
    latency_p50_ms: float
    """Median latency of a single image in milliseconds."""
    latency_p95_ms: float
    """95th percentile of the latency of a single image in milliseconds."""
    images_per_second: float
    """Median throughput at batch size 256, or less: on a CPU for images above 64 pixels, and on a
    GPU where a batch does not fit into its memory."""


def measure(model: nn.Module, image_size: int, device: torch.device) -> Costs:
    """Measure the inference costs of a model.

    Other processes on the same hardware distort the timings.

    Args:
        model: Model on `device`; it is left in evaluation mode.
        image_size: Height and width of the input in pixels.
        device: Device of the model.
    """
    single = _times(model, 1, image_size, device, LATENCY_RUNS)
    batch = THROUGHPUT_BATCH
    if device.type == "cpu":
        batch = max(1, min(batch, CPU_PIXELS // image_size**2))
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
    """Count the multiply-accumulates of one image: half of what torch's FlopCounterMode counts."""
    model.eval()
    counter = FlopCounterMode(display=False)
    with counter:
        model(_images(1, image_size, device))
    return int(counter.get_total_flops()) // 2


def latency_ms(model: nn.Module, image_size: int, device: torch.device) -> float:
    """Return the median latency of a single image in milliseconds, over 30 runs.

    The arguments are those of `measure`.
    """
    return 1e3 * statistics.median(_times(model, 1, image_size, device, TIMED))


@torch.inference_mode()
def _times(
    model: nn.Module, batch: int, image_size: int, device: torch.device, runs: int
) -> list[float]:
    """Return the seconds of each run, after warm-up runs."""
    model.eval()
    images = _images(batch, image_size, device)

    def run() -> float:
        start = time.perf_counter()
        model(images).sum().item()  # .item() synchronises a GPU
        return time.perf_counter() - start

    spent = 0.0
    times: list[float] = []
    for _ in range(min(WARM_UP, runs)):
        spent += run()
        if spent > MAX_SECONDS / 2:
            break
    while len(times) < runs and (not times or spent < MAX_SECONDS):
        times.append(run())
        spent += times[-1]
    return times


def _images(batch: int, image_size: int, device: torch.device) -> torch.Tensor:
    shape = batch, 3, image_size, image_size
    return torch.zeros(shape, device=device).to(memory_format=torch.channels_last)


def describe_device(device: torch.device) -> str:
    """Return the name of a device; for a CPU, with the number of threads that torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = torch.cpu.get_capabilities().get("cpu_name", platform.machine())
    return f"{name}, {torch.get_num_threads()} threads"
