"""The console command `bakeoff`: start a job by its name."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import version

from trainables.errors import InputError
from tune_jobs.command_line.completion import completion_script
from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.invocation import JOBS, PROGRAM

FUNCTIONS = {"cluster": "cluster.__main__:cluster"}
"""Module and function of the jobs that are not MODULE:MODULE."""


OTHER_WORDS = {
    "train": ("lr-grid", "finetune"),
    "fit": ("lr-grid", "finetune"),
    "sweep": ("search",),
    "tune": ("search",),
    "eval": ("compare",),
    "evaluate": ("compare",),
    "test": ("compare",),
    "validate": ("compare",),
    "export": ("predict",),
    "infer": ("predict",),
    "inference": ("predict",),
    "learn": ("lr-grid", "finetune"),
    "list": ("runs",),
    "lr-find": ("lr-grid", "finetune"),
    "ls": ("runs",),
}
"""Words for jobs in other programs, and ours."""


def bakeoff() -> None:
    """Start the job that the first word names, and exit with its exit code."""
    word, *others = sys.argv[1:] or ["--help"]
    if word in ("-h", "--help", "help"):
        main(lambda: show(help_text(), others))
    if word == "--version":
        main(lambda: show(f"{PROGRAM} {version(PROGRAM)}", others))
    if word == "--completion":
        main(lambda: completion(others))
    if word not in JOBS:
        main(lambda: unknown(word))
    module = JOBS[word].module
    module, _, function = FUNCTIONS.get(word, f"{module}:{module}").partition(":")
    del sys.argv[1]
    main(getattr(importlib.import_module(f"tune_jobs.{module}"), function))


def show(text: str, others: Sequence[str]) -> int:
    """Print a text and return 0; raise InputError if there are other words."""
    refuse(others)
    print(text)  # noqa: T201
    return 0


def refuse(words: Sequence[str]) -> None:
    """Raise InputError if there are words that nothing reads."""
    if words:
        job = f"; {PROGRAM} {words[0]} --help explains that job" if words[0] in JOBS else ""
        raise InputError(
            f"{words[0]!r} is one word too many: leave it out; {PROGRAM} --help shows the "
            f"forms{job}"
        )


def completion(words: Sequence[str]) -> int:
    """Print the script by which the shell that is named completes the command; return 0."""
    refuse(words[1:])
    modules = {
        name: importlib.import_module(f"tune_jobs.{job.module}") for name, job in JOBS.items()
    }
    jobs = {name: getattr(module, JOBS[name].options, None) for name, module in modules.items()}
    print(completion_script(words[0] if words else "", jobs), end="")  # noqa: T201
    return 0


def help_text() -> str:
    """Return the help of the console command, with a line for each job."""
    width = max(map(len, JOBS))
    jobs = "\n".join(f"  {name:<{width}}  {job.question}" for name, job in JOBS.items())
    return (
        f"usage: {PROGRAM} JOB [OPTIONS]\n\n{jobs}\n\n"
        f"{PROGRAM} JOB --help explains the options of a job that are decided first, and\n"
        f"{PROGRAM} JOB --help-all every one. {PROGRAM} --version prints the version, and\n"
        f"{PROGRAM} --completion bash (or zsh) a script by which the shell completes them.\n"
        f"Without options, {PROGRAM} lr-grid trains on handwritten digits for about half a minute."
    )


def unknown(word: str) -> int:
    """Raise InputError with the job that was probably meant."""
    names = {**{name: name for name in JOBS}, **{job.module: name for name, job in JOBS.items()}}
    if word.startswith("-"):
        raise InputError(
            f"{word} comes after the name of a job: {PROGRAM} JOB {word} …; {PROGRAM} --help lists "
            "the jobs"
        )
    close = difflib.get_close_matches(word, names, 1)
    jobs = OTHER_WORDS.get(word.replace("_", "-")) or [names[name] for name in close]
    meant = f"did you mean {' or '.join(f'{PROGRAM} {job}' for job in jobs)}? " if jobs else ""
    raise InputError(f"there is no job {word!r}: {meant}{PROGRAM} --help lists the jobs")


if __name__ == "__main__":
    bakeoff()
