"""Start a job: check it, then load Ray and what trains. This module imports nothing heavy."""

from __future__ import annotations

import contextlib
import importlib.util
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from rich.console import Console

from trainables.class_weights import NAMED, check_class_names
from trainables.errors import InputError
from trainables.source_options import NAMED_SOURCES
from tune_jobs.command_line.invocation import JOBS, words_that_start
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.options_file import options_yaml
from tune_jobs.command_line.parser import CommandLine, flatten
from tune_jobs.command_line.terminal import QuietConsole, open_console, said
from tune_jobs.ray_runtime.early_start import ray_while_importing

if TYPE_CHECKING:
    from tune_jobs.tuning.found_images import FoundImages
    from tune_jobs.tuning.job import FinishedRun
    from tune_jobs.tuning.strategy import Strategy

Options = TypeVar("Options", bound=JobOptions)
Prepare: TypeAlias = "Callable[[CommandLine[Options]], PreparedJob]"
"""Checks the options of a job."""
PRINTING = frozenset({"plan", "space_print", "write_config"})
"""Options that ask for a text or a file in place of training."""
TRACKERS = {"mlflow": "mlflow-skinny", "wandb": "wandb"}
"""Package of each tracker. That of all of MLflow requires an older pyarrow than constraints.txt."""


@dataclass(frozen=True)
class PreparedJob:
    """A job whose options have been checked, as far as they can be without its images."""

    command: CommandLine[JobOptions]
    """Command line of the job."""
    strategy: Callable[[FoundImages], Strategy]
    """Returns what proposes the trials, from the images that were found."""
    modules: tuple[str, ...] = ()
    """Modules to import while Ray starts, besides those of every job."""
    text: str | None = None
    """What was asked for in place of training, to be printed; None to train."""


def start(prepare: Prepare[Options], command: CommandLine[Options]) -> int:
    """Run a job on the terminal, and return its exit code.

    Args:
        prepare: checks the options of the job.
        command: command line of the job.

    Raises:
        InputError: the input is invalid.
    """
    with command.located():
        check_packages(command.options)
        prepared = prepare(command)
    if prepared.text is not None:
        print(prepared.text, end="")  # noqa: T201  the requested output
        return 0
    if command.options.run.write_config is not None:
        print(write_config(command), end="")  # noqa: T201  the requested output
        return 0
    console = open_console()
    with loaded(prepared, console) as found:
        from tune_jobs.tuning.job import run

        return run(prepared.command, prepared.strategy, found, console)


def start_quietly(prepare: Prepare[Options], command: CommandLine[Options]) -> FinishedRun:
    """Run a job for a caller in Python, with a progress bar alone; arguments as for `start`.

    Raises:
        InputError: the input is invalid, or asks for a text in place of training.
        KeyboardInterrupt: the run was interrupted; its folder is complete, and it can be resumed.
    """
    for name, value in flatten(command.options).items():
        if name in PRINTING and value:
            raise InputError(f"{name} trains nothing: give it on the command line")
    with command.located():
        check_packages(command.options)
        prepared = prepare(command)
    console = QuietConsole()
    with loaded(prepared, console) as found:
        from tune_jobs.tuning.job import train
        from tune_jobs.tuning.pilot import Plan

        finished = train(prepared.command, prepared.strategy, console, found)
    assert not isinstance(finished, Plan)  # as --plan is not set
    if finished.record["status"] == "interrupted":
        name = finished.run.folder.name
        raise KeyboardInterrupt(f"interrupted; call it with name={name!r}, resume=True to go on")
    return finished


@contextlib.contextmanager
def loaded(prepared: PreparedJob, console: Console) -> Iterator[FoundImages | None]:
    """Start Ray and import what trains; give the images of the job if they were found before.

    Args:
        prepared: the job.
        console: terminal or log file, which says what takes so long.

    Raises:
        InputError: the name of the run is taken, the source cannot be read, or no cluster answers.
    """
    options = prepared.command.options
    from tune_jobs.tuning.new_folder import find_folder  # imports pyarrow

    find_folder(options)  # a name that is taken is refused at once
    found = find_before_ray(options, console)
    with contextlib.ExitStack() as stack:
        with said("loading PyTorch, starting Ray", console):
            stack.enter_context(
                ray_while_importing(
                    options.run.address, *prepared.modules, preload=options.run.fills_machine
                )
            )
        yield found


def check_packages(options: JobOptions) -> None:
    """Raise InputError where an option needs a package that is not installed.

    A shortlist goes on with the networks that it can have.
    """
    given = flatten(options)
    models = () if options.job == "shortlist" else given.get("models", ())
    needed = [
        (f"--track {given['track']}", given["track"] or "", TRACKERS.get(given["track"], "")),
        ("--mode lora", "peft" if "lora" in given.get("mode", ()) else "", "peft"),
        *((m, "timm" if m.startswith("timm:") else "", "timm") for m in models),
    ]
    for option, module, package in needed:
        if module and importlib.util.find_spec(module) is None:
            raise InputError(
                f"{option} needs a package that is not installed: run pip install {package}"
            )


def write_config(command: CommandLine[JobOptions]) -> str:
    """Write the options of a job into the file --write-config, and return what to do with it.

    Raises:
        InputError: the file exists, or cannot be written.
    """
    options = command.options
    assert options.run.write_config is not None
    file = Path(options.run.write_config)
    module = options.job.replace("-", "_")
    job = next(name for name, job in JOBS.items() if job.module == module)
    if file.suffix.lower() not in (".yaml", ".yml"):
        raise InputError(f"--write-config {file} must end in .yaml or .yml: try run.yaml")
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(options_yaml(job, flatten(options), command.given_options))
    except FileExistsError:
        raise InputError(
            f"--write-config {file} exists and is not overwritten: give another file"
        ) from None
    except OSError as error:
        raise InputError(
            f"--write-config {file} cannot be written ({error.strerror}): give another file"
        ) from None
    words = shlex.join([*words_that_start(module), "--config", str(file)])
    return f"Written to {file}. To start it:\n  {words}\n"


def find_before_ray(options: JobOptions, console: Console) -> FoundImages | None:
    """Find the images of a job, so that a source that cannot be used is refused at once.

    Named datasets are right, and load while Ray starts: for them, return None, unless there are
    weights of classes to compare with theirs.

    Args:
        options: options of the job.
        console: terminal or log file.

    Raises:
        InputError: the source cannot be read, or --class-weights has other classes.
    """
    weights = options.training.class_weights
    if options.data.data in NAMED_SOURCES and weights in NAMED:
        return None
    with said(f"looking at {options.data.data}", console):
        from tune_jobs.tuning.found_images import find_images_of_job

        found = find_images_of_job(options)
        check_class_names(weights, found.listing.classes)
        return found
