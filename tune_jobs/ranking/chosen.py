"""The networks of a shortlist that fine-tuning goes on with. Imports nothing heavy."""

from __future__ import annotations

import dataclasses

from trainables.config import check_positive
from trainables.errors import InputError
from tune_jobs.command_line.options import DataOptions, JobOptions, current_data_options
from tune_jobs.command_line.parser import CommandLine


def chosen_networks(
    command: CommandLine[JobOptions], paths: tuple[str, ...], top: int, search: str
) -> tuple[tuple[str, ...], DataOptions] | None:
    """Return the first networks of a shortlist, and the data options with the sizes it used.

    Args:
        command: command line of the job.
        paths: value of --from: the folder of a shortlist, or runs that a search starts from.
        top: value of --top, the number of networks.
        search: value of --search: grid or optuna.

    Returns:
        None if no shortlist is given, or the run is resumed or repeated with its own networks.

    Raises:
        InputError: a folder cannot be used, networks were given too, or the shortlist has fewer
            networks than asked for.
    """
    given, data = command.given_options, command.options.data
    if command.options.run.resume or command.options.run.from_run:
        return None
    if not paths:
        if "top" in given:
            raise InputError(
                "--top takes networks from a shortlist: give its folder with --from, or leave "
                "--top out"
            )
        return None
    from tune_jobs.analysis.results import load_run, load_shortlist

    check_positive("--top", top)
    records = {path: load_run(path) for path in paths}
    lists = [path for path, record in records.items() if record["job"] == "shortlist"]
    others = [path for path in paths if path not in lists]
    if others and search == "grid":
        raise InputError(
            f"--from {others[0]} is no shortlist, and a grid takes only its networks from "
            "elsewhere: add --search optuna to start a search from that run, or leave it out"
        )
    if len(lists) > 1:
        raise InputError(f"--from names {len(lists)} shortlists ({', '.join(lists)}): give one")
    if not lists:
        return None
    if "models" in given:
        raise InputError(
            f"--models and --from {lists[0]}, a shortlist, both name networks: leave one out"
        )
    ranked = load_shortlist(lists[0]).dropna(subset="rank").drop_duplicates("model")
    if len(ranked) < top:
        raise InputError(
            f"--top {top} is more than the {len(ranked)} networks that {lists[0]} ranked: "
            f"give --top {len(ranked)} or less"
        )
    if "image_size" not in given:
        stored = current_data_options(records[lists[0]]["options"]["data"])
        data = dataclasses.replace(data, image_size=stored["image_size"])
    return tuple(ranked["model"][:top]), data
