"""Ranges of the numbers on a command line, beyond which no machine could follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trainables.errors import InputError

MOST: dict[str, float] = {
    "trials": 100_000,
    "extend": 100_000,
    "epochs": 100_000,
    "patience": 100_000,
    "head_epochs": 100_000,
    "max_epochs_total": 1e9,
    "batch_size": 65_536,
    "image_size": 4_096,
    "seeds": 1_000,
    "lora_rank": 4_096,
    "cpus_per_trial": 4_096,
    "max_concurrent": 100_000,
    "min_per_class": 1e9,
    "cache_gb": 1e6,
    "price_per_hour": 1e6,
}
"""Highest value of options by name; the lowest are checked with the other rules of an option."""


def check_ranges(values: Mapping[str, Any]) -> None:
    """Raise InputError if an option, or one of its values, is beyond what can be meant.

    Args:
        values: values by the name of the option; those that are no numbers are not checked.
    """
    for name, most in MOST.items():
        value = values.get(name)
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, int | float) and most < each < float("inf"):
                raise InputError(
                    f"--{name.replace('_', '-')} {each} is more than {most:,.0f}: give less"
                )


def check_words(words: Iterable[str]) -> None:
    """Raise InputError if a word of the command line is not UTF-8, as no table can hold it."""
    for word in words:
        if any("\ud800" <= letter <= "\udfff" for letter in word):  # undecodable bytes
            raise InputError(
                f"{word!r} on the command line is not UTF-8: rename the file or folder, or set a "
                "UTF-8 locale, e.g. LC_ALL=C.UTF-8"
            )
