"""Inference costs of a model: multiply-accumulates, latency and throughput on a device."""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

WARM_UP, TIMED = 5, 30
LATENCY_RUNS = 200
THROUGHPUT_BATCH = 256
ROUNDS = 5
"""Rounds of measurements, in each of which every model has its turn."""
CPU_PIXELS = THROUGHPUT_BATCH * 64**2
"""Most pixels of a batch on a CPU, where larger ones take memory and are no faster."""
MAX_SECONDS = 10.0
"""Time limit of one measurement in seconds; large networks on a CPU are timed fewer times."""
BUSY = 0.15
"""Share of the CPU that other processes use from which on times are not stated."""


@dataclass(frozen=True)
class Costs:
    """Inference costs of one model in fp32, without preprocessing."""

    macs: int
    """Multiply-accumulate operations of matrix products and convolutions for one image."""
    latency_p50_ms: float
    """Median latency of a single image in milliseconds; this and the other times are NaN where
    other processes used the machine."""
    latency_p95_ms: float
    """95th percentile of the latency of a single image in milliseconds."""
    images_per_second: float
    """Median throughput at batch size 256, or less: on a CPU for images above 64 pixels, and on a
    GPU where a batch does not fit into its memory."""
    latency_low_ms: float = math.nan
    """Lowest median latency of a round in milliseconds."""
    latency_high_ms: float = math.nan
    """Highest median latency of a round in milliseconds."""
    others: float = 0.0
    """Share of the CPU that other processes used meanwhile, in 0..1; 0 if unknown."""

    def stated(self) -> Costs:
        """Return the costs without times if other processes used more than BUSY of the CPU."""
        if self.others <= BUSY:
            return self
        spoilt = math.nan
        return Costs(self.macs, spoilt, spoilt, spoilt, others=self.others)


def measure(model: nn.Module, image_size: int, device: torch.device) -> Costs:
    """Measure the inference costs of one model, as `measure_all` does."""
    return measure_all([(model, image_size)], device)[0]


def measure_all(models: Sequence[tuple[nn.Module, int]], device: torch.device) -> list[Costs]:
    """Measure the inference costs of models, in interleaved rounds after a warm-up each.

    What changes in the meantime (clock rate, other processes) then meets all models alike.

    Args:
        models: models on `device`, each with the height and width of its input in pixels; they
            are left in evaluation mode.
        device: device of the models.
    """
    singles: list[list[list[float]]] = [[] for _ in models]
    rates: list[list[float]] = [[] for _ in models]
    batches = [_largest_batch(model, size, device) for model, size in models]
    before, began = _cpu_seconds(), time.perf_counter()
    for _ in range(ROUNDS):
        for i, (model, size) in enumerate(models):
            count, limit = max(1, LATENCY_RUNS // ROUNDS), MAX_SECONDS / ROUNDS
            singles[i].append(_times(model, 1, size, device, count, limit))
            seconds = _times(model, batches[i], size, device, 1, limit)
            rates[i].append(batches[i] / seconds[0])
    wall = time.perf_counter() - began
    after = _cpu_seconds()
    used = max(0.0, after - before) / wall / (os.cpu_count() or 1)
    return [
        Costs(
            macs=count_macs(model, size, device),
            latency_p50_ms=1e3 * float(np.quantile(np.concatenate(single), 0.5)),
            latency_p95_ms=1e3 * float(np.quantile(np.concatenate(single), 0.95)),
            images_per_second=statistics.median(rate),
            latency_low_ms=1e3 * min(map(statistics.median, single)),
            latency_high_ms=1e3 * max(map(statistics.median, single)),
            others=used,
        )
        for (model, size), single, rate in zip(models, singles, rates, strict=True)
    ]


def _largest_batch(model: nn.Module, image_size: int, device: torch.device) -> int:
    """Return the batch size of the throughput: the largest up to 256 that fits into memory."""
    batch = THROUGHPUT_BATCH
    if device.type == "cpu":
        return max(1, min(batch, CPU_PIXELS // image_size**2))
    while True:
        try:
            _times(model, batch, image_size, device, 1, MAX_SECONDS)
            break
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
            batch //= 2
    return batch


def _cpu_seconds() -> float:
    """Return the CPU time in seconds that other processes have used; 0 where it is unknown."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:  # not on Linux
        return 0.0
    user, nice, system, _, _, interrupts, soft, steal = map(int, fields)
    total = (user + nice + system + interrupts + soft + steal) / os.sysconf("SC_CLK_TCK")
    own = os.times()
    return total - own.user - own.system


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
    return 1e3 * statistics.median(_times(model, 1, image_size, device, TIMED, MAX_SECONDS))


@torch.inference_mode()
def _times(
    model: nn.Module, batch: int, image_size: int, device: torch.device, runs: int, limit: float
) -> list[float]:
    """Return the seconds of each run, after warm-up runs, within a limit in seconds."""
    model.eval()
    images = _images(batch, image_size, device)

    def run() -> float:
        start = time.perf_counter()
        model(images).sum().item()  # .item() synchronises a GPU
        return time.perf_counter() - start

    spent = 0.0
    times: list[float] = []
    for _ in range(WARM_UP if runs > 1 else 1):
        spent += run()
        if spent > limit / 2:
            break
    while len(times) < runs and (not times or spent < limit):
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
