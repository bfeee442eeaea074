"""The command line, as dataclasses. Imports nothing heavy, so that --help answers at once."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar, get_type_hints

import tyro

from trainables.config import RECIPES, Recipe, check_range
from trainables.errors import InputError
from tune_jobs.reminder import launched, remind

_started = time.monotonic()


def started() -> float:
    """When this job's command line was read, on the clock of time.monotonic."""
    return _started


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


# What may differ when a run is resumed, as it does not say what is trained.
FREE_ON_RESUME = frozenset(
    {
        "name", "storage_path", "resume", "address", "cpus_per_trial", "gpus_per_trial",
        "max_concurrent", "track", "extend", "space_print", "plan", "price_per_hour", "max_time",
        "max_epochs_total", "optuna_storage",
    }
)  # fmt: skip

SMOKE_EPOCHS = 2
SEEDS = 2**32
"""So many seeds there are: those of NumPy's older generators, which Optuna draws with."""

Options = TypeVar("Options", bound=JobOptions)


def parse(cls: type[Options], description: str, argv: Sequence[str] | None = None) -> Options:
    """Read the command line; on --resume, over the options that the run was started with.

    Raises:
        InputError: a value is out of its range, the run to resume is not there, or an option
            differs from the run's.
    """
    global _started
    _started = time.monotonic()
    argv = list(sys.argv[1:] if argv is None else argv)
    stored = None
    first = _first_look(argv)
    if first.resume or first.extend:
        if not first.name:
            raise InputError("--resume and --extend need --name, the run to go on with")
        stored = _stored_options(cls, first.storage_path, first.name)
    # An unknown recipe is reported by the full parser.
    recipe = cls.recipes().get(first.recipe, Recipe())
    options: Options = tyro.cli(
        cls,
        description=description,
        args=argv,
        default=stored or dataclasses.replace(cls(), training=recipe),
        config=(tyro.conf.OmitArgPrefixes,),
    )
    for name, value in flatten(options).items():
        if name in ("seed", "split_seed") and not stored:
            check_range(f"--{name.replace('_', '-')}", value, 0, SEEDS)
    if options.run.smoke_test:
        few = dataclasses.replace(options.training, epochs=SMOKE_EPOCHS)
        options = dataclasses.replace(options, training=few)
    if stored:
        _refuse_changes(flatten(stored), flatten(options))
        options = dataclasses.replace(options, run=dataclasses.replace(options.run, resume=True))
    return options


def _first_look(argv: list[str]) -> argparse.Namespace:
    """The few options that the defaults of the others depend on."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--recipe", default="standard")
    parser.add_argument("--name")
    parser.add_argument("--storage-path", default=RunOptions().storage_path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--extend")
    # The rest is not swallowed: tyro reads the whole line next, and refuses what it does not know.
    return parser.parse_known_args(argv)[0]


def _stored_options(cls: type[Options], storage_path: str, name: str) -> Options:
    from tune_jobs.run_folder.folder import RUN_FILE, RunFolder

    folder = RunFolder.at(storage_path).child(checked_name(name))
    if not folder.has(RUN_FILE):
        raise InputError(
            f"there is no run {name!r} in {storage_path} to resume: check --name and "
            "--storage-path, or leave --resume out to start it"
        )
    record = folder.read_json(RUN_FILE)
    if record["job"] != cls.job:
        raise InputError(
            f"{name!r} in {storage_path} is a run of {record['job']}, and {cls.job} goes on with "
            "its own alone: resume it by the job that began it, or give another --name"
        )
    options: Options = _from_dict(cls, record["options"])
    return options


def _from_dict(cls: type[Any], values: dict[str, Any]) -> Any:
    """The inverse of dataclasses.asdict, after a way through JSON."""
    hints = get_type_hints(cls)
    arguments = {}
    for key, value in values.items():
        if dataclasses.is_dataclass(hints[key]):
            arguments[key] = _from_dict(hints[key], value)
        else:
            arguments[key] = tuple(value) if isinstance(value, list) else value
    return cls(**arguments)


def flatten(options: JobOptions) -> dict[str, Any]:
    """Options by the name they have on the command line."""
    flat: dict[str, Any] = {}
    for key, value in dataclasses.asdict(options).items():
        flat |= value if isinstance(value, dict) else {key: value}
    return flat


def _refuse_changes(old: dict[str, Any], new: dict[str, Any]) -> None:
    for key, value in old.items():
        if key not in FREE_ON_RESUME and new[key] != value:
            name = key.strip("_").replace("_", "-")
            raise InputError(
                f"--{name} {new[key]} differs from the run's {value}, and a run goes on under its "
                "own options: leave it out, or start another run"
            )


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


def main(job: Callable[[], int]) -> None:
    """Run a job's main function; what a person got wrong is one message and exit code 2."""
    try:
        code = job()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        remind(launched())
        code = 2
    except SystemExit as ended:  # of the parser
        if ended.code:
            remind(launched())
        raise
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        code = 130
    sys.exit(code)
