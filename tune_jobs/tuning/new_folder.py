"""The folder of a run before it is made: its name, which must not be taken."""

from __future__ import annotations

from trainables.errors import InputError
from tune_jobs.command_line.options import JobOptions
from tune_jobs.run_folder.folder import RunFolder


def find_folder(options: JobOptions) -> RunFolder:
    """Return the folder of the run without creating it.

    Raises:
        InputError: the name is taken.
    """
    given, job = options.run, options.job
    storage = RunFolder.at(given.storage_path)
    name, number = given.name or job, 1
    if given.name is None:
        while storage.has(name):
            number += 1
            name = f"{job}-{number}"
    elif storage.has(name) and not given.resume:
        more = "".join(f", or add to it with --extend --{each}" for each in options.extended_by)
        raise InputError(
            f"run {name!r} already exists in {given.storage_path}: give another --name, or "
            f"resume that run with --resume{more}"
        )
    # The store has answered once. From now on a run waits through outages of the store.
    return RunFolder.at(storage.child(name).uri, patient=True)
