"""Run a job for long on tiny images, and say whether anything grows.

    python -m benchmarks.soak trials|epochs [--count 3000]

`trials` is a search of so many trials of an epoch, `epochs` a grid of two trials of so many epochs,
as a run of ten hours has them. Memory, open files and folders of the job's processes are sampled;
the table has the medians of three tenths of the run: after its first tenth, in its middle, and at
its end.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from PIL import Image

from tune_jobs.analysis.results import load_epochs

HERE = Path(__file__).parents[1]
EVERY_S = 2.0
"""Seconds between two samples."""
SPACE = """\
lr: {low: 0.0001, high: 0.1, log: true}
batch_size: {choices: [32, 64]}
weight_decay: {low: 1.0e-06, high: 0.1, log: true}
dropout: {low: 0.0, high: 0.7}
model.widths: {choices: [[4, 4, 8]]}
model.hidden_units: {choices: [8]}
"""
JOBS: dict[str, Callable[[int], list[str]]] = {
    "trials": lambda count: [
        "tune_jobs/optuna_search.py", "--space", "space.yaml", "--trials", str(count),
        "--epochs", "1", "--scheduler", "fifo",
    ],
    "epochs": lambda count: [
        "tune_jobs/lr_grid.py", "--lr", "1e-4", "1e-3", "--epochs", str(count),
    ],
}  # fmt: skip
"""Job and its options by name, for a number of trials or epochs."""

Sample = dict[str, float]
"""Numbers by what they measure."""


def write_images(folder: Path) -> None:
    """Write 64 images of 8×8 pixels, of two classes."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 40), ("validation", 16), ("test", 8)):
        for i in range(count):
            file = folder / split / "ab"[i % 2] / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = generator.integers(0, 128, (8, 8, 3), dtype=np.uint8) + np.uint8(100 * (i % 2))
            Image.fromarray(pixels).save(file)


def measure(driver: psutil.Process, run: Path) -> Sample:
    """Return memory in MB, open files and sizes of folders of a job that is running."""
    sample = {"driver": 0.0, "largest worker": 0.0, "Ray": 0.0, "files of the driver": 0.0,
              "files of the workers": 0.0}  # fmt: skip
    for process in [driver, *driver.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):  # one that has just ended
            memory, files = process.memory_full_info().uss / 1e6, float(process.num_fds())
            name = process.name()
            if process == driver:
                sample |= {"driver": memory, "files of the driver": files}
            elif name.startswith("ray::"):
                sample["largest worker"] = max(sample["largest worker"], memory)
                sample["files of the workers"] = max(sample["files of the workers"], files)
            elif name in ("raylet", "gcs_server"):
                sample["Ray"] += memory
                folder = next((w for w in process.cmdline() if w.startswith("--log_dir=")), None)
                if folder:
                    sample["Ray's folder"] = sizes(Path(folder.partition("=")[2]).parent)[0]
    sample["run folder"], sample["files in it"] = sizes(run)
    return sample


def sizes(folder: Path) -> tuple[float, float]:
    """Return the size of the files of a folder in MB, and their number."""
    total, count = 0, 0
    for parent, _, names in os.walk(folder):  # goes on where a folder is deleted meanwhile
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(parent, name).stat().st_size
                count += 1
    return total / 1e6, float(count)


def epochs_of(run: Path) -> int:
    """Return the number of epochs in the tables of a run."""
    with contextlib.suppress(Exception):  # there are none yet, or they are being replaced
        return len(load_epochs(run))
    return 0


def soak(name: str, count: int, folder: Path) -> list[tuple[int, Sample]]:
    """Run a job; return epochs and measurements at each sample."""
    write_images(folder / "images")
    (folder / "space.yaml").write_text(SPACE)
    words = JOBS[name](count)
    command = [sys.executable, str(HERE / words[0]), *words[1:], "--data", "images",
               "--precision", "fp32", "--name", "soak", "--storage-path", "runs"]  # fmt: skip
    samples = []
    start = time.monotonic()
    with (folder / "log").open("w") as log:
        job = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log,
                               env=os.environ | {"PYTHONPATH": str(HERE)})  # fmt: skip
        driver, run = psutil.Process(job.pid), folder / "runs" / "soak"
        while job.poll() is None:
            with contextlib.suppress(psutil.Error):
                if epochs := epochs_of(run):
                    samples.append((epochs, measure(driver, run)))
            time.sleep(EVERY_S)
    if job.returncode:
        raise SystemExit(f"exit code {job.returncode}:\n{(folder / 'log').read_text()[-3000:]}")
    print(f"{name}: {count:,}, {epochs_of(run):,} epochs in {time.monotonic() - start:,.0f} s\n")
    return samples


def print_table(samples: list[tuple[int, Sample]]) -> None:
    """Print medians at three times of the run, by the number of epochs that are done."""
    last = samples[-1][0]
    times = [
        [each for epochs, each in samples if low * last <= epochs <= high * last]
        for low, high in ((0.1, 0.2), (0.45, 0.55), (0.9, 1))
    ]
    print("| | after a tenth | in the middle | at the end |\n| --- | --- | --- | --- |")
    names = dict.fromkeys(name for _, each in samples for name in each)
    for name in names:
        unit = "" if "files" in name else " MB"
        found = [[each[name] for each in some if name in each] for some in times]
        cells = [f"{statistics.median(each):,.0f}{unit}" if each else "" for each in found]
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    """Run the job that was named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=list(JOBS))
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--csv", type=Path, help="file for all samples")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        samples = soak(options.job, options.count, Path(folder))
    print_table(samples)
    if options.csv:
        pd.DataFrame([{"epochs": epochs} | each for epochs, each in samples]).to_csv(options.csv)


if __name__ == "__main__":
    main()
