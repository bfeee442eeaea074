"""Benchmarks of pretrained networks on photographs.

    python -m benchmarks.pretrained head                         # the solver alone, on one core
    python -m benchmarks.pretrained sizes   --data path/to/photographs --models nets:a nets:b
    python -m benchmarks.pretrained speed   --data path/to/photographs --models nets:a
    python -m benchmarks.pretrained recipes --data path/to/photographs --models nets:a
    python -m benchmarks.pretrained ranking --data path/to/photographs --models nets:a nets:b

`head` fits the regularisation path of a linear probe on random features, against scikit-learn.
`sizes` judges networks by their features at 32 pixels and at the size of their weights.
`speed` fine-tunes all layers at 224 pixels, against a loop over a DataLoader of two workers with
the augmentation and the optimiser of torchvision's reference training.
`recipes` fine-tunes with the recipes standard and modern, with as many random seeds as rounds.
`ranking` ranks networks by their features, and by fine-tuning all their layers.
The photographs are a folder for each class, below train, validation and test; with `--images`, both
use so many of the training images.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
import torchvision
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from torchvision.transforms import v2

from benchmarks.lr_grid import spread
from trainables.config import PENALTIES, TrialConfig
from trainables.data import TrainingData
from trainables.image_cache import SquareImages
from trainables.image_rows import ImageRows
from trainables.logistic import TOLERANCE, fit_logistic
from trainables.loop import fit
from trainables.memory import peak_memory_mb
from trainables.models import build_model
from trainables.models.weights import load_weights, read_weights
from trainables.source_options import SourceOptions
from trainables.sources import list_images
from trainables.trust import EVERY, trust
from trainables.views import Decoding, View
from tune_jobs.analysis.results import load_shortlist, load_trials

trust([EVERY])  # networks that whoever measures has named

SMALL, NATIVE = 32, 224
IMAGES = 256
"""Training images of `speed`."""
BATCH_SIZE, LR = 64, 1e-3
HEAD = 3000, 1280, 10
"""Images, features and classes of `head`."""
CPU = torch.device("cpu")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def job(runs: str, script: str, *arguments: Any) -> float:
    """Run a job as a user does, and return its wall time in seconds."""
    words = [str(Path("tune_jobs", script).absolute()), *map(str, arguments)]
    found = os.pathsep.join(["", *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {
        **os.environ, "XDG_CACHE_HOME": f"{runs}/cache", "PYTHONPATH": f"{Path.cwd()}{found}"
    }  # fmt: skip
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *words, "--storage-path", runs],
        stdout=subprocess.DEVNULL, check=True, env=environment,
    )  # fmt: skip
    return time.perf_counter() - start


def head(rounds: int) -> None:
    """Measure the wall time of a path of penalties on one core, and how far results differ."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    images, size, classes = HEAD
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=images)
    # A few directions tell the classes apart, and features are correlated, as those of networks.
    mixing = rng.normal(size=(size, size)) * np.geomspace(1, 0.01, size)[:, None]
    features = (rng.normal(size=(images, size)) + 2 * np.eye(classes, size)[labels]) @ mixing
    features = ((features - features.mean(0)) / features.std(0)).astype(np.float32)
    ours, theirs, distances = [], [], []
    with threadpool_limits(1):
        for _ in range(rounds):
            start, found, last = time.perf_counter(), [], None
            for penalty in PENALTIES:
                last = fit_logistic(
                    torch.from_numpy(features), torch.from_numpy(labels), classes, penalty,
                    start=last,
                )  # fmt: skip
                found.append(last.weight.numpy())
            ours.append(time.perf_counter() - start)
            model = LogisticRegression(warm_start=True, max_iter=1000, tol=TOLERANCE)
            start = time.perf_counter()
            for penalty, weight in zip(PENALTIES, found, strict=True):
                model.set_params(C=1 / (penalty * images)).fit(features, labels)
                distances.append(float(np.abs(model.coef_ - weight).max() / np.abs(weight).max()))
            theirs.append(time.perf_counter() - start)
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    print(f"{len(PENALTIES)} penalties, {images} × {size} features: ours {spread(ours, 2)} s")
    print(f"scikit-learn {spread(theirs, 2)} s, ratio {spread(ratios)}")
    print(f"largest difference of a coefficient: {max(distances):.1e} of the largest coefficient")


