"""Benchmarks of reading photographs: speed against torchvision's pipeline, and memory.

    python -m benchmarks.photos speed [--data path/to/photographs] [--rounds 3]
    python -m benchmarks.photos memory [--images 20000] [--size 256]

`speed` passes over a folder of photographs, with torchvision.datasets.ImageFolder and a DataLoader
of two workers, and with this project's cache: a first pass, and later ones. Both return batches of
224×224 crops as bytes. The files are in the operating system's cache, and the two alternate.
`memory` fine-tunes a network that costs next to nothing on many photographs, as a user does, and
samples the memory of the driver, the workers and the object store.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import numpy as np
import PIL
import psutil
import torch
import torchvision
from PIL import Image
from sklearn.datasets import load_sample_images
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from benchmarks.lr_grid import spread
from trainables.image_cache import SquareImages
from trainables.source_options import SourceOptions
from trainables.sources import list_images
from trainables.views import Decoding, View

WORKERS = 2
BATCH_SIZE = 64
RESIZE, CROP = 256, 224
VIEW = View(CROP, resize_to=RESIZE)
CACHE_BYTES = 10**11
LATER_PASSES = 2
PHOTOGRAPH = (400, 533)
"""Width and height in pixels of the photographs that are made for `speed`."""
CLASSES = 10
INTERVAL = 0.5
"""Seconds between two samples of memory."""
KINDS = ("RssAnon", "RssShmem", "RssFile")
"""Lines of /proc/PID/status: anonymous memory, shared memory, mapped files."""
STORE = "object store"
Pass: TypeAlias = Callable[[], int]
"""A pass over a folder, which returns the number of images that it delivered."""


def torchvision_passes(folder: str) -> Iterator[Pass]:
    """Yield a first pass over a folder with torchvision's pipeline, and the later ones.

    The DataLoader and its workers are made in the first pass, and kept for the later ones.
    """

    def load() -> DataLoader[tuple[torch.Tensor, int]]:
        transform = v2.Compose([v2.Resize(RESIZE), v2.CenterCrop(CROP), v2.PILToTensor()])
        images = torchvision.datasets.ImageFolder(folder, transform)
        return DataLoader(images, BATCH_SIZE, num_workers=WORKERS, persistent_workers=True)

    loaders: list[DataLoader[tuple[torch.Tensor, int]]] = []

    def one_pass() -> int:
        if not loaders:
            loaders.append(load())
        return sum(len(batch) for batch, _ in loaders[0])

    for _ in range(1 + LATER_PASSES):
        yield one_pass


def our_passes(folder: str) -> Iterator[Pass]:
    """Yield a first pass over a folder, with an empty cache, and the later ones."""
    yield lambda: first_pass(folder)
    for _ in range(LATER_PASSES):
        yield lambda: later_pass(folder)


def first_pass(folder: str) -> int:
    """Fill the cache with a folder's images, read each from it, and return their number."""
    images = square_images(folder)
    images.scan([VIEW])
    return read_all(images)


def later_pass(folder: str) -> int:
    """Read each of a folder's images from the cache, and return their number."""
    return read_all(square_images(folder))


def square_images(folder: str) -> SquareImages:
    """Find the images of a folder, and their entry in the cache."""
    return SquareImages.of(list_images(SourceOptions(folder)).images, Decoding(), CACHE_BYTES)


def read_all(images: SquareImages) -> int:
    """Read all images in batches, in random order as training does, and return their number."""
    store = images.store(VIEW)
    order = np.random.default_rng(0).permutation(store.shape[0])
    batches = (order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE))
    return sum(len(torch.from_numpy(store.read(rows))) for rows in batches)


def seconds_per_pass(passes: Iterator[Pass], images: int) -> list[float]:
    """Time each pass, and check that it delivers every image."""
    times = []
    for one_pass in passes:
        start = time.perf_counter()
        delivered = one_pass()
        times.append(time.perf_counter() - start)
        assert delivered == images, f"{delivered} of {images} images"
    return times


def speed(folder: str, rounds: int) -> None:
    """Compare the passes of both pipelines in images per second."""
    files = [file for file in Path(folder).rglob("*") if file.suffix.lower() in (".jpg", ".jpeg")]
    size = sum(len(file.read_bytes()) for file in files)  # now in the operating system's cache
    print(f"{len(files):,} photographs, {size / 1e6 / len(files):.3f} MB each")
    rates: dict[str, dict[str, list[float]]] = {
        "first pass": {"torchvision": [], "ours": []},
        "later passes": {"torchvision": [], "ours": []},
    }
    for _ in range(rounds):
        for name, passes in (("torchvision", torchvision_passes), ("ours", our_passes)):
            with temporary_cache():
                first, *later = seconds_per_pass(passes(folder), len(files))
            rates["first pass"][name].append(len(files) / first)
            rates["later passes"][name] += [len(files) / seconds for seconds in later]
            print(f"  {name}: {first:.2f} s, then {', '.join(f'{s:.2f} s' for s in later)}",
                  flush=True)  # fmt: skip
    for which, found in rates.items():
        for name, values in found.items():
            print(f"{which}, {name}: {spread(values, 0)} images/s")
        pairs = zip(found["ours"], found["torchvision"], strict=True)
        print(f"{which}: ratio {spread([ours / theirs for ours, theirs in pairs])}")


@contextlib.contextmanager
def temporary_cache() -> Iterator[None]:
    """Let this process use an empty cache folder."""
    before = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        try:
            yield
        finally:
            os.environ.pop("XDG_CACHE_HOME")
            if before is not None:
                os.environ["XDG_CACHE_HOME"] = before


