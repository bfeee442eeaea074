"""Learning curves on real images: curves from half of the images, held against all of them.

    python -m benchmarks.learning_curves held   --cifar10 path/to/cifar10 [--photos path/to/photos]
    python -m benchmarks.learning_curves steps

`held` makes cases of dataset, number of training images, network and draw. In each, the curve is
measured on parts of one half of the training images, as --learning-curve does, and the interval of
its error with twice the images is compared with the mean error of trainings on all of them.
`steps` compares trainings on few digits for as many epochs and as many steps as on all digits.
Pretrained networks are EfficientNet-Lite0 with ImageNet weights (`--network`, `package:function`)
with a head fitted to its features; the others are small CNNs of random weights, trained as by
--recipe fast.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from trainables.config import TrialConfig
from trainables.loop import fit
from trainables.models.weights import Weights, read_weights
from trainables.subsets import SIZES, subset_sizes
from trainables.trial_images import TrialImages
from trainables.trust import EVERY, trust
from tune_jobs.analysis.comparison.learning_curve import LearningCurve, Measured
from tune_jobs.command_line.options import DataOptions
from tune_jobs.tuning.data import read_images, views_of
from tune_jobs.tuning.found_images import find_images

trust([EVERY])  # networks that whoever measures has named

SEEDS = 1, 2, 3
VALIDATION = 1000
"""Largest number of validation images."""
CNN: dict[str, Any] = {"widths": [16, 32], "hidden_units": 64}
FAST: dict[str, Any] = {
    "schedule": "one_cycle",
    "optimizer": "adamw",
    "normalize": "dataset",
    "dropout": 0.1,
}


def images_of(source: str, config: TrialConfig, split_seed: int = 0) -> TrialImages:
    """Return the training and validation images of a source, in the view of a trial."""
    found = find_images(DataOptions(data=source, split_seed=split_seed))
    data = read_images(found, views_of([config]), None, False, Console(quiet=True)).trials
    every = -(-len(data.val_labels) // VALIDATION)
    return dataclasses.replace(
        data, val_rows=data.val_rows[::every], val_labels=data.val_labels[::every]
    )


def part(data: TrialImages, size: int, seed: int) -> TrialImages:
    """Return the images with fewer training images, stratified."""
    positions = data.subset(size, seed)
    return dataclasses.replace(
        data, train_rows=data.train_rows[positions], train_labels=data.train_labels[positions]
    )


def error(config: TrialConfig, data: TrialImages, weights: Weights | None) -> float:
    """Return the validation error of the best epoch of a training."""
    history = fit(config, data.training_data(config), lambda *_: None, weights=weights)
    return 1 - max(epoch["val_accuracy"] for epoch in history)


def curve(config: TrialConfig, data: TrialImages, weights: Weights | None) -> LearningCurve:
    """Return the learning curve on parts of some images, as --learning-curve measures it."""
    sizes = subset_sizes(data.train_labels, None, data.classes)
    trained = [(size, seed) for size in sizes for seed in SEEDS]
    errors = []
    for size, seed in trained:
        subset = size if size < sizes[-1] else None
        own = dataclasses.replace(config, seed=seed, train_size=subset)
        errors.append(error(own, data, weights))
    images, seeds = np.array(trained).T
    validation = len(data.val_labels)
    constant = 1 - float(np.bincount(data.val_labels).max()) / validation
    return LearningCurve(Measured(images, seeds, images, np.array(errors), validation, constant))


def cases(options: argparse.Namespace) -> Iterator[tuple[str, TrialConfig, TrialImages]]:
    """Yield name, configuration and images of each case: 25, and 5 with photographs."""
    cnn = TrialConfig(lr=3e-3, epochs=10, image_size=8, model_args=CNN, **FAST)
    for draw in range(10):
        yield f"digits {draw}, CNN", cnn, images_of("digits", cnn, draw)
    head = TrialConfig(lr=1.0, model=options.network, weights="default", image_size=32)
    head = head.as_probe(0.1)
    for draw in range(6):
        yield f"digits {draw}, head", head, images_of("digits", head, draw)
    found = images_of(options.cifar10, head)
    for size in (1000, 2000, 4000):
        for draw in range(3):
            yield f"CIFAR-10 {size} {draw}, head", head, part(found, size, 100 + draw)
    if options.photos:
        head = dataclasses.replace(head, image_size=64)
        found = images_of(options.photos, head)
        for size, draw in ((750, 1050), (1500, 1800), (3000, 3300), (750, 1150), (1500, 1900)):
            yield f"photographs {size} {draw}, head", head, part(found, size, draw)


def held(options: argparse.Namespace) -> None:
    """Print for each case the interval from half of the images, and the error with all of them.

    Trainings on all images take as many steps as those of the curve, or as many epochs.
    """
    inside = {"steps": 0, "epochs": 0}
    total = 0
    for name, config, data in cases(options):
        start, total = time.perf_counter(), total + 1
        weights = None if config.weights == "none" else read_weights(config.model, config.weights)
        size, is_head = len(data.train_labels), config.mode == "probe"
        half = curve(config, part(data, size // 2, 1000), weights)
        low, high = half.interval(size)
        texts = [f"{half.at(np.array([size]))[0]:.4f} ({low:.4f} to {high:.4f}) expected"]
        for unit in inside:
            fewer = config.epochs // 2 if unit == "steps" and not is_head else config.epochs
            own = dataclasses.replace(config, epochs=fewer)
            seeds = SEEDS[:1] if is_head else SEEDS  # which do not change a head
            whole = [error(dataclasses.replace(own, seed=s), data, weights) for s in seeds]
            inside[unit] += bool(low <= np.mean(whole) <= high)
            texts.append(f"{np.mean(whole):.4f} with equal {unit}")
        seconds = time.perf_counter() - start
        print(f"{name}: {size:,} images: {', '.join(texts)} ({seconds:.0f} s)", flush=True)
    print(", ".join(f"{n} of {total} held with equal {unit}" for unit, n in inside.items()))


def steps(options: argparse.Namespace) -> None:
    """Print the error on parts of the digits, at as many epochs and as many steps as on all."""
    config = TrialConfig(lr=1e-3, epochs=20, image_size=8, model_args=CNN)
    data = images_of("digits", config)
    for size in subset_sizes(data.train_labels, None, data.classes)[:SIZES]:
        rows: dict[str, list[float]] = {"epochs": [], "steps": []}
        for seed in SEEDS:
            own = dataclasses.replace(config, seed=seed)
            subset = part(data, size, seed)
            rows["epochs"].append(error(own, subset, None))
            rows["steps"].append(error(dataclasses.replace(own, train_size=size), data, None))
        shown = ", ".join(f"equal {name} {np.mean(values):.4f}" for name, values in rows.items())
        print(f"{size:,} images: {shown}", flush=True)


def main() -> None:
    """Run the part that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["held", "steps"])
    parser.add_argument("--cifar10", default="cifar10")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--network", default="timm:tf_efficientnet_lite0.in1k")
    options = parser.parse_args()
    torch.set_num_threads(1)
    (held if options.part == "held" else steps)(options)


if __name__ == "__main__":
    main()
