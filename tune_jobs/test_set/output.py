"""The folder that a comparison is written to: a new one, or that of an earlier comparison."""

from __future__ import annotations

import pyarrow as pa

from trainables.errors import InputError
from tune_jobs.analysis.comparison_results import COMPARISON_FILE, about_comparison
from tune_jobs.analysis.formatting import moment
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.test_set.options import CompareOptions
from tune_jobs.test_set.retraining import SEEDS_FOLDER


def output_of(command: CommandLine[CompareOptions]) -> tuple[RunFolder, str]:
    """Return the output folder, and a sentence on the earlier comparison there, or an empty one.

    A comparison of the same runs is replaced. Beside one of other runs, the default folder gets a
    number, as folders of runs do; --output is replaced whatever it holds.

    Args:
        command: the command line.

    Raises:
        InputError: it is not a folder, or holds other files than those of a comparison.
    """
    path, number = command.options.output, 1
    mine = sorted(RunFolder.at(run).uri for run in command.options.runs)
    given, passed = "output" in command.given_options, ""
    while True:
        folder = checked(path)
        if not folder.has(COMPARISON_FILE):
            return folder, passed
        runs, when = compared_before(folder)
        if given or runs == mine:
            which = "the same runs" if runs == mine else ", ".join(runs) or "unknown runs"
            return folder, f"{path} has the comparison of {which}{when}, which this one replaces."
        number += 1
        path = f"{command.options.output}-{number}"
        passed = (
            f"{command.options.output} has the comparison of other runs: this one goes to {path}."
        )


def checked(path: str) -> RunFolder:
    """Return a folder.

    Raises:
        InputError: it is not a folder, or holds other files than those of a comparison.
    """
    folder = RunFolder.at(path)
    try:
        others = set(folder.names()) - {".lock", SEEDS_FOLDER}
    except OSError as error:
        raise InputError(
            f"{folder.uri} is not a folder ({error}): give a new or existing folder with --output"
        ) from error
    if others and not folder.has(COMPARISON_FILE):
        raise InputError(
            f"{folder.uri} holds {sorted(others)[0]} but no comparison, and is not overwritten: "
            "give another folder with --output"
        )
    return folder


def compared_before(folder: RunFolder) -> tuple[list[str], str]:
    """Return the runs of the comparison in a folder, and its time as part of a sentence.

    Comparisons of earlier versions, and damaged ones, have no runs.
    """
    try:
        stored = about_comparison(folder)
    except (OSError, pa.ArrowInvalid, InputError):
        return [], ""
    when = f" of {moment(stored['when'])} UTC" if "when" in stored else ""
    return stored.get("runs", []), when