def write_photographs(folder: Path, images: int, width: int, height: int) -> str:
    """Write photographs as JPEG in CLASSES class folders, and return their folder.

    Each is a crop of one of scikit-learn's two photographs, blended with a coarse pattern of its
    own, so that no two are alike, neither their files nor what they show.
    """
    sources = [Image.fromarray(image) for image in load_sample_images().images]
    for c in range(CLASSES):
        (folder / f"class-{c}").mkdir(parents=True)

    def write_one(i: int) -> None:
        rng = np.random.default_rng(i)
        source = sources[i % len(sources)]
        aspect = width / height
        tall = int(rng.uniform(0.5, 1) * min(source.height, source.width / aspect))
        wide = int(tall * aspect)
        left, top = (int(rng.integers(room + 1))
                     for room in (source.width - wide, source.height - tall))  # fmt: skip
        crop = source.resize((width, height), box=(left, top, left + wide, top + tall))
        pattern = Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8))
        crop = Image.blend(crop, pattern.resize((width, height)), 0.3)
        crop.save(folder / f"class-{i % CLASSES}" / f"{i}.jpg", quality=int(rng.integers(75, 96)))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(write_one, range(images)):
            pass
    return str(folder)


def role(process: psutil.Process, driver: int) -> str:
    """Name what a process of a job is for."""
    words = process.cmdline()
    if process.pid == driver:
        return "driver"
    if words and words[0].startswith("ray::"):
        return "worker"
    return "raylet" if words and words[0].endswith("/raylet") else "other"


def memory_mb(pid: int) -> dict[str, float]:
    """Return the resident memory in MB of a process by kind (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return {kind: int(found[kind].split()[0]) / 1e3 for kind in KINDS}


def store_mb(raylet: int) -> float:
    """Return how much of a raylet's object store is in memory, in MB, whoever wrote it.

    The raylet itself maps the store's file without touching its pages.
    """
    files = Path(f"/proc/{raylet}/fd").iterdir()
    stores = [file.stat() for file in files if str(file.readlink()).startswith("/dev/shm/plasma")]
    return sum({about.st_ino: about.st_blocks * 512 for about in stores}.values()) / 1e6


def sample(driver: psutil.Process, peaks: dict[str, dict[str, float]]) -> None:
    """Update the peak memory in MB of each role of a job's processes: the largest process's."""
    for process in [driver, *driver.children(recursive=True)]:
        with contextlib.suppress(psutil.Error, OSError, KeyError):
            name = role(process, driver.pid)
            for kind, value in memory_mb(process.pid).items():
                peaks[name][kind] = max(peaks[name].get(kind, 0), value)
            if name == "raylet":
                used = max(peaks[STORE].get("RssShmem", 0), store_mb(process.pid))
                peaks[STORE] = {"RssShmem": used}


def memory(images: int, size: int, learning_rates: int) -> None:
    """Measure the memory of a grid on many photographs."""
    peaks: dict[str, dict[str, float]] = defaultdict(dict)
    with tempfile.TemporaryDirectory() as scratch:
        start = time.perf_counter()
        folder = write_photographs(Path(scratch, "photographs"), images, size, size * 4 // 3)
        pixels = images * size * size * 3 / 1e9
        print(f"{images:,} photographs, {pixels:.2f} GB of pixels at {size}, "
              f"made in {time.perf_counter() - start:.0f} s", flush=True)  # fmt: skip
        rates = [str(rate) for rate in np.geomspace(1e-4, 1e-2, learning_rates)]
        command = [
            sys.executable, "tune_jobs/finetune.py", "--data", folder, "--image-size", str(size),
            "--models", "benchmarks.strided_net:strided_net", "--weights", "none",
            "--normalize", "half", "--epochs", "1", "--lr", *rates,
            "--storage-path", f"{scratch}/runs",
        ]  # fmt: skip
        environment = os.environ | {
            "XDG_CACHE_HOME": f"{scratch}/cache", "PYTHONPATH": str(Path.cwd())
        }  # fmt: skip
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as job:
            driver = psutil.Process(job.pid)
            while job.poll() is None:
                with contextlib.suppress(psutil.Error):
                    sample(driver, peaks)
                time.sleep(INTERVAL)
        print(f"exit code {job.returncode} after {time.perf_counter() - start:.0f} s")
        cache = sum(f.stat().st_size for f in Path(scratch, "cache").rglob("*") if f.is_file())
        print(f"cache on disk: {cache / 1e9:.2f} GB")
    print("\n| peak MB of the largest process | anonymous | shared | mapped files |")
    print("| --- | --- | --- | --- |")
    for name, found in sorted(peaks.items()):
        print(f"| {name} | {' | '.join(f'{found.get(kind, 0):,.0f}' for kind in KINDS)} |")
    print("\nPages of mapped files are the operating system's cache, given back when needed.")


def main() -> None:
    """Run the chosen benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmark", choices=["speed", "memory"])
    parser.add_argument("--data", help="folder of photographs for speed; default: makes them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, help="photographs to make: 2,000 for speed, "
                        "20,000 for memory")  # fmt: skip
    parser.add_argument("--size", type=int, default=256, help="image size for memory")
    parser.add_argument("--rates", type=int, default=2, help="learning rates for memory")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, "
          f"Pillow {PIL.__version__}, {os.cpu_count()} cores")  # fmt: skip
    if options.benchmark == "memory":
        memory(options.images or 20_000, options.size, options.rates)
    elif options.data:
        speed(options.data, options.rounds)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            images = options.images or 2_000
            speed(write_photographs(Path(scratch, "made"), images, *PHOTOGRAPH), options.rounds)


if __name__ == "__main__":
    main()
