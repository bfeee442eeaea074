"""Benchmarks on a GPU, without Ray: the loop of the student report and ours, alternating.

    python -m benchmarks.gpu [throughput] [sharing] [probe] [inference] --data path/to/cifar10

`throughput` trains all layers of the custom CNN and of the student report's networks at 32 pixels.
`sharing` trains the custom CNN in several concurrent processes, as with `--gpus-per-trial` below 1.
`probe` trains heads on cached backbone features. `inference` classifies the test split in fp32.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time

import torch
from torch import multiprocessing

from benchmarks import report_pipeline
from benchmarks.compare import untrained
from benchmarks.images import SIZE, load, subset
from benchmarks.lr_grid import spread
from trainables.config import PENALTIES, TrialConfig
from trainables.data import TrainingData
from trainables.features import compute_features
from trainables.loop import fit
from trainables.models import build_model
from trainables.models.weights import read_weights
from trainables.precision import resolve_precision

GPU = torch.device("cuda")
MODELS = ("cnn", "resnet18", "densenet121", "googlenet")
AT_ONCE = (1, 2, 4)
PROBE_EPOCHS = 10
"""Epochs in which the loop of the student report would train each head."""


def throughput(data: TrainingData, rounds: int) -> None:
    """Measure images per second of the second epoch, validation included."""
    images = len(data.train_labels) + len(data.val_labels)
    for name in MODELS:
        ours, theirs, memory = [], [], []
        for _ in range(rounds):
            model = None if name == "cnn" else build_model(name, len(data.classes), SIZE)
            first, second = report_pipeline.train(data, 1e-4, 2, model, "cuda")
            theirs.append(images / (second["seconds"] - first["seconds"]))
            del model  # so that its memory does not count as ours
            config = TrialConfig(lr=1e-4, epochs=2, model=name)
            row = fit(config, data, lambda *_: None, device=GPU)[-1]
            ours.append(row["images_per_second"])
            memory.append(row["peak_memory_mb"])
        print(f"{name}: student report's loop {spread(theirs, 0)}; ours {spread(ours, 0)} images/s")
        print(f"{name}: ratio {spread([a / b for a, b in zip(ours, theirs, strict=True)])}")
        print(f"{name}: peak memory {spread(memory, 0)} MB", flush=True)


def speed(config: TrialConfig, data: TrainingData) -> float:
    """Return images/s of the median epoch, as concurrent processes start and end at other times."""
    rows = fit(config, data, lambda *_: None, device=GPU)
    return statistics.median(row["images_per_second"] for row in rows)


def sharing(data: TrainingData, rounds: int) -> None:
    """Measure the total images per second of concurrent processes that train the custom CNN."""
    config = TrialConfig(lr=1e-4, epochs=60)
    for processes in AT_ONCE:
        totals = []
        for _ in range(rounds):
            with multiprocessing.get_context("spawn").Pool(processes) as pool:
                speeds = pool.starmap(speed, [(config, data)] * processes, chunksize=1)
            totals.append(sum(speeds))
        print(f"{processes} processes: {spread(totals, 0)} images/s", flush=True)


def probe(data: TrainingData) -> None:
    """Compare fitting heads on cached backbone features with forward passes in every epoch."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/resnet18.pt"
        torch.save(build_model("resnet18", len(data.classes), SIZE).state_dict(), file)
        os.environ["XDG_CACHE_HOME"] = folder
        weights = read_weights("resnet18", file)
        configs = [
            TrialConfig(lr=None, penalty=penalty, epochs=1, model="resnet18", weights=file,
                        mode="probe", normalize="weights")
            for penalty in PENALTIES
        ]  # fmt: skip
        compute_features(configs[0], data, weights, GPU, "fp32")  # to warm up
        start = time.perf_counter()
        for config in configs:
            fit(config, data, lambda *_: None, device=GPU, weights=weights)
        ours = time.perf_counter() - start
        start = time.perf_counter()
        precision = resolve_precision("auto", GPU)
        compute_features(configs[0], data, weights, GPU, precision)
        pass_seconds = time.perf_counter() - start
    model = build_model("resnet18", len(data.classes), SIZE).requires_grad_(False)
    model.get_submodule("fc").requires_grad_()
    first, second = report_pipeline.train(data, 1e-3, 2, model, "cuda")
    epoch_seconds = second["seconds"] - first["seconds"]
    passes = len(PENALTIES) * PROBE_EPOCHS
    print(f"{len(PENALTIES)} heads: {ours:.1f} s, including the forward pass")
    for what, seconds in (
        ("one epoch of the student report's loop", epoch_seconds),
        ("our forward pass alone", pass_seconds),
    ):
        print(f"{what}: {seconds:.2f} s; times {passes}: {passes * seconds / ours:.1f}x as long")


def inference(source: str, rounds: int) -> None:
    """Measure the inference throughput of the custom CNN on the test split in images/s."""
    classifier, images, _ = untrained(source, GPU)
    classifier.logits(images)
    throughputs = []
    for _ in range(rounds):
        start = time.perf_counter()
        classifier.logits(images)
        throughputs.append(len(images) / (time.perf_counter() - start))
    print(f"{spread(throughputs, 0)} images/s", flush=True)


def main() -> None:
    """Run the chosen benchmarks, by default all."""
    parser = argparse.ArgumentParser(description=__doc__)
    benchmarks = ("throughput", "sharing", "probe", "inference")
    parser.add_argument("benchmarks", nargs="*", choices=benchmarks, default=list(benchmarks))
    parser.add_argument("--data", required=True, help="folder of parquet files of CIFAR-10")
    parser.add_argument("--images", type=int, default=10_000, help="number of training images")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}, {os.cpu_count()} cores")
    data = subset(load(options.data, SIZE), options.images)
    for benchmark in options.benchmarks:
        print(f"\n{benchmark}", flush=True)
        if benchmark == "throughput":
            throughput(data, options.rounds)
        elif benchmark == "sharing":
            sharing(data, options.rounds)
        elif benchmark == "probe":
            probe(data)
        else:
            inference(options.data, options.rounds)


if __name__ == "__main__":
    main()
