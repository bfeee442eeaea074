"""Commands that a run suggests when it has ended."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from typing import Any

from tune_jobs.command_line.invocation import JOBS, python_word, typed_path, words_that_start
from tune_jobs.command_line.options import RunOptions
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.tuning.strategy import Findings, Run


def next_commands(run: Run, findings: Findings) -> list[str]:
    """Return commands that work here: what to do with the results, and how to look at them."""
    path = typed_path(run.folder.uri)
    commands = list(findings.commands)
    if findings.table is None:
        commands.insert(0, shlex.join([*words_that_start("compare"), path]))
    commands.append(read_command(f"load_trials({path!r})"))
    if shutil.which("tensorboard"):
        commands.append(shlex.join(["tensorboard", "--logdir", path]))
    return commands


def read_command(call: str) -> str:
    """Return the command that prints a table of results."""
    code = f"from tune_jobs.analysis.results import *; print({call})"
    if any(letter in code for letter in '"$`\\!'):
        return shlex.join([python_word(), "-c", code])
    return f'{shlex.quote(python_word())} -c "{code}"'


def resume_command(run: Run, *options: str) -> str:
    """Return the command that resumes a run, which restores its other options.

    The runs of a comparison are resumed by the comparison.

    Args:
        run: the run.
        options: options in place of --resume.
    """
    module = module_of(run.options.job)
    if module is None:
        return run.command.text
    words = [*words_that_start(module), "--name", run.folder.name, *(options or ("--resume",))]
    for option in ("storage_path", "address"):
        value = getattr(run.options.run, option)
        if value != getattr(RunOptions(), option):
            words += [f"--{option.replace('_', '-')}", value]
    return shlex.join(words)


def resume_found(folder: RunFolder, record: Mapping[str, Any]) -> str | None:
    """Return the command that resumes a run which was found in a folder; None if there is none.

    Args:
        folder: its folder.
        record: its run.json.
    """
    module = module_of(record["job"])
    if module is None:
        return None
    words = [*words_that_start(module), "--name", folder.name, "--resume"]
    if folder.parent.uri != RunFolder.at(RunOptions().storage_path).uri:
        words += ["--storage-path", typed_path(folder.parent.uri)]
    if address := record["options"]["run"].get("address"):
        words += ["--address", address]
    return shlex.join(words)


def module_of(job: str) -> str | None:
    """Return the module of the job of a run; None for the trainings of a comparison."""
    module = job.replace("-", "_")
    return module if module in {job.module for job in JOBS.values()} else None
