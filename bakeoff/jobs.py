"""The jobs as functions of their options."""

from __future__ import annotations

import inspect
import keyword
import os
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from bakeoff.comparison import Comparison
from bakeoff.run import Run
from trainables.errors import InputError
from tune_jobs import finetune as finetune_job
from tune_jobs import lr_grid as grid_job
from tune_jobs import optuna_search as search_job
from tune_jobs import predict as predict_job
from tune_jobs import shortlist as shortlist_job
from tune_jobs.command_line.invocation import PROGRAM
from tune_jobs.command_line.parser import CommandLine, parse, parse_plain
from tune_jobs.command_line.values import options_of, words_of
from tune_jobs.ranking.options import ShortlistOptions
from tune_jobs.ray_runtime.environment import configure_ray
from tune_jobs.search.finetune_options import FinetuneOptions
from tune_jobs.test_set.options import CompareOptions, check_options
from tune_jobs.tuning.before_ray import PRINTING, Prepare, start_quietly

if TYPE_CHECKING:
    import pandas as pd

Function = TypeVar("Function", bound=Callable[..., Any])
Options = TypeVar("Options")
Source: TypeAlias = str | os.PathLike[str] | None
"""Source of images; None for that of the options."""


def _takes(cls: Any) -> Callable[[Function], Function]:
    """Give a function the options of a job as its signature, which notebooks show and complete."""

    def sign(function: Function) -> Function:
        own, known = inspect.signature(function), options_of(cls)
        kept = [
            each.replace(default=known[name].default, annotation=known[name].hint)
            if each.kind is each.POSITIONAL_OR_KEYWORD
            else each
            for name, each in own.parameters.items()
            if each.kind is not each.VAR_KEYWORD
        ]
        named = [
            inspect.Parameter(
                f"{name}_" if keyword.iskeyword(name) else name,
                inspect.Parameter.KEYWORD_ONLY,
                default=option.default,
                annotation=option.hint,
            )
            for name, option in known.items()
            if name not in PRINTING and not option.positional and name not in own.parameters
        ]
        function.__signature__ = own.replace(parameters=[*kept, *named])  # type: ignore[attr-defined]
        return function

    return sign


@_takes(grid_job.GridOptions)
def lr_grid(data: Source = None, **options: Any) -> Run:
    """Train the custom CNN at several learning rates.

    Args:
        data: source of the images, as --data takes it.
        options: options of `bakeoff lr-grid`, e.g. `lr=[1e-3, 1e-2]`, `smoke_test=True`. Training
            options that are not given have the values of `recipe`.

    Returns:
        The run, whose folder is complete.

    Raises:
        InputError: an option or the images cannot be used; nothing was trained.
        KeyboardInterrupt: the run was interrupted; `resume=True` with its name goes on with it.
    """
    return _train(grid_job.GridOptions, "lr-grid", grid_job.prepare, data, options)


@_takes(search_job.SearchOptions)
def search(data: Source = None, **options: Any) -> Run:
    """Search for the best hyperparameters with Optuna; as `lr_grid`, with other options."""
    return _train(search_job.SearchOptions, "search", search_job.prepare, data, options)


@_takes(FinetuneOptions)
def finetune(data: Source = None, **options: Any) -> Run:
    """Fine-tune pretrained networks over a grid or a search; as `lr_grid`, with other options."""
    return _train(FinetuneOptions, "finetune", finetune_job.prepare, data, options)


@_takes(ShortlistOptions)
def shortlist(data: Source = None, **options: Any) -> Run:
    """Rank pretrained networks by their features; as `lr_grid`, with other options."""
    return _train(ShortlistOptions, "shortlist", shortlist_job.prepare, data, options)


@_takes(CompareOptions)
def compare(*runs: str | os.PathLike[str], **options: Any) -> Comparison:
    """Compare the best model of each model family on the sealed test set.

    Each call opens the test set, and the ledger records it, as `bakeoff compare` does.

    Args:
        runs: run folders: paths, URIs, or what the other functions return.
        options: other options of `bakeoff compare`, e.g. `seeds=3`.

    Returns:
        The comparison, whose folder is complete.

    Raises:
        InputError: the runs cannot be compared, or an option cannot be used; the test set then
            stays sealed.
    """
    if runs:
        options["runs"] = list(runs)
    command = _command(CompareOptions, "compare", options)
    with command.located():
        check_options(command.options)
    if command.options.plan:
        raise InputError("plan trains nothing: give it on the command line")
    configure_ray()  # before Ray is imported
    from tune_jobs.command_line.terminal import QuietConsole
    from tune_jobs.test_set.job import compare_runs

    compared = compare_runs(command, QuietConsole())
    assert compared is not None  # as without --plan
    return Comparison(compared[1].uri)


@_takes(predict_job.PredictOptions)
def predict(
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], **options: Any
) -> pd.DataFrame:
    """Classify images with the model of a comparison or a run.

    Warns of images that are sealed test images of the run.

    Args:
        images: an image file, a folder of images, or several of them.
        options: other options of `bakeoff predict`, e.g. `model=run`, `reject_above=5`.

    Returns:
        One row per image: file, predicted class, its probability, those of all classes, and the
        reason if it cannot be read; with `reject_above` also whether it is answered.

    Raises:
        InputError: an image file or the model cannot be found, or an option cannot be used.
    """
    command = _command(predict_job.PredictOptions, "predict", {"images": images, **options})
    predict_job.check_options(command.options)
    predictions = predict_job.predict_images(command.options)
    if predictions.warning:
        warnings.warn(predictions.warning, stacklevel=2)
    return predictions.frame


def _command(cls: type[Options], job: str, options: dict[str, Any]) -> CommandLine[Options]:
    """Return the command line of a job without training options that its options make."""
    program = (PROGRAM, job)
    return parse_plain(cls, job, None, _arguments(cls, program, options), program=program)


def _arguments(cls: type[Any], program: tuple[str, ...], options: dict[str, Any]) -> list[str]:
    """Return the words of the command line that options of a job make.

    Args:
        cls: options class of the job.
        program: words that start the job, for messages.
        options: options by name.
    """
    words = words_of(cls, options, " ".join(program))
    return [word for each in words.values() for word in each]


def _train(
    cls: type[Any], job: str, prepare: Prepare[Any], data: Source, options: dict[str, Any]
) -> Run:
    """Run a training job, and return its run.

    Args:
        cls: options class of the job.
        job: name of the job in the console command.
        prepare: checks the options of the job.
        data: value of the option data; None if it is not given.
        options: other options by name.
    """
    if data is not None:
        options = {"data": data, **options}
    program = (PROGRAM, job)
    command = parse(cls, None, _arguments(cls, program, options), program=program)
    configure_ray()  # before Ray is imported
    finished = start_quietly(prepare, command)
    return Run(finished.run.folder.uri)
