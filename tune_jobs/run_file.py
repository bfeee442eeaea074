"""Run the jobs in a YAML file, one after another, and compare their runs.

A run that the file names and that has finished is not trained again, and one that was interrupted
is resumed, so that the same command goes on where it was stopped.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from trainables.errors import InputError
from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.invocation import JOBS, PROGRAM, typed_path, words_that_start
from tune_jobs.command_line.options import JobOptions, RunOptions, checked_name
from tune_jobs.command_line.options_file import JOB, KIND, OptionsFile, options_of_entries
from tune_jobs.command_line.parser import CommandLine, parse, parse_plain
from tune_jobs.command_line.values import options_of, unknown_option
from tune_jobs.search_space.line_reader import Entry, at_line, read_entries
from tune_jobs.test_set.options import CompareOptions, check_options
from tune_jobs.tuning.before_ray import PreparedJob, start

if TYPE_CHECKING:
    from tune_jobs.run_folder.folder import RunFolder

TRAINING = [name for name, job in JOBS.items() if job.trains]
"""Jobs that a file may have."""
JOBS_KEY, COMPARE_KEY = "jobs", "compare"


@dataclass(frozen=True, kw_only=True)
class RunFileOptions:
    """Options of the job."""

    file: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="FILE")]] = ""
    """YAML file: either the options of one job, as --write-config writes them, or
    jobs, a mapping of run names to a job and its options, after options for all
    of them; with compare, the options of a comparison of the runs."""
    trust: tuple[str, ...] = ()
    """Modules of networks (package.module) that may be imported, which runs their
    code: a file may come from anyone."""


@dataclass(frozen=True)
class FileJob:
    """A job of a file."""

    job: str
    """Name of the job in the console command."""
    cls: type[JobOptions]
    """Class of its options."""
    prepare: Callable[[CommandLine[Any]], PreparedJob]
    """Checks its options."""
    name: str | None
    """Name of its run; None to name it after the job."""
    file: OptionsFile
    """Its options."""


def run_file() -> int:
    """Run the job, and return its exit code."""
    command = parse_plain(RunFileOptions, "run_file", description=__doc__)
    path = command.options.file
    if not path:
        raise InputError(f"no file is given: name one, e.g. {PROGRAM} run run.yaml")
    jobs, compared = read_run_file(path)
    words = (*words_that_start("run_file"), path)
    # Every job is checked before the first is started.
    for each in jobs:
        parsed(each, words)
    comparison = None if compared is None else comparison_of(jobs, compared, words)
    trained = False
    for number, each in enumerate(jobs, 1):
        title = f"{each.name or each.job} ({each.job}), {number} of {len(jobs)}"
        if each.name is not None and has_finished(folder_of(each)):
            print(f"{title}: has finished")  # noqa: T201
            continue
        if len(jobs) > 1:
            blank = "\n" if number > 1 else ""
            print(f"{blank}{title}:")  # noqa: T201
        trained = True
        if code := start(each.prepare, parsed(each, words)):
            return code
    if comparison is None:
        return 0
    from tune_jobs.analysis.comparison_results import COMPARISON_FILE
    from tune_jobs.test_set.output import output_of

    output, _ = output_of(comparison)
    if not trained and output.has(COMPARISON_FILE):
        # Each comparison opens the test set, and widens its intervals.
        text = f"{output.uri} has the comparison; {comparison.text} makes another"
        print(text)  # noqa: T201
        return 0
    from tune_jobs.test_set.job import run

    return run(comparison)


def read_run_file(path: str) -> tuple[list[FileJob], OptionsFile | None]:
    """Read the jobs of a file, and the options of their comparison if it has one.

    Raises:
        InputError: the file cannot be read, or has what no job takes.
    """
    entries = {entry.name: entry for entry in read_entries(Path(path), KIND)}
    jobs, compared = entries.pop(JOBS_KEY, None), entries.pop(COMPARE_KEY, None)
    if jobs is None:
        if compared is not None:
            text = f"compare needs jobs: give each run a name and its job below {JOBS_KEY}:"
            raise at_line(path, compared.line, text)
        return [job_of_entries(path, None, None, list(entries.values()))], None
    if not jobs.inner:
        text = f"{JOBS_KEY} must map names of runs to jobs, e.g. cnn: {{job: lr-grid}}"
        raise at_line(path, jobs.line, text)
    found = [job_of_entries(path, each, each.name, list(entries.values())) for each in jobs.inner]
    known = {name: option for each in found for name, option in options_of(each.cls).items()}
    for entry in entries.values():
        if entry.name.strip("_").replace("-", "_") not in known:
            text = unknown_option(entry.name, known, f"{PROGRAM} {found[0].job}")
            raise at_line(path, entry.line, text)
    if compared is None:
        return found, None
    if not compared.inner and compared.value not in (None, True, {}):
        text = f"compare must map options to values, e.g. {COMPARE_KEY}: {{seeds: 3}}; leave it out"
        raise at_line(path, compared.line, f"{text} if the runs are not to be compared")
    program = f"{PROGRAM} compare"
    return found, options_of_entries(path, compared.inner, CompareOptions, "compare", program)


def job_of_entries(path: str, own: Entry | None, name: str | None, shared: list[Entry]) -> FileJob:
    """Return a job of a file.

    Args:
        path: the file.
        own: the job's entry; None if the file has no other.
        name: name of the run; None to name it after the job.
        shared: entries of the whole file.

    Raises:
        InputError: the job is unknown, or one of its own options is none that it takes.
    """
    entries = shared if own is None else list(own.inner)
    line = entries[0].line if own is None else own.line
    job = next((entry for entry in entries if entry.name == JOB), None)
    if job is None or job.value not in TRAINING:
        given = "has no job" if job is None else f"job {job.value!r} is no job that trains"
        text = f"{given}: give one of {', '.join(TRAINING)}, e.g. job: lr-grid"
        raise at_line(path, line if job is None else job.line, text)
    module = importlib.import_module(f"tune_jobs.{JOBS[job.value].module}")
    cls = getattr(module, JOBS[job.value].options)
    if own is not None:
        known, own_names = options_of(cls), {each.name.replace("-", "_") for each in entries}
        entries = [
            *(e for e in shared if (key := e.name.strip("_").replace("-", "_")) in known
              and key not in own_names),
            *entries,
        ]  # fmt: skip
        try:
            checked_name(str(name))
        except InputError as error:
            raise at_line(path, own.line, error) from None
    if named := next((entry for entry in entries if own and entry.name == "name"), None):
        text = f"name {named.value!r} is given beside the run's name in {JOBS_KEY}: leave it out"
        raise at_line(path, named.line, text)
    file = options_of_entries(path, entries, cls, job.value, f"{PROGRAM} {job.value}")
    return FileJob(job.value, cls, module.prepare, name, file)


def folder_of(job: FileJob) -> RunFolder:
    """Return the folder of a job's run, which has a name."""
    from tune_jobs.run_folder.folder import RunFolder

    words = job.file.words.get("storage_path", [f"={RunOptions().storage_path}"])
    return RunFolder.at(words[0].partition("=")[2]).child(str(job.name))


