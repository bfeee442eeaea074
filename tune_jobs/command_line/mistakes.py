"""Read options with tyro, and report what cannot be read like every other error."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import itertools
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_type_hints

import tyro

from trainables.errors import InputError
from tune_jobs.command_line.help import HELP, HELP_ALL, help_class

OTHER_WORDS = {
    "aa": ("augment",),
    "amp": ("precision",),
    "arch": ("model", "models"),
    "aug": ("augment",),
    "b": ("batch-size",),
    "batch-tfms": ("augment",),
    "bs": ("batch-size",),
    "clip-grad": ("clip-norm",),
    "count": ("trials",),
    "cpus": ("cpus-per-trial",),
    "data-dir": ("data",),
    "data-path": ("data",),
    "dataset": ("data",),
    "early-stopping": ("patience",),
    "experiment": ("name",),
    "freeze-epochs": ("head-epochs",),
    "goal": ("objective", "metric"),
    "gpus": ("gpus-per-trial",),
    "img-size": ("image-size",),
    "initial-checkpoint": ("weights",),
    "item-tfms": ("resize",),
    "learning-rate": ("lr",),
    "learning-rates": ("lr",),
    "log-dir": ("storage-path",),
    "log-wandb": ("track",),
    "lr-scheduler": ("schedule",),
    "method": ("sampler",),
    "model-ema": ("ema",),
    "n-trials": ("trials",),
    "num-epochs": ("epochs",),
    "num-samples": ("trials",),
    "opt": ("optimizer",),
    "out": ("output", "storage-path"),
    "output": ("storage-path",),
    "output-dir": ("output", "storage-path"),
    "pretrained": ("weights",),
    "project": ("name",),
    "run-name": ("name",),
    "sched": ("schedule",),
    "size": ("image-size",),
    "smoothing": ("label-smoothing",),
    "val-split": ("split",),
    "valid-pct": ("split",),
    "warmup-epochs": ("warmup",),
    "wd": ("weight-decay",),
}
"""Names that other programs give to options, and ours for the same."""
OTHER_VALUES = {
    "bayes": ("tpe", "gp"),
    "bayesian": ("tpe", "gp"),
    "bf16-mixed": ("bf16",),
    "half": ("fp16",),
    "onecycle": ("one_cycle",),
    "rand": ("random",),
    "randaug": ("strong",),
    "randaugment": ("strong",),
    "sha": ("asha",),
    "trivialaugment": ("strong",),
}
"""Values that other programs give to options, and ours for the same."""
BORDERS = "│╭╮╰╯|"
OUR_WORDS = {
    r"invalid choice (\S+) for argument (\S+)\. Expected one of \((.*?),?\)": (
        r"\2 \1 must be one of \3"
    ),
    r"(--\S+): invalid literal for int\(\) with base 10: (.*)": r"\1 \2 must be a whole number",
    r"(--\S+): could not convert string to float: (.*)": r"\1 \2 must be a number",
    r"(--\S+): Could not find valid parse for arguments: \[(.*)\]": r"\1 \2 cannot be read",
    r"Missing value for argument (\S+)\. Expected 1 values": r"\1 has no value",
    r"(--\S+): no type matching (.*?) could be .*? from \[(.*?)\].*": r"\1 \3 must be \2",
}
"""What the parser says about a value, without apostrophes, and how our messages say it."""
CHOICE = re.compile(r"--\S+ (\S+) must be one of (.*)")
"""Our message on a value that is not among the choices."""
SQUARE = re.compile(r"--image-size ([0-9]+)[x×][0-9]+ .*")
"""Our message on a width and a height."""
NUMBERS = re.compile(r"[-+\d.eE,]+")
"""Numbers, and commas between them."""
TYPES = tyro.constructors.ConstructorRegistry()
"""How the parser reads values, where its own way is not ours."""


@TYPES.primitive_rule
def _numbers(
    about: tyro.constructors.PrimitiveTypeInfo,
) -> tyro.constructors.PrimitiveConstructorSpec[Any] | None:
    """Read numbers in the digits 0 to 9 alone; Python's types take those of every script."""
    if about.type not in (int, float):
        return None

    def read(words: list[str]) -> Any:
        if _other_digits(words[0]):
            raise ValueError(f"could not convert string to float: {words[0]}")
        return about.type(words[0])

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=about.type.__name__.upper(),
        instance_from_str=read,
        is_instance=lambda value: (
            isinstance(value, (int, about.type)) and not isinstance(value, bool)
        ),
        str_from_instance=lambda value: [str(value)],
    )


def _other_digits(text: str) -> bool:
    """Return whether a text has digits of another script than ours, as ٣."""
    return any(letter.isdecimal() and not letter.isascii() for letter in text)


def read_options(
    cls: Any, arguments: Sequence[str], program: Sequence[str], **settings: Any
) -> Any:
    """Return what `tyro.cli` makes of a command line.

    Args:
        cls: dataclass of the options, or a union of the dataclasses of subcommands.
        arguments: words of the command line without those that start the job.
        program: words that start the job.
        settings: other arguments of `tyro.cli`.

    Raises:
        InputError: the words are no options, or their values none that they take.
    """
    name, printed = shlex.join(program), io.StringIO()
    if HELP & set(arguments):
        explained = help_class(cls, settings.get("default"), HELP_ALL in arguments)
        if explained is not cls:  # its fields have the defaults
            cls, settings = explained, {**settings, "default": explained()}
        arguments = ["--help" if word == HELP_ALL else word for word in arguments]
    try:
        with contextlib.redirect_stderr(printed), _unwrapped(arguments):
            options, unknown = tyro.cli(
                cls, args=list(arguments), prog=name, registry=TYPES, return_unknown_args=True,
                **settings,
            )  # fmt: skip
    except SystemExit as ended:
        if not ended.code:  # after --help
            raise
        raise InputError(_refused(printed.getvalue(), arguments, name)) from None
    if unknown:
        raise InputError(_not_an_option(unknown, sorted(set(option_names(cls))), name))
    return options


