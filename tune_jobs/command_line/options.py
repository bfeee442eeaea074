"""Options that all training jobs share, as dataclasses, and checks of their values.

This module imports nothing heavy, so that --help responds quickly.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeAlias

from trainables.config import RECIPES, Recipe, earlier_decay
from trainables.errors import InputError
from trainables.source_options import SourceOptions
from trainables.views import Colour, Resize
from tune_jobs.run_folder.constraints import Constraint

ImageSize: TypeAlias = int | Literal["auto", "native"]
"""Height and width in pixels, or what decides them."""


@dataclass(frozen=True, kw_only=True)
class DataOptions(SourceOptions):
    """Dataset and its split."""

    image_size: tuple[ImageSize, ...] = ("auto",)
    """Height and width in pixels at which networks read images; several are
    an axis of a grid, or of a search.
    auto gives each network its own: small images stay as they are, the
    custom CNN reads photographs at 64 pixels, and pretrained networks read
    them at the size that their weights know.
    native (pretrained networks only) is the size that the weights know, to
    which small images are enlarged."""
    resize: Resize = "crop"
    """How images become squares. crop resizes the shorter side and crops the
    centre. letterbox resizes the longer side and pads with --background.
    squash changes the aspect ratio."""
    background: str = "white"
    """Colour below transparent pixels, by name or as #rrggbb."""
    duplicates: Literal["keep", "drop", "fail"] = "keep"
    """Copies of a picture within the dataset, saved again or not. keep
    reports them. drop keeps one of each, in the test split if one is there,
    and none under two labels. fail stops where copies are in two splits or
    under two labels."""
    skip_bad: bool = False
    """Leave out images that cannot be decoded; run.json records which."""
    cache_gb: float = 50.0
    """Size of the cache of decoded images in GB; the images that were not
    used for longest make room. 0 decodes images whenever they are read."""
    split_seed: int = 0
    """Random seed of the split into training, validation and test images."""

    @property
    def source(self) -> SourceOptions:
        """The options that decide which images there are."""
        return SourceOptions(**{f.name: getattr(self, f.name) for f in fields(SourceOptions)})

    @property
    def background_colour(self) -> Colour:
        """Red, green and blue of --background, each in 0..255.

        Raises:
            InputError: it is not a colour.
        """
        from PIL import ImageColor  # not before options are read

        try:
            return ImageColor.getrgb(self.background)[:3]
        except ValueError as error:
            raise InputError(
                f"--background {self.background!r} is not a colour: give a name such as black, or "
                "#rrggbb"
            ) from error


def current_data_options(stored: dict[str, Any]) -> dict[str, Any]:
    """Return the data options in run.json as arguments of DataOptions.

    Runs of earlier versions have one image size, or None, and squash images.
    """
    size = stored["image_size"]
    if isinstance(size, list | tuple):
        return {**stored, "image_size": tuple(size)}
    return {**stored, "image_size": ("auto" if size is None else size,), "resize": "squash"}


def earlier_layer_decay(layer_decay: float, modes: list[str]) -> float | None:
    """Return the layer_decay option of a run of an earlier version as it is given today.

    Raises:
        InputError: it applied to some trials of the run only, and would apply to all of them today.
    """
    found = {earlier_decay(layer_decay, mode) for mode in modes if mode != "probe"}
    if len(found) > 1:
        raise InputError(
            f"this run of an earlier version has --layer-decay {layer_decay} in mode gradual only, "
            f"and modes {' '.join(modes)}: it cannot be resumed; start one run a mode"
        )
    return found.pop() if found else None


def check_data(options: DataOptions) -> None:
    """Raise InputError where an option of the dataset is out of its range."""
    if not options.image_size:
        raise InputError("--image-size is empty: give auto, native or a number of pixels")
    for size in options.image_size:
        if isinstance(size, int) and size < 1:
            raise InputError(f"--image-size {size} must be 1 or more pixels: try 64")
    if not 0 <= options.cache_gb < float("inf"):
        raise InputError(f"--cache-gb {options.cache_gb} must be 0 or more: try 50")
    _ = options.background_colour