def has_finished(folder: RunFolder) -> bool:
    """Return whether a folder has a run that has finished."""
    from tune_jobs.run_folder.folder import RUN_FILE

    return folder.has(RUN_FILE) and folder.read_record()["status"] == "finished"


def parsed(job: FileJob, words: tuple[str, ...]) -> CommandLine[JobOptions]:
    """Return the command line of a job; of a run that there is already, that which resumes it.

    Args:
        job: the job.
        words: words that start this process.

    Raises:
        InputError: an option is invalid, or differs from that of the run.
    """
    from tune_jobs.run_folder.folder import RUN_FILE

    arguments = []
    if job.name is not None:
        arguments.append(f"--name={job.name}")
        arguments += ["--resume"] if folder_of(job).has(RUN_FILE) else []
    program = (PROGRAM, job.job)
    command = parse(job.cls, None, arguments, program=program, file=job.file)
    return replace(command, words=words)


def comparison_of(
    jobs: list[FileJob], file: OptionsFile, words: tuple[str, ...]
) -> CommandLine[CompareOptions]:
    """Return the command line of the comparison of the runs of a file.

    Args:
        jobs: jobs of the file; shortlists train nothing that could be compared.
        file: options of the comparison.
        words: words that start this process.

    Raises:
        InputError: an option is invalid.
    """
    from tune_jobs.run_folder.folder import RUN_FILE, RunFolder

    arguments = []
    if "runs" not in file.words:
        arguments = [typed_path(folder_of(each).uri) for each in jobs if each.job != "shortlist"]
    program = words_that_start("compare")
    command = parse_plain(CompareOptions, "compare", None, arguments, program=program, file=file)
    with command.located():
        check_options(command.options)
        ours = [folder_of(each).uri for each in jobs]
        for run in command.options.runs:
            folder = RunFolder.at(run)
            if folder.uri not in ours and not folder.has(RUN_FILE):
                text = f"runs: {run} is neither a run of this file nor a run folder: check it"
                raise InputError(text)
    # The report has the whole comparison, as it could be typed.
    return replace(command, words=(*program, *arguments, *file.arguments))


if __name__ == "__main__":
    main(run_file)