@contextlib.contextmanager
def _unwrapped(arguments: Sequence[str]) -> Iterator[None]:
    """Let the parser print messages without breaking words at the terminal's width.

    Help keeps that width.
    """
    before = os.environ.get("COLUMNS")
    if not HELP & set(arguments):
        os.environ["COLUMNS"] = "1000"
    try:
        yield
    finally:
        os.environ.pop("COLUMNS", None)
        if before is not None:
            os.environ["COLUMNS"] = before


def option_names(cls: Any) -> Iterator[str]:
    """Yield the names of all options, e.g. batch-size for --batch-size."""
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        for part in get_args(cls):
            yield from option_names(part)
        return
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(hints[field.name]):
            yield from option_names(hints[field.name])
        else:
            yield field.name.strip("_").replace("_", "-")


def _not_an_option(unknown: list[str], names: list[str], program: str) -> str:
    """Return the message on words that are no options."""
    word = next((word for word in unknown if word.startswith("-")), unknown[0])
    if not word.startswith("-"):
        meant = f"give images with --data {shlex.quote(word)}" if "data" in names else ""
        if NUMBERS.fullmatch(word):
            meant = "the option before it takes a single value"
            meant += " (--seeds 3 is three random seeds)" * ("seeds" in names)
        return f"{word!r} belongs to no option: {meant or _help(program)}"
    options = [word for word in unknown if re.match(r"--?[A-Za-z]", word)] or [word]
    answers = [_did_you_mean(word, names) for word in options]
    if len(options) == 1:
        return f"there is no option {word}: {answers[0]}{_help(program)}"
    listed = ", ".join(
        f"{word} ({answer.strip()})" if answer else word
        for word, answer in zip(options, answers, strict=True)
    )
    return f"there are no options {listed}: {_help(program)}"


def _did_you_mean(word: str, names: Sequence[str]) -> str:
    """Return a question with the options that a word may mean; the empty text if there are none."""
    given, equals, value = word.lstrip("-").partition("=")
    found = meant_by(given, names)
    if not found:
        return ""
    options = " or ".join(f"--{name}{equals}{value}" for name in found)
    return f"did you mean {options}? "


def meant_by(given: str, names: Sequence[str]) -> list[str]:
    """Return the options that a name may mean, the likeliest first; none if it is like no other.

    Args:
        given: the name, with dashes or underscores.
        names: names of all options, e.g. batch-size.
    """
    given = given.replace("_", "-").lower()
    if given in names:
        return [given]
    found = [name for name in OTHER_WORDS.get(given, ()) if name in names][:1]
    found = found or difflib.get_close_matches(given, names, 1, 0.8)
    found = found or difflib.get_close_matches(given, names, 3, 0.6)
    return found or [name for name in names if given in name.split("-")][:3]


def _value_meant(given: str, choices: list[str]) -> str:
    """Return a question with the choices that a value may mean; the empty text for none."""
    lower = {choice.lower(): choice for choice in choices}
    names = [given.lower()] if given.lower() in lower else []
    names = names or [name for name in OTHER_VALUES.get(given.lower(), ()) if name in lower]
    names = names or difflib.get_close_matches(given.lower(), lower, 1, 0.6)
    return f"did you mean {' or '.join(lower[name] for name in names)}? " if names else ""


def _help(program: str) -> str:
    """Return where the options are explained."""
    return f"{program} --help-all explains every option"


def _refused(printed: str, arguments: Sequence[str], program: str) -> str:
    """Return the message on a value that an option does not take.

    Args:
        printed: the parser's message: a box with the reason, a line, and the option's help.
        arguments: words of the command line.
        program: words that start the job, quoted.
    """
    reason: list[str] = []
    lines = re.sub(r"\x1b\[[\d;]*m", "", printed).splitlines()
    if lines and lines[0][:1] not in "╭+":  # an output without UTF-8, or a notebook: no box, but
        lines = lines[2:]  # the title and a line below it
    for line in lines:
        text = line.strip().strip(BORDERS).strip()
        if line[:1] in "╭╰+" or not text:
            continue
        if set(text) <= set("─-"):
            break
        reason.append(text)
    message = " ".join(reason).removeprefix("Error parsing ").rstrip(".")
    message = re.sub(r"^(training|data|run): ", "", message)
    for theirs, ours in OUR_WORDS.items():
        message = re.sub(theirs, ours, message.replace("'", ""))
    message = re.sub(r"{(.*?)}", r"\1", message).replace("|", " or ")
    words = [word.rpartition("=")[2] for word in arguments]
    if side := SQUARE.fullmatch(message):
        return f"{message}: networks read square images, give their side: --image-size {side[1]}"
    if others := [word for word in words if _other_digits(word) and word in message]:
        return f"{message}: write {others[0]} in the digits 0 to 9"
    first = next(
        (i for i, word in enumerate(words) if NUMBERS.fullmatch(word) and "," in word), None
    )
    if first is not None:
        values = itertools.takewhile(NUMBERS.fullmatch, words[first:])
        separate = " ".join(values).replace(",", " ").split()
        return f"{message}: separate values by spaces: {' '.join(separate)}"
    chosen = CHOICE.fullmatch(message)
    meant = _value_meant(chosen[1], chosen[2].split(", ")) if chosen else ""
    return f"{message}: {meant}{_help(program)}"
