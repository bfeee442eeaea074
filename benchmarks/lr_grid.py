"""Benchmarks of the learning-rate grid against the pipeline of the student report.

    python -m benchmarks.lr_grid --data path/to/cifar10 [throughput] [target] [memory] [overhead]

Prints the figures of results.md. Baseline and candidate alternate, so that a drift of the machine's
speed affects both alike.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image

from benchmarks import report_pipeline
from benchmarks.images import SIZE, load
from trainables.config import RECIPES, TrialConfig
from trainables.data import TrainingData
from trainables.loop import fit
from tune_jobs.analysis.results import load_epochs, load_trials

RATES = (1e-4, 2.5e-4)
FAST_LR = 1e-3
TARGET_ACCURACY = 0.70
MOST_EPOCHS = 25


def spread(values: list[float], digits: int = 2) -> str:
    """Format values as `median (lowest to highest), n = count`."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f}), n = {len(values)}"


def grid(*arguments: str | float, meanwhile: Callable[[], None] = lambda: None) -> float:
    """Run lr_grid.py as a user does, call `meanwhile` repeatedly, and return the wall time in s."""
    start = time.perf_counter()
    command = [sys.executable, "tune_jobs/lr_grid.py", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as job:
        while job.poll() is None:
            meanwhile()
            time.sleep(0.02)
    assert job.returncode == 0, command
    return time.perf_counter() - start


def throughput(source: str, data: TrainingData, rounds: int) -> None:
    """Measure images per second of a grid (two learning rates, one epoch, validation)."""
    images = len(RATES) * (len(data.train_labels) + len(data.val_labels))
    ours, theirs = [], []
    for _ in range(rounds):
        torch.set_num_threads(os.cpu_count() or 1)
        seconds = sum(list(report_pipeline.train(data, lr, 1))[-1]["seconds"] for lr in RATES)
        theirs.append(images / seconds)
        with tempfile.TemporaryDirectory() as runs:
            grid("--data", source, "--split", 0.6, 0.2, 0.2, "--epochs", 1, "--lr", *RATES,
                 "--storage-path", runs)  # fmt: skip
            # The trials run concurrently, each on one core.
            ours.append(float(load_epochs(f"{runs}/lr-grid")["images_per_second"].sum()))
        print(f"  student report {theirs[-1]:.0f}/s, grid {ours[-1]:.0f}/s", flush=True)
    print(f"student report's pipeline: {spread(theirs, 0)} images/s")
    print(f"lr_grid: {spread(ours, 0)} images/s")
    print(f"ratio: {spread([a / b for a, b in zip(ours, theirs, strict=True)])}")


def target(data: TrainingData, rounds: int) -> None:
    """Measure the training time until the validation accuracy reaches 70%, in seconds."""
    torch.set_num_threads(os.cpu_count() or 1)
    config = TrialConfig(**dataclasses.asdict(RECIPES["fast"]), lr=FAST_LR)
    ours = []
    for seed in range(rounds):
        seconds = 0.0
        for row in fit(dataclasses.replace(config, seed=seed), data, lambda *_: None):
            seconds += row["seconds"]
            if row["val_accuracy"] >= TARGET_ACCURACY:
                break
        else:
            print(f"  fast, seed {seed}: not reached")
            continue
        ours.append(seconds)
        print(f"  fast, seed {seed}: epoch {row['epoch']:.0f}, {seconds:.0f} s", flush=True)
    for row in report_pipeline.train(data, 2.5e-4, MOST_EPOCHS):
        print(f"  report: epoch {row['epoch']}, {row['val_accuracy']:.4f}, {row['seconds']:.0f} s",
              flush=True)  # fmt: skip
        if row["val_accuracy"] >= TARGET_ACCURACY:
            break
    print(f"student report's pipeline until 70%: {row['seconds']:.0f} s, n = 1")
    print(f"fast until 70%: {spread(ours, 0)} s")
    print(f"ratio: {spread([row['seconds'] / seconds for seconds in ours])}")


def private_mb(smaps: str) -> float:
    """Return a process's private memory in MB from the text of its smaps_rollup (Linux)."""
    lines = (line.split() for line in smaps.strip().splitlines())
    return sum(int(words[1]) for words in lines if words[0].startswith("Private_")) / 1e3


def memory(source: str) -> None:
    """Measure the private memory of two concurrent workers beyond a process that imports torch."""
    code = "import torch; print(open('/proc/self/smaps_rollup').read())"
    bare = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    base = private_mb(bare.stdout)
    print(f"bare process with torch: {base:.0f} MB")
    for fraction in (0.5, 0.05):
        peaks: dict[int, float] = {}
        fractions = (0.75 * fraction, 0.25 * fraction, 1 - fraction)
        with tempfile.TemporaryDirectory() as runs:
            grid("--data", source, "--split", *fractions, "--epochs", 1, "--lr", *RATES, 5e-4, 1e-3,
                 "--storage-path", runs, meanwhile=partial(record_workers, peaks))  # fmt: skip
        above = [peak - base for peak in peaks.values()]
        print(f"{fraction:.0%} of the images: each worker adds {spread(above, 0)} MB", flush=True)


def record_workers(peaks: dict[int, float]) -> None:
    """Update the peak private memory in MB of each Ray Tune worker, by process id."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, FileNotFoundError):
            if "ImplicitFunc" in " ".join(process.cmdline()):
                smaps = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
                peaks[process.pid] = max(peaks.get(process.pid, 0), private_mb(smaps))
    time.sleep(0.5)


def write_tiny_images(folder: Path) -> str:
    """Write two classes of ten 8×8 images, whose training time is negligible; return their path."""
    rng = np.random.default_rng(0)
    for i in range(20):
        file = folder / str(i % 2) / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file)
    return str(folder)


def overhead(source: str) -> None:
    """Measure the overhead of a grid, and of a trial with negligible training, in seconds."""
    with tempfile.TemporaryDirectory() as runs:
        images = write_tiny_images(Path(runs, "images"))
        few, many = 4, 104
        costs = []
        for _ in range(3):
            walls = []
            for count in (few, many):
                rates = np.geomspace(1e-5, 1e-3, count).tolist()
                walls.append(
                    grid("--data", images, "--image-size", 8, "--epochs", 1,
                         "--storage-path", runs, "--lr", *rates)
                )  # fmt: skip
            costs.append((walls[1] - walls[0]) / (many - few))
        print(f"overhead per trial: {spread(costs, 3)} s")
        options = ("--data", source, "--split", 0.6, 0.2, 0.2, "--lr", *RATES)
        wall: dict[str, float] = {}
        training: dict[str, float] = {}
        for name, option in (("short", "--smoke-test"), ("timed", "--epochs=1")):
            wall[name] = grid(*options, option, "--storage-path", runs, "--name", name)
            training[name] = float(load_trials(f"{runs}/{name}")["seconds"].max())
        start = wall["short"] - training["short"]
        rest = wall["timed"] - training["timed"] - start
        print(f"reading the images, starting and stopping Ray and the workers: {start:.1f} s")
        print(
            f"one epoch at two learning rates: {training['timed']:.1f} s of training, "
            f"{rest:.1f} s of overhead"
        )


def main() -> None:
    """Run the chosen benchmarks, by default all."""
    parser = argparse.ArgumentParser(description=__doc__)
    benchmarks = ("throughput", "target", "memory", "overhead")
    parser.add_argument("benchmarks", nargs="*", choices=benchmarks, default=list(benchmarks))
    parser.add_argument("--data", required=True, help="folder of parquet files of CIFAR-10")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, "
          f"{torch.cpu.get_capabilities()}")  # fmt: skip
    data = load(options.data, SIZE, (0.6, 0.2, 0.2))
    for benchmark in options.benchmarks:
        print(f"\n{benchmark}", flush=True)
        if benchmark == "throughput":
            throughput(options.data, data, options.rounds)
        elif benchmark == "target":
            target(data, options.rounds)
        elif benchmark == "memory":
            memory(options.data)
        else:
            overhead(options.data)


if __name__ == "__main__":
    main()
