"""Benchmarks of the search: its overhead, and its results against other searchers.

    python -m benchmarks.search trials
    python -m benchmarks.search accuracy --data path/to/cifar10 --budget 300 --seeds 5

`trials` runs 1,000 trials with negligible training. `accuracy` runs each searcher in turn with the
same wall time, search space, training code and two cores, and compares their best validation
accuracies. Syne Tune is included if --syne-tune-python names the Python of an environment with it:

    python -m venv syne
    syne/bin/pip install -e . syne-tune==0.16.0 -c constraints.txt
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import optuna
import psutil

from benchmarks.lr_grid import spread, write_tiny_images
from benchmarks.search_peers import PEERS
from benchmarks.search_setup import EPOCHS

TRIALS = 1000
SPACE = """\
lr: {low: 0.0001, high: 0.1, log: true}
batch_size: {choices: [32, 64]}
optimizer: {choices: [adam, adamw, sgd]}
momentum: {low: 0.8, high: 0.99, when: {optimizer: sgd}}
weight_decay: {low: 1.0e-06, high: 0.1, log: true}
model.widths: {choices: [[4], [4, 8]]}
"""


def trials(sampler: str) -> None:
    """Measure trials per second, the time per trial as they accumulate, and the driver's memory."""
    with tempfile.TemporaryDirectory() as folder:
        images = write_tiny_images(Path(folder, "images"))
        Path(folder, "space.yaml").write_text(SPACE)
        command = [sys.executable, "tune_jobs/optuna_search.py", "--trials", str(TRIALS),
                   "--data", images, "--image-size", "8", "--epochs", "1",
                   "--space", f"{folder}/space.yaml", "--scheduler", "fifo", "--sampler", sampler,
                   "--storage-path", folder]  # fmt: skip
        memory: list[tuple[float, float]] = []
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as job:
            driver = psutil.Process(job.pid)
            while job.poll() is None:
                memory.append((time.time(), driver.memory_info().rss / 1e3))
                time.sleep(1)
        assert job.returncode == 0, command
        study = optuna.load_study(
            study_name="optuna-search", storage=f"sqlite:///{folder}/optuna-search/optuna.db"
        )
        ends = sorted(t.datetime_complete.timestamp() for t in study.trials if t.datetime_complete)
    assert len(ends) == TRIALS
    steps = [ends[i + 100] - ends[i] for i in range(0, TRIALS - 100, 100)]
    times, sizes = np.array(memory).T
    # The sample before each time, as drawing the figures at the end takes memory.
    early, late = sizes[np.searchsorted(times, [ends[100], ends[-1]]) - 1]
    print(f"{TRIALS} trials: {TRIALS / (ends[-1] - ends[0]):.1f} per second")
    print("ms per trial, in hundreds: " + " ".join(f"{10 * step:.0f}" for step in steps))
    print(f"driver's memory: {(late - early) / (TRIALS - 100):.1f} KB per trial")


def accuracy(source: str, images: int, budget: float, seeds: int, syne_tune: str | None) -> None:
    """Compare the best validation accuracy that each searcher finds in the same wall time."""
    pythons = dict.fromkeys(PEERS, sys.executable) | {"syne_tune": syne_tune}
    found: dict[str, list[float]] = {name: [] for name, python in pythons.items() if python}
    for seed in range(seeds):
        for name in found:
            with tempfile.TemporaryDirectory() as folder:
                command = [pythons[name], "-m", "benchmarks.search_peers", name, folder,
                           "--data", source, "--images", images, "--budget", budget,
                           "--seed", seed]  # fmt: skip
                done = subprocess.run(
                    list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True
                )
            result = json.loads(done.stdout.strip().splitlines()[-1])
            found[name].append(result["best"])
            print(f"  seed {seed}, {name}: {result['best']:.4f}, {result['trials']} trials, "
                  f"{result['seconds']:.0f} s", flush=True)  # fmt: skip
    for name, values in found.items():
        mean = statistics.mean(values)
        print(f"{name}: mean {mean:.4f}, median {spread(values, 4)}")


def main() -> None:
    """Run the chosen benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmark", choices=["trials", "accuracy"])
    parser.add_argument("--sampler", default="tpe", help="sampler of `trials`")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--images", type=int, default=10_000, help="number of training images")
    parser.add_argument(
        "--budget", type=float, default=300, help="wall time of each search in seconds"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--syne-tune-python", help="Python of an environment with syne-tune")
    options = parser.parse_args()
    if options.benchmark == "trials":
        trials(options.sampler)
    else:
        print(f"{options.budget:.0f} s per search, trials of up to {EPOCHS} epochs")
        accuracy(
            options.data, options.images, options.budget, options.seeds, options.syne_tune_python
        )


if __name__ == "__main__":
    main()
