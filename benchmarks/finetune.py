"""Benchmarks of fine-tuning against the training loop of the student report.

    python -m benchmarks.finetune throughput --data path/to/cifar10
    python -m benchmarks.finetune probe --data path/to/cifar10
    python -m benchmarks.finetune pretrained --data path/to/cifar10

`throughput` fine-tunes all layers of each network of the student report at 32 pixels. `probe`
compares a path of heads on cached backbone features with forward passes in every epoch: in the
student report's loop with all but the head frozen, and in our code without training a head.
`pretrained` trains a network from ImageNet weights, and from random weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks import report_pipeline
from benchmarks.images import SIZE, load, subset
from benchmarks.lr_grid import spread
from trainables.config import PENALTIES, TrialConfig
from trainables.features import compute_features
from trainables.loop import fit
from trainables.models import build_model
from trainables.models.weights import read_weights
from trainables.precision import resolve_precision
from trainables.trust import EVERY, trust
from tune_jobs.analysis.results import load_epochs, load_trials

trust([EVERY])  # networks that whoever measures has named

MODELS = ("resnet18", "densenet121", "googlenet")
RATES = (1e-5, 1e-4)
PROBE_EPOCHS = 10
"""Epochs in which the loop of the student report would train each head."""
PRETRAINED = "tests.nets:efficientnet_lite0"


def job(runs: str, *arguments: str | float) -> float:
    """Run finetune.py as a user does, and return its wall time in seconds."""
    words = ["tune_jobs/finetune.py", *map(str, arguments), "--storage-path", runs]
    environment = {**os.environ, "XDG_CACHE_HOME": f"{runs}/cache", "PYTHONPATH": str(Path.cwd())}
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True, env=environment)
    return time.perf_counter() - start


def write_subset(source: str, images: int, folder: str) -> str:
    """Write every k-th row of a source's training file as a new source, and return its path."""
    (file,) = sorted(Path(source).rglob("*train*.parquet"))
    table = pq.read_table(file)
    rows = pa.array(range(0, len(table), len(table) // images))
    Path(folder, "images").mkdir()
    pq.write_table(table.take(rows), Path(folder, "images", "train.parquet"))
    return f"{folder}/images"


def throughput(source: str, rounds: int) -> None:
    """Measure images per second of full fine-tuning (two learning rates, one epoch, validation)."""
    data = load(source, SIZE)
    images = len(RATES) * (len(data.train_labels) + len(data.val_labels))
    for name in MODELS:
        ours, theirs, memory = [], [], []
        for _ in range(rounds):
            torch.set_num_threads(os.cpu_count() or 1)
            seconds = 0.0
            for lr in RATES:
                model = build_model(name, len(data.classes), SIZE)
                seconds += list(report_pipeline.train(data, lr, 1, model))[-1]["seconds"]
            theirs.append(images / seconds)
            with tempfile.TemporaryDirectory() as runs:
                job(runs, "--data", source, "--models", name, "--weights", "none", "--epochs", 1,
                    "--lr", *RATES)  # fmt: skip
                # The trials run concurrently, each on one core.
                ours.append(float(load_epochs(f"{runs}/finetune")["images_per_second"].sum()))
                memory += load_trials(f"{runs}/finetune")["peak_memory_mb"].tolist()
            print(f"  {name}: student report {theirs[-1]:.0f}/s, ours {ours[-1]:.0f}/s", flush=True)
        print(f"{name}: student report's loop {spread(theirs, 0)}; ours {spread(ours, 0)} images/s")
        print(f"{name}: ratio {spread([a / b for a, b in zip(ours, theirs, strict=True)])}")
        print(f"{name}: peak memory per trial, images included: {spread(memory, 0)} MB")


def probe(source: str) -> None:
    """Compare fitting heads on cached backbone features with forward passes in every epoch."""
    data = load(source, SIZE)
    name = "resnet18"
    with tempfile.TemporaryDirectory() as runs:
        file = f"{runs}/{name}.pt"
        torch.save(build_model(name, len(data.classes), SIZE).state_dict(), file)
        ours = job(runs, "--data", source, "--models", name, "--weights", file, "--mode", "probe")
        config = TrialConfig(lr=None, model=name, weights=file, mode="probe", normalize="weights")
        device = torch.device("cpu")
        torch.set_num_threads(os.cpu_count() or 1)
        start = time.perf_counter()
        weights = read_weights(name, file)
        compute_features(config, data, weights, device, resolve_precision("auto", device))
        pass_seconds = time.perf_counter() - start
    model = build_model(name, len(data.classes), SIZE).requires_grad_(False)
    model.get_submodule("fc").requires_grad_()
    epoch_seconds = list(report_pipeline.train(data, 1e-3, 1, model))[-1]["seconds"]
    passes = len(PENALTIES) * PROBE_EPOCHS
    print(f"{len(PENALTIES)} heads: {ours:.1f} s, wall time of the command")
    for what, seconds in (
        ("one epoch of the student report's loop", epoch_seconds),
        ("our forward pass alone", pass_seconds),
    ):
        total = passes * seconds
        print(
            f"{what}, {name}: {seconds:.2f} s; times {passes}: {total:.0f} s, {total / ours:.1f}x"
        )


def pretrained(source: str, rounds: int) -> None:
    """Compare the validation accuracy from ImageNet weights and from random weights."""
    data = subset(load(source, SIZE), 2000)
    torch.set_num_threads(os.cpu_count() or 1)
    warnings.simplefilter("ignore")
    weights = read_weights(PRETRAINED, "default")
    base: dict[str, Any] = {"lr": 1e-3, "epochs": 3, "model": PRETRAINED, "normalize": "weights"}
    found: dict[str, list[float]] = {"default": [], "none": []}
    for seed in range(rounds):
        for start, scores in found.items():
            config = dataclasses.replace(TrialConfig(**base), seed=seed, weights=start)
            initial = weights if start == "default" else None
            rows = fit(config, data, lambda *_: None, weights=initial)
            scores.append(100 * max(row["val_accuracy"] for row in rows))
            print(f"  weights {start}, seed {seed}: {scores[-1]:.1f}%", flush=True)
    for start, scores in found.items():
        print(f"weights {start}: {spread(scores, 1)} %")


def main() -> None:
    """Run the chosen benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmark", choices=["throughput", "probe", "pretrained"])
    parser.add_argument("--data", required=True, help="folder with a parquet training file")
    parser.add_argument(
        "--images", type=int, default=12_500, help="number of images for training and validation"
    )
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = write_subset(options.data, options.images, folder)
        if options.benchmark == "probe":
            probe(source)
        else:
            {"throughput": throughput, "pretrained": pretrained}[options.benchmark](
                source, options.rounds
            )


if __name__ == "__main__":
    main()
