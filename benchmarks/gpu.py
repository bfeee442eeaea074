"""Training on a GPU, without Ray: the report's own loop and ours in turns.

    python -m benchmarks.gpu [throughput] [sharing] [probe] [inference] --data path/to/cifar10

`throughput` trains the custom CNN and the report's networks at 32 pixels, all layers. `sharing`
trains the custom CNN in several processes at once, as `--gpus-per-trial` below 1 does. `probe`
trains heads on features that are computed once. `inference` classifies the test part in fp32.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time

import numpy as np
import torch
from torch import multiprocessing

from benchmarks import report_pipeline
from benchmarks.compare import untrained
from benchmarks.lr_grid import spread
from trainables.config import TrialConfig
from trainables.data import TrainingData, part_of, split
from trainables.features import compute_features
from trainables.loop import fit
from trainables.models import build_model
from trainables.models.weights import read_weights
from trainables.precision import resolve_precision
from trainables.sources import load_dataset

GPU = torch.device("cuda")
MODELS = ("cnn", "resnet18", "densenet121", "googlenet")
AT_ONCE = (1, 2, 4)
PROBE_RATES, PROBE_EPOCHS = 10, 10


def throughput(data: TrainingData, rounds: int) -> None:
    """Images a second, validation included, of the epoch after the first."""
    images = len(data.train_labels) + len(data.val_labels)
    for name in MODELS:
        ours, theirs, memory = [], [], []
        for _ in range(rounds):
            model = None if name == "cnn" else build_model(name, len(data.classes), 32)
            first, second = report_pipeline.train(data, 1e-4, 2, model, "cuda")
            theirs.append(images / (second["seconds"] - first["seconds"]))
            del model  # whose memory is not ours
            config = TrialConfig(lr=1e-4, epochs=2, model=name)
            row = fit(config, data, lambda *_: None, device=GPU)[-1]
            ours.append(row["images_per_second"])
            memory.append(row["peak_memory_mb"])
        print(f"{name}: report's loop {spread(theirs, 0)}; ours {spread(ours, 0)} images/s")
        print(f"{name}: ratio {spread([a / b for a, b in zip(ours, theirs, strict=True)])}")
        print(f"{name}: peak memory {spread(memory, 0)} MB", flush=True)


def speed(config: TrialConfig, data: TrainingData) -> float:
    """Images a second of the median epoch, for others that train meanwhile start and end apart."""
    rows = fit(config, data, lambda *_: None, device=GPU)
    return statistics.median(row["images_per_second"] for row in rows)


def sharing(data: TrainingData, rounds: int) -> None:
    """Images a second of the custom CNN, all processes together."""
    config = TrialConfig(lr=1e-4, epochs=60)
    for processes in AT_ONCE:
        together = []
        for _ in range(rounds):
            with multiprocessing.get_context("spawn").Pool(processes) as pool:
                speeds = pool.starmap(speed, [(config, data)] * processes, chunksize=1)
            together.append(sum(speeds))
        print(f"{processes} at once: {spread(together, 0)} images/s", flush=True)


def probe(data: TrainingData) -> None:
    """A grid of heads on cached features, against a pass through the network in every epoch."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/resnet18.pt"
        torch.save(build_model("resnet18", len(data.classes), 32).state_dict(), file)
        os.environ["XDG_CACHE_HOME"] = folder
        weights = read_weights("resnet18", file)
        configs = [
            TrialConfig(lr=float(lr), epochs=PROBE_EPOCHS, model="resnet18", weights=file,
                        mode="probe", normalize="weights")
            for lr in np.geomspace(1e-4, 1e-1, PROBE_RATES)
        ]  # fmt: skip
        compute_features(configs[0], data, weights, GPU, "fp32")  # to warm up
        start = time.perf_counter()
        for config in configs:
            fit(config, data, lambda *_: None, device=GPU, weights=weights)
        ours = time.perf_counter() - start
        start = time.perf_counter()
        precision = resolve_precision("auto", GPU)
        compute_features(configs[0], data, weights, GPU, precision)
        once = time.perf_counter() - start
    model = build_model("resnet18", len(data.classes), 32).requires_grad_(False)
    model.get_submodule("fc").requires_grad_()
    first, second = report_pipeline.train(data, 1e-3, 2, model, "cuda")
    loop, passes = second["seconds"] - first["seconds"], PROBE_RATES * PROBE_EPOCHS
    print(f"{passes} epochs of heads: {ours:.1f} s, a pass included")
    for what, seconds in (("an epoch of the report's loop", loop), ("our pass alone", once)):
        print(f"{what}: {seconds:.2f} s, of {passes} {passes * seconds / ours:.1f}x as long")


def inference(source: str, rounds: int) -> None:
    """Images a second of classifying the test part by the custom CNN."""
    classifier, images, _ = untrained(source, GPU)
    classifier.logits(images)
    rates = []
    for _ in range(rounds):
        start = time.perf_counter()
        classifier.logits(images)
        rates.append(len(images) / (time.perf_counter() - start))
    print(f"{spread(rates, 0)} images/s", flush=True)


def main() -> None:
    """Measure what is asked for, by default everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = ("throughput", "sharing", "probe", "inference")
    parser.add_argument("parts", nargs="*", choices=parts, default=list(parts))
    parser.add_argument("--data", required=True, help="CIFAR-10 as a folder of parquet files")
    parser.add_argument("--images", type=int, default=10_000, help="to train on")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}, {os.cpu_count()} cores")
    dataset = load_dataset(options.data)
    data, _ = part_of(TrainingData.of(dataset, split(dataset)), options.images)
    for part in options.parts:
        print(f"\n{part}", flush=True)
        if part == "throughput":
            throughput(data, options.rounds)
        elif part == "sharing":
            sharing(data, options.rounds)
        elif part == "probe":
            probe(data)
        else:
            inference(options.data, options.rounds)


if __name__ == "__main__":
    main()