def check_patience(scheduler: str, training: Recipe) -> None:
    """Raise InputError where a scheduler cannot handle trials that end early by themselves."""
    if training.patience is not None and scheduler in ("hyperband", "pbt"):
        raise InputError(
            f"--patience {training.patience} ends trials that --scheduler {scheduler} still needs "
            "for its comparisons: leave --patience out, or use --scheduler asha or fifo"
        )


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
    trial_timeout: float | None = None
    """Seconds without an epoch after which the process of a trial is ended, and
    restarted from its last checkpoint, up to three times. None waits for ever."""
    track: Literal["mlflow", "wandb"] | None = None
    """Also log to this tracker (pip install mlflow-skinny, or wandb)."""
    plan: bool = False
    """Estimate time, memory, disk space and cost from a short pilot run, then exit."""
    price_per_hour: float | None = None
    """Price of one node in US dollars per hour, for --plan. None takes the
    prices in cluster.yaml if the cluster was started from it."""
    trust: tuple[str, ...] = ()
    """Modules of networks (package.module) that may be imported, which runs their
    code, though a run of others names them and not this command line."""
    smoke_test: bool = False
    """Train for two epochs on a few images, to check that everything works."""
    config: str | None = None
    """YAML file with options by their names; those given here override it."""
    write_config: str | None = None
    """Write the options into this YAML file, for --config, and exit."""
    from_run: str | None = None
    """Run folder or URI to repeat exactly, with its own options. In the end it
    says whether the results are the same to the bit, or what differs."""

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
    makes_soups: ClassVar[bool] = False
    """Whether the weights of the trials of each network are averaged when they have ended."""
    extended_by: ClassVar[tuple[str, ...]] = ()
    """Options whose values --extend adds to those of a finished run; none if it adds trials."""
    first_options: ClassVar[tuple[str, ...]] = (
        "data", "image_size", "recipe", "epochs", "patience", "name", "resume", "plan",
    )  # fmt: skip
    """Options that --help explains, as they are decided first; --help-all explains all."""
    recipe: Literal["standard", "report", "fast", "modern"] = "standard"
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

    @property
    def has_seeds(self) -> bool:
        """Whether each setting is trained with several random seeds."""
        return getattr(self, "seeds", 1) > 1

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """Constraints that trials must satisfy to be chosen."""
        return ()

    @property
    def costs(self) -> frozenset[str]:
        """Columns of trials.parquet that objectives and constraints of a search are about."""
        return frozenset()


LONGEST_TIMEOUT = 1_000_000
"""Longest --trial-timeout in seconds."""
LEAST_GPUS = 0.001
"""Smallest part of a GPU that a trial may have."""
SEEDS = 2**32
"""Upper bound of random seeds: the legacy NumPy generators that Optuna uses take none above."""


def checked_name(name: str) -> str:
    """Return the name of a run unchanged.

    Raises:
        InputError: it is not a plain folder name.
    """
    plain = name.isprintable() and name == name.strip() and not name.startswith((".", "-"))
    if not name or not plain or any(c in name for c in "/\\:?*#%") or len(name.encode()) > 200:
        raise InputError(
            f"run name {name!r} must be a plain folder name of at most 200 bytes, without "
            "/ \\ : ? * # %, control characters and blank ends, and not starting with a dot or "
            "dash: give its parent folder with --storage-path"
        )
    return name


def check_price(price: float | None) -> None:
    """Raise InputError unless the price is None or above zero."""
    if price is not None and not 0 < price < float("inf"):
        raise InputError(
            f"--price-per-hour {price} must be a finite number above 0: give US dollars per hour"
        )


def check_cores(run: RunOptions) -> None:
    """Raise InputError where a trial needs more cores than the local Ray of this job will have."""
    cores, ray = os.cpu_count() or 1, sys.modules.get("ray")
    connected = ray is not None and ray.is_initialized()  # maybe to a cluster
    if run.address is None and not connected and run.cpus_per_trial > cores:
        raise InputError(
            f"--cpus-per-trial {run.cpus_per_trial} is more than the {cores} CPU cores of this "
            f"machine: give {cores} or fewer; with --cpus-per-trial 1, {cores} trials train at once"
        )


def check_run(run: RunOptions) -> None:
    """Raise InputError where an option of a run is out of its range."""
    if run.name is not None:
        checked_name(run.name)
    for key in ("cpus_per_trial", "max_concurrent"):
        value = getattr(run, key)
        if value is not None and value < 1:
            raise InputError(f"--{key.replace('_', '-')} {value} must be 1 or more")
    check_cores(run)
    check_price(run.price_per_hour)
    limit = run.trial_timeout
    if limit is not None and not 1 <= limit <= LONGEST_TIMEOUT:
        raise InputError(
            f"--trial-timeout {limit} must be 1 to {LONGEST_TIMEOUT:,} seconds: try 3600"
        )
    gpus = run.gpus_per_trial
    if gpus is not None and gpus != 0:
        nearest = 1 / max(1, round(1 / gpus)) if gpus >= LEAST_GPUS else 1.0
        # The tolerance accepts 0.33 for a third.
        if not abs(gpus - nearest) < 0.005:
            raise InputError(
                f"--gpus-per-trial {gpus} must be 0 or 1/k, so that k trials share a GPU: "
                f"try {nearest:.3g}"
            )
