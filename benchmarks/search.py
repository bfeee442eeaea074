"""The search against its peers, side by side in one run.

    python -m benchmarks.search trials
    python -m benchmarks.search accuracy --data path/to/cifar10 --budget 300 --seeds 5

`trials` runs 1,000 trials that cost nothing. `accuracy` gives each searcher the same wall time, the
same space, the same training and two cores, one after the other, and compares the best validation
accuracy that each has found. Syne Tune takes part where the interpreter of an environment that has
it is given with --syne-tune-python:

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
from benchmarks.search_peers import EPOCHS, PEERS

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
    """Trials a second, the cost of a trial as they grow many, and the driver's memory."""
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
    # The last sample before: after the end figures are drawn, with what that takes.
    early, late = sizes[np.searchsorted(times, [ends[100], ends[-1]]) - 1]
    print(f"{TRIALS} trials: {TRIALS / (ends[-1] - ends[0]):.1f} a second")
    print("ms a trial, by hundreds: " + " ".join(f"{10 * step:.0f}" for step in steps))
    print(f"driver's memory: {(late - early) / (TRIALS - 100):.1f} KB a trial")


def accuracy(source: str, images: int, budget: float, seeds: int, syne_tune: str | None) -> None:
    """The best validation accuracy that each searcher finds in the same time."""
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
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["trials", "accuracy"])
    parser.add_argument("--sampler", default="tpe", help="of trials")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--images", type=int, default=10_000, help="to train on")
    parser.add_argument("--budget", type=float, default=300, help="seconds of each search")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--syne-tune-python", help="of an environment that has syne-tune")
    options = parser.parse_args()
    if options.part == "trials":
        trials(options.sampler)
    else:
        print(f"{options.budget:.0f} s each, trials of up to {EPOCHS} epochs")
        accuracy(
            options.data, options.images, options.budget, options.seeds, options.syne_tune_python
        )


if __name__ == "__main__":
    main()
