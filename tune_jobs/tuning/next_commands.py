"""Commands that a run suggests when it has ended."""

from __future__ import annotations

import shlex
import shutil

from tune_jobs.command_line.invocation import JOBS, python_word, typed_path, words_that_start
from tune_jobs.command_line.options import RunOptions
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
    module = run.options.job.replace("-", "_")
    if module not in {job.module for job in JOBS.values()}:
        return run.command.text
    words = [*words_that_start(module), "--name", run.folder.name, *(options or ("--resume",))]
    for option in ("storage_path", "address"):
        value = getattr(run.options.run, option)
        if value != getattr(RunOptions(), option):
            words += [f"--{option.replace('_', '-')}", value]
    return shlex.join(words)