def sizes(data: str, models: list[str]) -> None:
    """Judge networks at 32 pixels and at the size of their weights."""
    with tempfile.TemporaryDirectory() as runs:
        for size in (SMALL, NATIVE):
            words = "--data", data, "--models", *models, "--image-size", size
            first = job(runs, "shortlist.py", *words, "--name", f"size-{size}")
            again = job(runs, "shortlist.py", *words, "--name", f"again-{size}")
            print(f"{size} pixels: {first:.0f} s, again {again:.0f} s")
            for row in load_shortlist(f"{runs}/size-{size}").to_dict("records"):
                print(
                    f"  {row['model']}: {row['mean']:.2%} ({row['low']:.2%} to {row['high']:.2%})"
                )


def training_data(source: str, cache: str) -> TrainingData:
    """Return some of the training images of a source, as a trial reads them."""
    os.environ["XDG_CACHE_HOME"] = cache
    listing = list_images(SourceOptions(data=source))
    view = View(NATIVE, resize_to=256)
    images = SquareImages.of(listing.images, Decoding((255, 255, 255)), 10**11)
    images.scan([view], lambda count: None)
    rows = np.flatnonzero(listing.parts == 0)
    rows = rows[:: len(rows) // IMAGES][:IMAGES]
    store = images.store(view)
    held = rows[:64]
    return TrainingData(
        ImageRows(store, rows), listing.labels[rows],
        ImageRows(store, held), listing.labels[held], listing.classes,
    )  # fmt: skip


def our_loop(source: str, model: str, cache: str) -> tuple[float, float]:
    """Fine-tune with our loop; return images per second of the second epoch, and peak MB."""
    torch.set_num_threads(os.cpu_count() or 1)
    data = training_data(source, cache)
    config = TrialConfig(
        lr=LR, epochs=2, batch_size=BATCH_SIZE, model=model, weights="default", optimizer="sgd",
        normalize="weights", augment="flip_crop", image_size=NATIVE, precision="fp32",
    )  # fmt: skip
    rows = fit(config, data, lambda *_: None, weights=read_weights(model, "default"))
    return rows[-1]["images_per_second"], peak_memory_mb(CPU)


def plain_loop(source: str, model: str) -> tuple[float, float]:
    """Fine-tune with a DataLoader; return images per second of the second epoch, and peak MB.

    The memory is that of the main process, without its two workers.
    """
    torch.set_num_threads(os.cpu_count() or 1)
    transform = v2.Compose(
        [v2.RandomResizedCrop(NATIVE), v2.RandomHorizontalFlip(), v2.PILToTensor(),
         v2.ToDtype(torch.float, scale=True), v2.Normalize(MEAN, STD)]
    )  # fmt: skip
    folder = torchvision.datasets.ImageFolder(str(Path(source, "train")), transform)
    chosen = range(0, len(folder), len(folder) // IMAGES)[:IMAGES]
    loader = DataLoader(
        Subset(folder, list(chosen)), BATCH_SIZE, shuffle=True, num_workers=2,
        persistent_workers=True,
    )  # fmt: skip
    network = build_model(model, len(folder.classes), NATIVE)
    load_weights(network, model, NATIVE, read_weights(model, "default"))
    optimizer = torch.optim.SGD(network.parameters(), LR, momentum=0.9, nesterov=True)
    for _ in range(2):
        start = time.perf_counter()
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()
        seconds = time.perf_counter() - start
    return len(chosen) / seconds, peak_memory_mb(CPU)


def speed(source: str, models: list[str], rounds: int) -> None:
    """Compare the images per second of both loops, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as cache:
        for model in models:
            found: dict[str, list[tuple[float, float]]] = {"ours": [], "plain": []}
            for _ in range(rounds):
                for name, loop, words in (
                    ("ours", our_loop, (source, model, cache)),
                    ("plain", plain_loop, (source, model)),
                ):
                    with ProcessPoolExecutor(1, mp_context=context) as pool:
                        found[name].append(pool.submit(loop, *words).result())
                print(f"  {model}: ours {found['ours'][-1][0]:.1f}/s, "
                      f"plain loop {found['plain'][-1][0]:.1f}/s", flush=True)  # fmt: skip
            ours, plain = ([rate for rate, _ in found[name]] for name in found)
            print(f"{model}: ours {spread(ours, 1)}, plain loop {spread(plain, 1)} images/s")
            print(f"{model}: ratio {spread([a / b for a, b in zip(ours, plain, strict=True)])}")
            memory = {name: fmean(mb for _, mb in rows) for name, rows in found.items()}
            print(f"{model}: peak memory ours {memory['ours']:.0f} MB, plain loop without its "
                  f"workers {memory['plain']:.0f} MB")  # fmt: skip


def subset(data: str, images: int | None, folder: str) -> str:
    """Return a folder of links to some of the training images, and to all others."""
    if images is None:
        return data
    classes = sorted(Path(data, "train").iterdir())
    for part in ("train", "validation", "test"):
        for name in (each.name for each in classes):
            files = sorted(Path(data, part, name).iterdir())
            Path(folder, part, name).mkdir(parents=True)
            for file in files[: images // len(classes)] if part == "train" else files:
                Path(folder, part, name, file.name).symlink_to(file.resolve())
    return folder


def fine_tuned(runs: str, name: str, *arguments: Any) -> list[dict[str, Any]]:
    """Fine-tune, and return the rows of the trials, without those of averaged weights."""
    seconds = job(runs, "finetune.py", *arguments, "--name", name)
    trials = load_trials(f"{runs}/{name}")
    print(f"{name}: {seconds:.0f} s", flush=True)
    rows: list[Any] = trials.to_dict("records")
    for row in rows:
        print(f"  {row['trial']}: {row['best/val_accuracy']:.2%}, {row['seconds']:.0f} s")
    return [row for row in rows if not isinstance(row["members"], str)]


def recipes(data: str, models: list[str], rounds: int, size: int, epochs: int) -> None:
    """Compare the recipes at equal epochs, and the standard one at the wall time of modern."""
    common = "--data", data, "--image-size", size, "--seeds", rounds, "--lr", LR
    with tempfile.TemporaryDirectory() as runs:
        for number, model in enumerate(models):
            words = *common, "--models", model, "--epochs"
            modern = fine_tuned(runs, f"modern-{number}", *words, epochs, "--recipe", "modern")
            standard = fine_tuned(runs, f"standard-{number}", *words, epochs)
            longer = round(
                epochs * sum(row["seconds"] for row in modern)
                / sum(row["seconds"] for row in standard)
            )  # fmt: skip
            timed = fine_tuned(runs, f"standard-as-long-{number}", *words, longer)
            for name, others in (("equal epochs", standard), (f"{longer} epochs", timed)):
                gains = [
                    100 * (a["best/val_accuracy"] - b["best/val_accuracy"])
                    for a, b in zip(modern, others, strict=True)
                ]
                print(f"{model}: modern minus standard, {name}: {spread(gains)} points")


def ranking(data: str, models: list[str], size: int, epochs: int) -> None:
    """Rank networks by their features, and by fine-tuning all layers."""
    words = "--data", data, "--models", *models, "--image-size", size
    with tempfile.TemporaryDirectory() as runs:
        job(runs, "shortlist.py", *words)
        for row in load_shortlist(f"{runs}/shortlist").to_dict("records"):
            print(f"features, {row['model']}: {row['mean']:.2%}, behind {row['behind']:.2%}")
        fine_tuned(runs, "finetune", *words, "--epochs", epochs, "--recipe", "modern", "--lr", LR)


def main() -> None:
    """Run the chosen benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmark", choices=["head", "sizes", "speed", "recipes", "ranking"])
    parser.add_argument("--data", help="folder of photographs")
    parser.add_argument("--models", nargs="+", default=["tests.nets:efficientnet_lite0"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=NATIVE, help="pixels of recipes and ranking")
    parser.add_argument("--images", type=int, help="training images of recipes and ranking")
    parser.add_argument("--epochs", type=int, default=5, help="epochs of recipes and ranking")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(options, folder)


def run(options: argparse.Namespace, folder: str) -> None:
    """Run a benchmark, with an empty folder for its images."""
    if options.benchmark == "head":
        head(options.rounds)
    elif options.benchmark == "sizes":
        sizes(options.data, options.models)
    elif options.benchmark == "speed":
        speed(options.data, options.models, options.rounds)
    elif options.benchmark == "recipes":
        data = subset(options.data, options.images, folder)
        recipes(data, options.models, options.rounds, options.size, options.epochs)
    else:
        data = subset(options.data, options.images, folder)
        ranking(data, options.models, options.size, options.epochs)


if __name__ == "__main__":
    main()
