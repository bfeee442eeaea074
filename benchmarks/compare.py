"""Benchmarks of the final comparison: inference throughput, and wall time of the command.

    python -m benchmarks.compare inference --data path/to/cifar10
    python -m benchmarks.compare command RUN [RUN …]

`inference` classifies the test split with the custom CNN in fp32, alternating between the code of
compare.py and the loop of the student report (PIL images, per-sample transforms, two DataLoader
workers). `command` runs compare.py on copies of existing runs, in a temporary folder.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

import torch
from torch.utils.data import DataLoader

from benchmarks.images import SIZE, load_test
from benchmarks.lr_grid import spread
from benchmarks.report_pipeline import PILDataset, ReportCNN, evaluate
from trainables.arrays import Images, Ints
from trainables.models import build_model
from trainables.preparation import Preparation
from trainables.saved_model import Classifier
from trainables.views import Decoding, View


def untrained(source: str, device: torch.device) -> tuple[Classifier, Images, Ints]:
    """Return an untrained custom CNN, the test images (N×H×W×3, uint8) and their labels (N)."""
    images, labels, classes = load_test(source, SIZE)
    half = 0.5, 0.5, 0.5
    model = build_model("cnn", len(classes), SIZE).to(device)
    classifier = Classifier(
        model.to(memory_format=torch.channels_last).eval(),
        Preparation(half, half, device),
        classes,
        View(SIZE),
        Decoding(),
        device,
    )
    return classifier, images.read(), labels


def inference(source: str, rounds: int) -> None:
    """Measure the inference throughput on the test split, in images per second."""
    torch.set_num_threads(os.cpu_count() or 1)
    classifier, images, labels = untrained(source, torch.device("cpu"))
    classifier.logits(images[:1000])
    ours, theirs = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        evaluate(ReportCNN(), DataLoader(PILDataset(images, labels), 64, num_workers=2))
        theirs.append(len(labels) / (time.perf_counter() - start))
        start = time.perf_counter()
        classifier.logits(images)
        ours.append(len(labels) / (time.perf_counter() - start))
    print(f"student report's loop {spread(theirs, 0)}; ours {spread(ours, 0)} images/s")
    print(f"ratio {spread([a / b for a, b in zip(ours, theirs, strict=True)])}")


def command(runs: list[str], rounds: int) -> None:
    """Measure the wall time of compare.py in seconds."""
    seconds = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            copies = [shutil.copytree(run, f"{folder}/{i}") for i, run in enumerate(runs)]
            words = ["tune_jobs/compare.py", *copies, "--output", f"{folder}/out"]
            start = time.perf_counter()
            subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
            seconds.append(time.perf_counter() - start)
    print(f"compare.py on {len(runs)} runs: {spread(seconds, 1)} s")


def main() -> None:
    """Run the chosen benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmark", choices=["inference", "command"])
    parser.add_argument("runs", nargs="*", help="run folders for `command`")
    parser.add_argument("--data", help="folder of parquet files for `inference`")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.benchmark == "inference":
        inference(options.data, options.rounds)
    else:
        command(options.runs, options.rounds)


if __name__ == "__main__":
    main()
