"""Benchmark of training steps of networks with depthwise convolutions on a CPU.

    python -m benchmarks.depthwise

A step is a forward and a backward pass of a batch. Three ways take turns: fp32, bf16 autocast as it
is, and bf16 autocast with the depthwise convolutions in fp32, as `fit` trains.
"""

from __future__ import annotations

import argparse
import copy
import os
import time

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.lr_grid import spread
from trainables.models import build_model
from trainables.models.layers import train_depthwise_in_fp32
from trainables.precision import Autocast

NETWORKS = (
    "mobilenet_v2", "mobilenet_v3_large", "efficientnet_b0", "mnasnet1_0", "convnext_tiny",
    "timm:efficientnet_lite0",
)  # fmt: skip
BATCHES = {224: 16, 64: 64}
"""Batch size by image size in pixels."""
CLASSES = 10


def seconds(model: nn.Module, images: Tensor, labels: Tensor, autocast: Autocast) -> float:
    """Return the time of a step."""
    start = time.perf_counter()
    with autocast():
        loss = F.cross_entropy(model(images), labels)
    loss.backward()
    return time.perf_counter() - start


def measure(name: str, size: int, rounds: int) -> None:
    """Print the times of the three ways, and how many times as fast ours is."""
    cpu = torch.device("cpu")
    plain = build_model(name, CLASSES, size).to(memory_format=torch.channels_last).train()
    ours = copy.deepcopy(plain)
    train_depthwise_in_fp32(ours)
    ways = {
        "fp32": (plain, Autocast("fp32", cpu)),
        "bf16": (plain, Autocast("bf16", cpu)),
        "ours": (ours, Autocast("bf16", cpu)),
    }
    images = torch.randn(BATCHES[size], 3, size, size).to(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (len(images),))
    times: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, (model, autocast) in ways.items():
            took = seconds(model, images, labels, autocast)
            if number:  # the first is a warm-up
                times[way].append(took)
    shown = ", ".join(f"{way} {spread(each, 3)} s" for way, each in times.items())
    print(f"{name}, {size} pixels: {shown}")
    for way in ("fp32", "bf16"):
        ratios = [a / b for a, b in zip(times[way], times["ours"], strict=True)]
        print(f"  ours against {way}: {spread(ratios)}", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for size in BATCHES:
        for name in NETWORKS:
            measure(name, size, options.rounds)


if __name__ == "__main__":
    main()
