"""Commands that a job suggests when it has ended."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from trainables.errors import InputError
from tune_jobs.command_line.invocation import (
    JOBS,
    PROGRAM,
    python_word,
    typed_path,
    words_that_start,
)
from tune_jobs.command_line.options import DataOptions, JobOptions, RunOptions
from tune_jobs.command_line.parser import flatten
from tune_jobs.command_line.terminal import NextStep
from tune_jobs.command_line.values import words_of
from tune_jobs.run_folder.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from tune_jobs.tuning.strategy import Findings, Run

COUNTERPARTS = {
    "finetune": (("lr-grid", "optuna-search"), "pretrained networks"),
    "lr_grid": (("finetune",), "the custom CNN"),
}
"""Module of a job, the jobs whose runs lack what it trains, and what that is."""
NOT_SHARED = frozenset({"image_size", "cache_gb"})
"""Data options that runs of one comparison need not have in common."""


def next_steps(run: Run, findings: Findings) -> list[NextStep]:
    """Return commands that work here: what to do with the results, and how to look at them."""
    path = typed_path(run.folder.uri)
    steps = list(findings.steps)
    loader = "load_trials" if findings.table is None else "load_shortlist"
    if findings.table is None and not run.options.run.smoke_test:  # the test set stays sealed
        steps = [*steps_to_compare(run), *steps]
    steps.append(NextStep("the results as a dataframe", read_command(loader, path)))
    if shutil.which("tensorboard"):
        steps.append(NextStep("the curves", shlex.join(["tensorboard", "--logdir", path])))
    return steps


def steps_to_compare(run: Run) -> list[NextStep]:
    """Return the commands that lead to the comparison of a run with others of its images.

    The sealed test set is opened once, for all that is to be compared: what no run on these images
    has trained yet comes first.
    """
    from tune_jobs.analysis.results import load_runs  # imports pandas

    names, jobs = [run.folder.name], {run.options.job}
    with contextlib.suppress(InputError, OSError):  # the results are there, whatever becomes of it
        runs = load_runs(run.folder.parent.uri)
        names += runs_beside(runs, run.folder.name)
        jobs |= set(runs[runs["run"].isin(names)]["job"])
    steps = []
    for module, (counterparts, what) in COUNTERPARTS.items():
        if jobs <= set(counterparts):
            words = [*words_that_start(module), *words_on_images(run)]
            steps.append(NextStep(f"{what} on these images, to compare with", shlex.join(words)))
    paths = [typed_path(run.folder.parent.child(name).uri) for name in sorted(names)]
    purpose = "the best of each model family on the sealed test set, once all are trained"
    steps.append(NextStep(purpose, shlex.join([*words_that_start("compare"), *paths])))
    return steps


def runs_beside(runs: pd.DataFrame, name: str) -> list[str]:
    """Return the runs to compare a run with: for each network that it lacks, the best run with it.

    Args:
        runs: the runs of a storage path, see `load_runs`.
        name: name of the run.
    """
    readable = runs[runs["error"].isna()]
    own = readable[readable["run"] == name]
    others = readable[
        readable["group"].isin(own["group"])
        & (readable["status"] == "finished")
        & (readable["job"] != "shortlist")
        & readable["score"].notna()
    ]
    known, beside = {model for models in own["models"] for model in models.split(", ")}, []
    for row in others.to_dict("records"):  # the best first
        models = set(row["models"].split(", "))
        if models - known:
            known |= models
            beside.append(row["run"])
    return beside


def words_on_images(run: Run) -> list[str]:
    """Return the options by which another job reads the images of a run, and keeps its run there.

    Args:
        run: the run.
    """
    shared = {field.name for field in fields(DataOptions)} - NOT_SHARED
    shared |= {"split", "metric", "storage_path"}
    # A resumed run was given its options by the driver before.
    values, defaults = flatten(run.options), flatten(JobOptions())
    chosen = {name: values[name] for name in shared if values[name] != defaults[name]}
    options = words_of(type(run.options), dict(sorted(chosen.items())), "").values()
    return [word for words in options for word in _typed(words)]


def _typed(words: list[str]) -> list[str]:
    """Return an option as it is usually typed: --data photos for --data=photos."""
    name, equals, value = words[0].partition("=")
    return [name, value] if equals and not value.startswith("-") else words


def read_command(loader: str, path: str) -> str:
    """Return the command that prints a table of results.

    Args:
        loader: name of the function that loads it.
        path: its argument.
    """
    code = f"from {PROGRAM} import {loader}; print({loader}({path!r}))"
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
