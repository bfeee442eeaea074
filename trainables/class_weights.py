"""Weights of the classes in the training loss (--class-weights).

Imports no large package, because --help of every job imports this module.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainables.errors import InputError

NAMED = ("none", "balanced")
EXAMPLE = '{"cat": 2.5, "dog": 1}'
MOST_NAMED = 5
"""Maximum number of classes that a message names."""


def read_class_weights(value: str) -> str:
    """Return the setting `class_weights` for the value of --class-weights.

    The content of a file becomes the setting, so that a run needs the file no more: neither on
    the nodes of a cluster nor when it is resumed.

    Args:
        value: `none`, `balanced`, the path of a JSON file that maps each class name to its
            weight, or such JSON itself.

    Raises:
        InputError: The file cannot be read, or is not of that form.
    """
    if value in NAMED:
        return value
    text = value
    if not value.lstrip().startswith("{"):
        try:
            if Path(value).exists() and not Path(value).is_file():  # a pipe may have no end
                raise OSError("it is no regular file")
            text = Path(value).read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:  # ValueError: not UTF-8
            raise InputError(
                f"--class-weights {value} must be none, balanced or a JSON file of weights, and "
                f"no such file can be read ({error}): check the path"
            ) from None
    return json.dumps(_weights_by_name(text, f"--class-weights {value}"), ensure_ascii=False)


def check_class_weights(setting: str) -> None:
    """Raise InputError unless a setting is `none`, `balanced` or JSON of names and weights."""
    if setting not in NAMED:
        _weights_by_name(setting, f"class_weights {setting!r}")


def class_weights(
    setting: str, counts: Sequence[int], classes: Sequence[str]
) -> list[float] | None:
    """Return the weight of each class, or None if all weigh the same.

    Their mean over the training images is 1, so that a learning rate means the same with them.

    Args:
        setting: `none`; `balanced`: n/(C·n_c) for n training images in C classes, n_c of them in
            the class (as in scikit-learn); or JSON that maps each class name to its weight.
        counts: Number of training images of each class. One without any has weight 1 in
            `balanced`, and is not counted in C.
        classes: Class names, in the order of `counts`.

    Raises:
        InputError: The names are not those of the classes.
    """
    if setting == "none":
        return None
    if setting == "balanced":
        present = sum(count > 0 for count in counts)
        return [sum(counts) / (present * count) if count else 1.0 for count in counts]
    weights = check_class_names(setting, classes)
    largest = max(weights.values())  # the sum of large weights is infinite
    weights = {name: weight / largest for name, weight in weights.items()}
    total = sum(weights[name] * count for name, count in zip(classes, counts, strict=True))
    return [weights[name] * sum(counts) / total for name in classes]


def check_class_names(setting: str, classes: Sequence[str]) -> dict[str, float]:
    """Return the weights by class that a setting names, if any.

    Raises:
        InputError: The names are not those of the classes.
    """
    if setting in NAMED:
        return {}
    weights = _weights_by_name(setting, f"class_weights {setting!r}")
    unknown = [name for name in weights if name not in classes]
    missing = [name for name in classes if name not in weights]
    if unknown:
        raise InputError(
            f"the class weights name {_listed(unknown)}, which must be classes of the images "
            f"({_listed(classes)}): correct the names, or leave them out"
        )
    if missing:
        raise InputError(
            f"the class weights lack {_listed(missing)}, and every class must have a weight: add "
            f'them, e.g. "{missing[0]}": 1'
        )
    return weights


def _weights_by_name(text: str, what: str) -> dict[str, float]:
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{what} must be none, balanced or JSON of class names and weights, e.g. {EXAMPLE}, "
            f"and is no JSON: {error}"
        ) from None
    if not isinstance(pairs, _Pairs) or not pairs:
        raise InputError(f"{what} must map class names to weights, e.g. {EXAMPLE}")
    weights: dict[str, float] = {}
    for name, weight in pairs:
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 < weight < math.inf:  # NaN compares false
            shown = dict(weight) if isinstance(weight, _Pairs) else weight
            raise InputError(
                f"{what} has weight {shown!r} for class {name!r}, and weights must be finite "
                "numbers above 0: to leave a class out, remove its images"
            )
        if name in weights:
            raise InputError(f"{what} names class {name!r} twice: keep one of them")
        weights[name] = weight
    return weights


class _Pairs(list[tuple[str, Any]]):
    """Members of a JSON object, which may repeat a name."""


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:MOST_NAMED]))
    return shown + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
