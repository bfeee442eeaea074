"""Benchmark of random augmentation: ours, kornia's and torchvision's, alternating.

    python -m benchmarks.augment [--device cuda] [--rounds 9]

Each turns batches of 64 uint8 images into uint8 views, on one thread of a CPU or on a GPU. `photo`
is a resized crop, a flip and a change of colour. `strong` adds one operation of TrivialAugment and
erasing; kornia draws that operation once a batch instead of once an image. torchvision draws once a
call, so it is called image by image. kornia takes part if it is installed. Times on a CPU are CPU
times, so that other processes disturb them less.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.lr_grid import spread
from trainables.augment import build_augmentation
from trainables.config import TrialConfig
from trainables.mixing import build_mixing
from trainables.random_views import CROP_AREA, ERASE_SHARE, MILD

BATCH, IMAGES, CLASSES = 64, 256, 10
SIZES = ((256, 224), (36, 32))
"""Heights and widths in pixels of images and of their views."""

Pipeline = Callable[[Tensor, Tensor], object]


def ours(size: int) -> dict[str, Pipeline]:
    """Return our pipelines by name."""
    config = TrialConfig(lr=1e-3, mixup=0.2, cutmix=1)
    mixing = build_mixing(config, CLASSES)
    assert mixing is not None
    pipelines: dict[str, Pipeline] = {
        f"ours {name}": build_augmentation(TrialConfig(lr=1e-3, augment=name), size)
        for name in ("flip_crop", "photo", "strong")
    }
    return pipelines | {
        "ours mixup and cutmix": lambda images, index: mixing(
            images[index, :size, :size], index % CLASSES
        )
    }


def kornia(size: int) -> dict[str, Pipeline]:
    """Return kornia's pipelines by name; none if it is not installed."""
    if not importlib.util.find_spec("kornia"):
        return {}
    from kornia import augmentation as K
    from kornia.augmentation.auto import TrivialAugment

    def pipeline(*last: Any) -> Pipeline:
        crop = K.RandomResizedCrop((size, size), scale=CROP_AREA)
        transform = K.AugmentationSequential(crop, K.RandomHorizontalFlip(), *last)

        def views(images: Tensor, index: Tensor) -> Tensor:
            batch = images[index].permute(0, 3, 1, 2).float().div_(255)
            changed: Tensor = transform(batch).mul_(255).round_().clamp_(0, 255)
            return changed.permute(0, 2, 3, 1).to(torch.uint8)

        return views

    return {
        "kornia photo": pipeline(K.ColorJitter(MILD, MILD, MILD)),
        "kornia strong": pipeline(TrivialAugment(), K.RandomErasing(p=ERASE_SHARE)),
    }


def torchvision(size: int) -> dict[str, Pipeline]:
    """Return torchvision's pipelines by name."""

    def pipeline(*last: v2.Transform) -> Pipeline:
        crop = v2.RandomResizedCrop(size, scale=CROP_AREA)
        transform = v2.Compose([crop, v2.RandomHorizontalFlip(), *last])

        def views(images: Tensor, index: Tensor) -> Tensor:
            batch = images[index].permute(0, 3, 1, 2)
            return torch.stack([transform(image) for image in batch]).permute(0, 2, 3, 1)

        return views

    return {
        "torchvision photo": pipeline(v2.ColorJitter(MILD, MILD, MILD)),
        "torchvision strong": pipeline(v2.TrivialAugmentWide(), v2.RandomErasing(ERASE_SHARE)),
    }


def now(device: torch.device) -> float:
    """Return seconds: wall time after a GPU's work is done, or the time on the CPU's one thread."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.thread_time()


def main() -> None:
    """Time all pipelines in turns and print milliseconds per image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for stored, size in SIZES:
        images = torch.randint(256, (IMAGES, stored, stored, 3), device=options.device)
        images = images.to(torch.uint8)
        pipelines = {**ours(size), **kornia(size), **torchvision(size)}
        times: dict[str, list[float]] = {name: [] for name in pipelines}
        for _ in range(options.rounds + 1):
            for name, pipeline in pipelines.items():
                index = torch.randint(IMAGES, (BATCH,), device=options.device)
                start = now(options.device)
                pipeline(images, index)
                times[name].append(1000 * (now(options.device) - start) / BATCH)
        print(f"\n{stored} to {size} pixels, ms per image", flush=True)
        for name, values in times.items():
            print(f"{name}: {spread(values[1:], 3)}")  # the first round warms up


if __name__ == "__main__":
    main()
