"""The jobs by name, and the words that start one in the form by which this process was started."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

PROGRAM = "bakeoff"
"""Name of the console command."""


class Job(NamedTuple):
    """A job as the console command lists it."""

    module: str
    """Name of its module or package below tune_jobs."""
    question: str
    """What it answers."""
    options: str = ""
    """Name of the class of its options in its module; "" if it has several."""
    trains: bool = False
    """Whether it trains models, into a run folder."""


JOBS = {
    "check-data": Job(
        "check_data",
        "What is in these images, and what makes a comparison wrong?",
        "CheckOptions",
    ),
    "lr-grid": Job(
        "lr_grid", "Which learning rate trains the custom CNN best?", "GridOptions", trains=True
    ),
    "search": Job(
        "optuna_search",
        "Which training settings and architecture are best?",
        "SearchOptions",
        trains=True,
    ),
    "shortlist": Job(
        "shortlist",
        "Which of twenty pretrained networks are worth fine-tuning?",
        "ShortlistOptions",
        trains=True,
    ),
    "finetune": Job(
        "finetune",
        "Which pretrained network is best, at which learning rate?",
        "FinetuneOptions",
        trains=True,
    ),
    "compare": Job(
        "compare", "Which model should we use, and how certain is that?", "CompareOptions"
    ),
    "run": Job(
        "run_file",
        "What comes out of the jobs and the comparison in this file?",
        "RunFileOptions",
    ),
    "runs": Job(
        "runs", "Which runs are there, of which images, and which of each are best?", "RunsOptions"
    ),
    "watch": Job("watch", "How far is this run, and how do its trials compare?", "WatchOptions"),
    "predict": Job("predict", "Which class does the chosen model predict?", "PredictOptions"),
    "cluster": Job("cluster", "Is this cluster configuration right, and do its nodes agree?"),
}
"""Jobs by their names in the console command, in the order in which a person meets them."""


def words_that_start(module: str) -> tuple[str, ...]:
    """Return the words that start a job, in the form by which this process was started.

    These are `bakeoff compare`, `python -m tune_jobs.compare` or `python tune_jobs/compare.py`.

    Args:
        module: name of its module below tune_jobs.
    """
    called = sys.argv[0]
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    run_as = spec.name if spec else ""
    name = next(name for name, job in JOBS.items() if job.module == module)
    if run_as == "tune_jobs.__main__":
        return _python(), "-m", "tune_jobs", name
    if Path(called).stem == PROGRAM:
        return _typed(called), name
    script = Path(called).parent / f"{module}.py"
    if called.endswith(".py") and not run_as.startswith("tune_jobs.") and script.exists():
        return _python(), str(script)
    return _python(), "-m", f"tune_jobs.{module}"


def python_word() -> str:
    """Return the word that starts the Python of this process."""
    return _python() if Path(sys.argv[0]).stem != PROGRAM else _of_path("python", sys.executable)


def _python() -> str:
    """Return the interpreter as it was typed."""
    return sys.orig_argv[0] or sys.executable


def _typed(program: str) -> str:
    """Return the word for the console command: the shell has replaced it by a path."""
    return _of_path(PROGRAM, program)


def _of_path(word: str, program: str) -> str:
    """Return a word if PATH leads from it to the program's folder, else the program's path."""
    found = shutil.which(word)
    return word if found and Path(found).parent == Path(program).parent else program


def typed_path(path: str) -> str:
    """Return a path as a person would type it: relative if it is below the working directory."""
    below = os.path.relpath(path) if Path(path).is_absolute() else path
    return path if below.startswith("..") else below
