"""The networks of a shortlist that finetune.py --from goes on with. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol, TypeVar

from trainables.config import check_positive
from trainables.errors import InputError
from tune_jobs.command_line.options import DataOptions, RunOptions, current_data_options
from tune_jobs.command_line.parser import CommandLine


class Options(Protocol):
    """Options that a shortlist decides."""

    models: tuple[str, ...]
    """Networks to fine-tune."""
    from_: tuple[str, ...]
    """Folders of shortlists, and of runs that a search starts from."""
    top: int
    """Number of networks to take from a shortlist."""
    search: Any
    """Whether the job is a grid or a search."""
    data: DataOptions
    """Dataset and image sizes."""
    run: RunOptions
    """The run; one that is resumed has its networks."""


AnyOptions = TypeVar("AnyOptions", bound=Options)


def chosen_networks(command: CommandLine[AnyOptions]) -> CommandLine[AnyOptions]:
    """Return the command line with the first networks of the shortlists of --from.

    Raises:
        InputError: a folder of --from cannot be used, networks were given too, or a shortlist has
            fewer networks than asked for.
    """
    options, given = command.options, command.given_options
    if options.run.resume or not options.from_:
        if "top" in given and not options.run.resume:
            raise InputError(
                "--top takes networks from a shortlist: give its folder with --from, or leave "
                "--top out"
            )
        return command
    from tune_jobs.analysis.results import load_run, load_shortlist

    check_positive("--top", options.top)
    records = {path: load_run(path) for path in options.from_}
    lists = [path for path, record in records.items() if record["job"] == "shortlist"]
    others = [path for path in options.from_ if path not in lists]
    if others and options.search == "grid":
        raise InputError(
            f"--from {others[0]} is no shortlist, and a grid takes only its networks from "
            "elsewhere: add --search optuna to start a search from that run, or leave it out"
        )
    if len(lists) > 1:
        raise InputError(f"--from names {len(lists)} shortlists ({', '.join(lists)}): give one")
    if not lists:
        return command
    if "models" in given:
        raise InputError(
            f"--models and --from {lists[0]}, a shortlist, both name networks: leave one out"
        )
    ranked = load_shortlist(lists[0]).dropna(subset="rank").drop_duplicates("model")
    if len(ranked) < options.top:
        raise InputError(
            f"--top {options.top} is more than the {len(ranked)} networks that {lists[0]} ranked: "
            f"give --top {len(ranked)} or less"
        )
    data = options.data
    if "image_size" not in given:
        stored = current_data_options(records[lists[0]]["options"]["data"])
        data = dataclasses.replace(data, image_size=stored["image_size"])
    models = tuple(ranked["model"][: options.top])
    return command.with_options(dataclasses.replace(options, models=models, data=data))  # type: ignore[type-var]
