"""The options that all jobs share, as dataclasses, and what they may be.

Imports nothing heavy, so that --help answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from trainables.config import RECIPES, Recipe
from trainables.errors import InputError


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which images, and how they are cut."""

    data: str = "digits"
    """digits (no download), cifar10, cifar100, fashion_mnist, a parquet file, a folder with
    train*.parquet, or a folder with a subfolder of images a class."""
    image_size: int | Literal["native"] | None = None
    """Pixels of height and width that images are resized to: 32, and 16 for the 8×8 digits, where
    none is given. native, of pretrained networks, resizes each batch to what their weights know."""
    image_column: str | None = None
    """Of parquet files; found by itself when it is called img or image."""
    label_column: str | None = None
    """Of parquet files; found by itself when it is called label, labels or fine_label."""
    split_seed: int = 0
    """Of the cut into parts."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where and on what it runs."""

    name: str | None = None
    """Of the run's folder; a new one is found when none is given."""
    storage_path: str = "./runs"
    """Folder or URI (s3://…, gs://…) that run folders are in."""
    resume: bool = False
    """Go on with the run --name. Its options are remembered and need not be given again."""
    address: str | None = None
    """Of a Ray cluster: auto, HOST or HOST:PORT; without it a local Ray is started, and stopped."""
    cpus_per_trial: int = 1
    """Cores, and torch threads, of each trial."""
    gpus_per_trial: float | None = None
    """0, or 1/k so that k trials share a GPU: 1, 0.5, 0.25…; by default 1 where there are GPUs."""
    max_concurrent: int | None = None
    """Trials at a time; as many as fit when none is given."""
    track: Literal["mlflow", "wandb"] | None = None
    """Log to one of these too (pip install 'bakeoff[mlflow]' or 'bakeoff[wandb]')."""
    plan: bool = False
    """Say what the run would take, from a short probe of it, and do nothing else."""
    price_per_hour: float | None = None
    """Dollars of one machine, for the plan; those of cluster.yaml, on its cluster, without it."""
    smoke_test: bool = False
    """Two epochs on a few images, to see that everything works."""


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """What every job takes."""

    job: ClassVar[str]
    """Name of the job, and of its runs where none is given."""
    recipe: Literal["standard", "report", "fast"] = "standard"
    """A preset of everything below that trains a model; each option overrides it."""
    scheduler: Literal["fifo", "asha", "hyperband", "pbt"] = "fifo"
    """What stops, pauses or changes trials while they run."""
    training: Recipe = field(default_factory=Recipe)
    data: DataOptions = field(default_factory=DataOptions)
    run: RunOptions = field(default_factory=RunOptions)

    @classmethod
    def recipes(cls) -> dict[str, Recipe]:
        """What --recipe stands for."""
        return RECIPES


SEEDS = 2**32
"""Random seeds are below this: NumPy's older generators, which Optuna draws with, take no more."""


def checked_name(name: str) -> str:
    """A run name that is one plain folder name.

    Raises:
        InputError: it is not.
    """
    if not name or name.startswith(".") or any(c in name for c in "/\\:?*#%\0") or len(name) > 200:
        raise InputError(
            f"run name {name!r} must be a plain folder name without / \\ : ? * # % and not start "
            "with a dot: give the folder with --storage-path"
        )
    return name


def check_price(price: float | None) -> None:
    """Raise InputError unless dollars an hour are above zero, or not given."""
    if price is not None and not 0 < price < float("inf"):
        raise InputError(f"--price-per-hour {price} must be a number of dollars above 0")


def checked_run(run: RunOptions) -> RunOptions:
    """Run options within their ranges.

    Raises:
        InputError: one is not.
    """
    if run.name is not None:
        checked_name(run.name)
    for key in ("cpus_per_trial", "max_concurrent"):
        value = getattr(run, key)
        if value is not None and value < 1:
            raise InputError(f"--{key.replace('_', '-')} {value} must be 1 or more")
    check_price(run.price_per_hour)
    share = run.gpus_per_trial
    if share is not None and share != 0:
        nearest = 1 / max(1, round(1 / share)) if share > 0 else 1.0
        # 0.33 is a third as people write it.
        if not abs(share - nearest) < 0.005:
            raise InputError(
                f"--gpus-per-trial {share} must be 0 or 1/k, so that whole trials share a GPU: "
                f"try {nearest:.3g}"
            )
    return run
