"""Options that all training jobs share, as dataclasses, and checks of their values.

This module imports nothing heavy, so that --help responds quickly.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from trainables.config import RECIPES, Recipe
from trainables.errors import InputError


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Dataset and its split."""

    data: str = "digits"
    """Dataset: digits (no download), cifar10, cifar100 or fashion_mnist.
    Or the path of a parquet file, of a folder with train*.parquet, or of a
    folder with one subfolder of images per class."""
    image_size: int | Literal["native"] | None = None
    """Height and width in pixels that images are resized to. None means 16
    for digits, else 32. native (pretrained models only) resizes each batch
    to the input size of the pretrained weights."""
    image_column: str | None = None
    """Name of the image column in parquet files. None finds img or image."""
    label_column: str | None = None
    """Name of the label column in parquet files. None finds label, labels or fine_label."""
    split_seed: int = 0
    """Random seed of the split into training, validation and test images."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Storage and resources of the run."""

    name: str | None = None
    """Name of the run and its folder. None means the name of the job, numbered if it exists."""
    storage_path: str = "./runs"
    """Folder or URI (s3://…, gs://…) in which run folders are created."""
    resume: bool = False
    """Resume the run --name with its stored options, which need not be given again."""
    address: str | None = None
    """Address of a Ray cluster: auto, HOST or HOST:PORT. None starts a local Ray for this job."""
    cpus_per_trial: int = 1
    """CPU cores and PyTorch threads per trial."""
    gpus_per_trial: float | None = None
    """GPUs per trial: 0, or 1/k to run k trials on one GPU (1, 0.5, 0.25, …).
    None means 1 if there are GPUs, else 0."""
    max_concurrent: int | None = None
    """Maximum number of concurrent trials. None means as many as the cluster has room for."""
    track: Literal["mlflow", "wandb"] | None = None
    """Also log to this tracker (pip install 'bakeoff[mlflow]' or 'bakeoff[wandb]')."""
    plan: bool = False
    """Estimate time, memory, disk space and cost from a short pilot run, then exit."""
    price_per_hour: float | None = None
    """Price of one node in US dollars per hour, for --plan. None takes the
    prices in cluster.yaml if the cluster was started from it."""
    smoke_test: bool = False
    """Train for two epochs on a few images, to check that everything works."""

    @property
    def fills_machine(self) -> bool:
        """Whether trials run on every core of this machine, each on one."""
        at_once = self.max_concurrent or sys.maxsize
        return self.cpus_per_trial == 1 and at_once >= (os.cpu_count() or 1)


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """Options of every training job."""

    job: ClassVar[str]
    """Name of the job, and default name of its runs."""
    recipe: Literal["standard", "report", "fast"] = "standard"
    """Preset of the training options below. Each of them can be overridden."""
    scheduler: Literal["fifo", "asha", "hyperband", "pbt"] = "fifo"
    """Scheduler, which may stop, pause or change trials while they run."""
    training: Recipe = field(default_factory=Recipe)
    """How each model is trained. The defaults are those of the chosen --recipe."""
    data: DataOptions = field(default_factory=DataOptions)
    """Dataset and its split."""
    run: RunOptions = field(default_factory=RunOptions)
    """Storage and resources of the run."""

    @classmethod
    def recipes(cls) -> dict[str, Recipe]:
        """Return the presets that --recipe chooses from."""
        return RECIPES


SEEDS = 2**32
"""Upper bound of random seeds: the legacy NumPy generators that Optuna uses take none above."""


def checked_name(name: str) -> str:
    """Return the name of a run unchanged.

    Raises:
        InputError: it is not a plain folder name.
    """
    if not name or name.startswith(".") or any(c in name for c in "/\\:?*#%\0") or len(name) > 200:
        raise InputError(
            f"run name {name!r} must be a plain folder name of at most 200 characters, without "
            "/ \\ : ? * # % and not starting with a dot: give its parent folder with --storage-path"
        )
    return name


def check_price(price: float | None) -> None:
    """Raise InputError unless the price is None or above zero."""
    if price is not None and not 0 < price < float("inf"):
        raise InputError(
            f"--price-per-hour {price} must be a finite number above 0: give US dollars per hour"
        )


def check_run(run: RunOptions) -> None:
    """Raise InputError where an option of a run is out of its range."""
    if run.name is not None:
        checked_name(run.name)
    for key in ("cpus_per_trial", "max_concurrent"):
        value = getattr(run, key)
        if value is not None and value < 1:
            raise InputError(f"--{key.replace('_', '-')} {value} must be 1 or more")
    check_price(run.price_per_hour)
    gpus = run.gpus_per_trial
    if gpus is not None and gpus != 0:
        nearest = 1 / max(1, round(1 / gpus)) if gpus > 0 else 1.0
        # The tolerance accepts 0.33 for a third.
        if not abs(gpus - nearest) < 0.005:
            raise InputError(
                f"--gpus-per-trial {gpus} must be 0 or 1/k, so that k trials share a GPU: "
                f"try {nearest:.3g}"
            )
