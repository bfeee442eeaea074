"""Options of a run that is resumed, extended or repeated, as its run.json has them."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from trainables.errors import InputError
from tune_jobs.command_line.options import (
    JobOptions,
    RunOptions,
    checked_name,
    current_data_options,
    earlier_layer_decay,
)
from tune_jobs.command_line.options_file import named_options
from tune_jobs.command_line.trial_names import number_labels

if TYPE_CHECKING:
    from tune_jobs.run_folder.folder import RunFolder

Options = TypeVar("Options", bound=JobOptions)

FREE_ON_RESUME = frozenset(
    {
        "name", "storage_path", "resume", "address", "cpus_per_trial", "gpus_per_trial",
        "max_concurrent", "track", "extend", "space_print", "plan", "price_per_hour", "max_time",
        "max_epochs_total", "optuna_storage", "cache_gb", "trust",
        "trial_timeout", "config", "write_config",
    }
)  # fmt: skip
"""Options that may change when a run is resumed, as they do not affect what is trained."""
REPEATED = ("cpus_per_trial", "gpus_per_trial", "max_concurrent", "trial_timeout", "smoke_test")
"""Options of storage and resources that a run which is repeated passes on."""
SHOWN_RUNS = 5
"""Number of runs that a message names."""
EVERY_ITEM = CollectionCheckStrategy.ALL_ITEMS


def stored_options(cls: type[Options], first: argparse.Namespace) -> Options:
    """Return the options of the run that a command line resumes or extends.

    Args:
        cls: options class of the job.
        first: the command line's `name`, `storage_path` and `resume`.

    Raises:
        InputError: there is no such run, or it is of another job or version.
    """
    from tune_jobs.run_folder.folder import RUN_FILE, RunFolder

    storage, name = RunFolder.at(first.storage_path), first.name
    if not name:
        raise InputError(
            "--resume and --extend need the name of the run: give --name"
            + _runs_there(storage, cls.job)
        )
    folder = storage.child(checked_name(name))
    if not folder.has(RUN_FILE):
        verb = "resume" if first.resume else "extend"
        raise InputError(
            f"there is no run {name!r} in {first.storage_path} to {verb}: check --name and "
            f"--storage-path, or leave out --{verb} to start a new run"
            + _runs_there(storage, cls.job)
        )
    record = folder.read_record()
    if record["job"] != cls.job:
        raise InputError(
            f"{name!r} in {first.storage_path} is a run of {record['job']}, and {cls.job} resumes "
            "only its own runs: resume it with the job that started it, or give another --name"
        )
    return options_of_record(cls, record, folder)


def repeated_options(cls: type[Options], path: str) -> tuple[Options, frozenset[str]]:
    """Return the options that repeat a run, and the names of those that the run was given.

    Args:
        cls: options class of the job.
        path: folder or URI of the run.

    Raises:
        InputError: there is no such run, or it is of another job or version.
    """
    from tune_jobs.run_folder.folder import RUN_FILE, RunFolder

    folder = RunFolder.at(path)
    if not folder.has(RUN_FILE):
        raise InputError(f"--from-run {path} is not a run folder, it has no {RUN_FILE}: check it")
    record = folder.read_record()
    if record["job"] != cls.job:
        raise InputError(
            f"--from-run {path} is a run of {record['job']}, and {cls.job} repeats only its own "
            "runs: give it to that job"
        )
    stored = options_of_record(cls, record, folder)
    kept = {name: getattr(stored.run, name) for name in REPEATED}
    changes: dict[str, Any] = {"run": RunOptions(**kept, from_run=path)}
    if hasattr(stored, "optuna_storage"):  # each run has a study of its own
        changes["optuna_storage"] = None
    given = record.get("given")
    if given is None:  # an earlier version did not record it
        given = named_options(shlex.split(str(record.get("command", ""))))
    return dataclasses.replace(stored, **changes), frozenset(map(str, given))


def options_of_record(cls: type[Options], record: dict[str, Any], folder: RunFolder) -> Options:
    """Return the options of a run.

    Args:
        cls: options class of its job.
        record: its run.json.
        folder: its folder, for messages.

    Raises:
        InputError: run.json is of another version.
    """
    from tune_jobs.run_folder.folder import RUN_FILE

    try:
        return _current_options(cls, record["options"])
    except (KeyError, TypeError, AttributeError, TypeCheckError) as error:
        raise InputError(
            f"the options in {folder.child(RUN_FILE).uri} are not those of a run of this version "
            f"({type(error).__name__}: {error}): restore it from a backup, or start another run"
        ) from error


def _current_options(cls: type[Options], stored: dict[str, Any]) -> Options:
    """Return the options in run.json, which an earlier version may have written."""
    stored = {**stored, "data": current_data_options(stored["data"])}
    if "layer_decay" in stored and "warmup" not in stored["training"]:
        decay = earlier_layer_decay(stored["layer_decay"], stored["mode"])
        stored = {**stored, "layer_decay": decay}
    # What a run trusted does not count where it is resumed: it may come from anyone.
    stored = {**stored, "run": {**stored["run"], "trust": []}}
    options: Options = _from_dict(cls, stored)
    return options


def _runs_there(storage: RunFolder, job: str) -> str:
    """Return which runs of a job a storage folder holds, as the end of a message."""
    from tune_jobs.run_folder.folder import RUN_FILE

    try:
        names = [name for name in storage.names() if storage.child(name).has(RUN_FILE)]
        own = [name for name in names if storage.child(name).read_json(RUN_FILE)["job"] == job]
    except (InputError, KeyError, OSError):  # the message that this ends is about something else
        return ""
    return f"; its runs of {job} are {', '.join(sorted(own)[:SHOWN_RUNS])}" if own else ""


def extended(options: Options, stored: Options) -> Options:
    """Return options with the values of a finished run before those that it is extended by.

    Raises:
        InputError: no value is new.
    """
    for name in options.extended_by:
        before, given = getattr(stored, name), getattr(options, name)
        added = tuple(value for value in given if value not in before)
        labels = number_labels((*before, *added))
        if not added or any(
            labels[value] != label for value, label in number_labels(before).items()
        ):
            raise InputError(
                f"--extend adds to the --{name} of the run, {' '.join(map(str, before))}: give "
                f"others with --{name} that differ from these in the first six digits"
            )
        changes: dict[str, Any] = {"extend": False, name: (*before, *added)}
        options = dataclasses.replace(options, **changes)
    return options


def _from_dict(cls: type[Any], values: dict[str, Any]) -> Any:
    """Return a dataclass from its dict in JSON: the inverse of dataclasses.asdict.

    Raises:
        KeyError: a key is no field.
        TypeCheckError: a value is not of the type of its field.
    """
    hints = get_type_hints(cls)
    arguments = {}
    for key, value in values.items():
        if dataclasses.is_dataclass(hints[key]):
            arguments[key] = _from_dict(hints[key], value)
        else:
            arguments[key] = tuple(value) if isinstance(value, list) else value
            check_type(arguments[key], hints[key], collection_check_strategy=EVERY_ITEM)
    return cls(**arguments)


def refuse_changes(
    old: dict[str, Any], new: dict[str, Any], extended: Collection[str], what: str
) -> None:
    """Raise InputError if an option differs from that of a run and matters to what is trained.

    Args:
        old: options of the run by name.
        new: options of the command line by name.
        extended: options that add values to those of the run.
        what: what is done with the run: resumed, extended or repeated.
    """
    for key, value in old.items():
        if key not in FREE_ON_RESUME and key not in extended and new[key] != value:
            name = key.strip("_").replace("_", "-")
            raise InputError(
                f"--{name} {new[key]} differs from the run's {value}, and a run is {what} with "
                "its own options: leave it out, or start another run with another --name"
            )
