"""What model.json may hold: a model folder may come from anyone, so nothing in it is believed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, get_args

from trainables.errors import InputError, first_line
from trainables.views import Interpolation, Resize

MODEL_FORMAT = 2
"""Version of the format of model.json; newer versions are refused."""
LONGEST_FILE = 50_000_000
"""Largest size of model.json in bytes: that of more class names than any dataset has."""
LONGEST_NAME = 1_000
"""Longest name of a network or class in characters."""
LARGEST_SIDE = 8_192
"""Largest height and width of images in pixels."""
MOST_CLASSES = 1_000_000


@dataclass(frozen=True)
class Rejection:
    """Threshold below which images are not answered, for one limit of the risk."""

    risk: float
    """Largest fraction of the answered images that are misclassified, in 0..1."""
    threshold: float
    """Lowest probability of the predicted class at which an image is answered, in 0..1."""
    coverage: float
    """Fraction of the validation images that are answered, in 0..1."""


def parse_description(content: bytes) -> dict[str, Any]:
    """Parse the content of model.json, and check every entry that is read.

    Raises:
        InputError: it is no JSON, a newer version wrote it, or an entry breaks its rule.
    """
    if len(content) > LONGEST_FILE:
        raise damaged(f"it has {len(content):,} bytes, and at most {LONGEST_FILE:,} are read")
    try:
        about = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise damaged(f"it is no JSON ({first_line(error)})") from error
    if not isinstance(about, dict) or type(about.get("format")) is not int:
        raise damaged("it must be an object with a whole number as format")
    if about["format"] > MODEL_FORMAT:
        raise InputError(
            f"it has format {about['format']}, but this version reads only up to {MODEL_FORMAT}: "
            "upgrade bakeoff"
        )
    geometry = BEFORE_VIEWS if about["format"] < 2 else VIEWS
    for name, (holds, rule) in (RULES | geometry | OPTIONAL).items():
        if name not in about and name in OPTIONAL:
            continue
        if name not in about:
            raise damaged(f"it has no {name}")
        if not holds(about[name]):
            raise damaged(f"{name} is {str(about[name])[:100]!r} and must be {rule}")
    return about


def damaged(reason: str) -> InputError:
    """Return the error of a file that is not as it was written."""
    return InputError(f"damaged ({reason}): restore it from a backup, or train again")


def is_text(value: Any) -> bool:
    """Return whether a value is a printable name of usual length."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value.isprintable()


def is_number(value: Any, low: float, high: float) -> bool:
    """Return whether a value is a finite number in low..high."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and low <= value <= high  # false for NaN, and exact for large integers


def is_whole(value: Any, low: int, high: int) -> bool:
    """Return whether a value is a whole number in low..high."""
    return type(value) is int and low <= value <= high


def is_three(value: Any, holds: Callable[[Any], bool]) -> bool:
    """Return whether a value is a list of three values of a kind."""
    return isinstance(value, list) and len(value) == 3 and all(map(holds, value))


def is_side(value: Any) -> bool:
    """Return whether a value is a height and width in pixels."""
    return is_whole(value, 1, LARGEST_SIDE)


def is_list_of_names(value: Any) -> bool:
    """Return whether a value is a list of different names of classes."""
    return (
        isinstance(value, list)
        and 0 < len(value) <= MOST_CLASSES
        and all(isinstance(name, str) and len(name) <= LONGEST_NAME for name in value)
        and len(set(value)) == len(value)
    )


def is_argument(value: Any) -> bool:
    """Return whether a value is an argument of a network: a number, text, or list of numbers."""
    if isinstance(value, list):
        return len(value) <= 100 and all(is_number(each, -1e6, 1e6) for each in value)
    return value is None or isinstance(value, bool) or is_text(value) or is_number(value, -1e6, 1e6)


def is_arguments(value: Any) -> bool:
    """Return whether a value is an object of arguments of a network."""
    return isinstance(value, dict) and all(is_argument(each) for each in value.values())


def is_view(value: Any) -> bool:
    """Return whether a value is the geometry of a `View`."""
    return (
        isinstance(value, dict)
        and set(value) == {"size", "resize", "resize_to", "interpolation"}
        and is_side(value["size"])
        and value["resize"] in get_args(Resize)
        and (value["resize_to"] is None or is_whole(value["resize_to"], value["size"], 65_536))
        and value["interpolation"] in get_args(Interpolation)
    )


def is_rejection(value: Any) -> bool:
    """Return whether a value lists thresholds by risk, each as in `Rejection`."""
    return (
        isinstance(value, list)
        and len(value) <= 1_000
        and all(
            isinstance(each, dict)
            and set(each) == {field.name for field in fields(Rejection)}
            and all(is_number(number, 0, 1) for number in each.values())
            for each in value
        )
    )


def is_decoding(value: Any) -> bool:
    """Return whether a value says how pixels are decoded, as `Decoding`."""
    level = value.get("white_level") if isinstance(value, dict) else 0
    return is_three(
        value.get("background") if isinstance(value, dict) else None,
        lambda each: is_whole(each, 0, 255),
    ) and (level is None or is_whole(level, 1, 65_535))


Rule = tuple[Callable[[Any], bool], str]
RULES: dict[str, Rule] = {
    "model": (is_text, "the name of a network"),
    "model_args": (is_arguments, "an object of numbers, texts and lists of numbers"),
    "classes": (is_list_of_names, "a list of different texts"),
    "input_size": (lambda value: value is None or is_side(value),
                   f"null or a whole number of pixels, 1 to {LARGEST_SIDE}"),
    "mean": (lambda value: is_three(value, lambda each: is_number(each, -10, 10)),
             "three numbers in -10..10"),
    "std": (lambda value: is_three(value, lambda each: is_number(each, 1e-6, 10)),
            "three numbers in 0.000001..10"),
    "sha256": (lambda value: isinstance(value, str)
               and re.fullmatch("[0-9a-f]{64}", value) is not None, "64 hexadecimal digits"),
}  # fmt: skip
OPTIONAL: dict[str, Rule] = {
    "temperature": (lambda value: is_number(value, 1e-3, 1e3), "a number in 0.001..1000"),
    "rejection": (is_rejection, "a list of objects of risk, threshold and coverage, all in 0..1"),
}
"""Entries of the model of a comparison, which the model of a run lacks."""
VIEWS: dict[str, Rule] = {
    "view": (is_view, "a size of at most 8192 pixels, resize, resize_to and interpolation"),
    "decoding": (is_decoding, "a background of three colours in 0..255, and a white_level"),
}
BEFORE_VIEWS: dict[str, Rule] = {"image_size": (is_side, "a whole number of pixels, 1 to 8192")}
