"""Networks that a person defines: `package.module:function`."""

from __future__ import annotations

import importlib
import inspect
import operator
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables.errors import InputError
from trainables.trust import check_trusted, remember

ARGUMENTS = ("num_classes", "pretrained")
"""Arguments that a function is called with, where it has parameters of these names."""


def user_function(name: str) -> Callable[..., Any]:
    """Import a user-defined function by its name, `package.module:function`.

    Raises:
        InputError: Its module is not trusted, it cannot be imported, is not callable, or needs
            arguments of other names.
    """
    module_name, _, function_name = name.partition(":")
    if not all(part.isidentifier() for part in f"{module_name}.{function_name}".split(".")):
        raise InputError(
            f"model {name!r} is not the name of a function, which is package.module:function"
        )
    check_trusted(name)
    # sys.path contains the folder of the script, but user modules are in the working directory.
    cwd = str(Path.cwd())
    if cwd not in sys.path:
        sys.path.append(cwd)
    try:
        function = operator.attrgetter(function_name)(importlib.import_module(module_name))
    except (Exception, SystemExit) as error:  # a module may raise anything when it is imported
        raise InputError(
            f"model {name!r} cannot be imported ({described(error)}): it must be "
            "package.module:function, importable from the working directory"
        ) from error
    if not callable(function):
        raise InputError(f"{name} is {type(function).__name__} but must be a function")
    for parameter in parameters_of(function).values():
        needed = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        )
        if needed and parameter.name not in ARGUMENTS:
            raise InputError(
                f"{name} needs an argument {parameter.name!r}, but it is called with num_classes "
                f"and pretrained only: give {parameter.name!r} a default value"
            )
    remember(name)
    return function  # type: ignore[no-any-return]


def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function; none of one written in C that does not state them."""
    try:
        return inspect.signature(function).parameters
    except ValueError:
        return {}


def construct(name: str, num_classes: int, pretrained: bool) -> nn.Module:
    """Call a user-defined function.

    Args:
        name: Its name.
        num_classes: Number of classes, passed if the function has a parameter of that name.
        pretrained: Whether to load its weights, passed likewise.

    Raises:
        InputError: The function cannot be imported or called, raises, or returns no network.
    """
    function = user_function(name)
    values = dict(zip(ARGUMENTS, (num_classes, pretrained), strict=True))
    given = {key: values[key] for key in ARGUMENTS if key in parameters_of(function)}
    call = f"{name}({', '.join(f'{key}={value}' for key, value in given.items())})"
    try:
        model = function(**given)
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # a function of a person's own may raise anything
        raise InputError(
            f"{call} raises {described(error)}: it must return a torch.nn.Module; call it in "
            "Python to see where it fails"
        ) from error
    if not isinstance(model, nn.Module):
        raise InputError(
            f"{name} returned {type(model).__name__} but must return a torch.nn.Module"
        )
    return model


def loads_weights(name: str, num_classes: int) -> bool:
    """Return whether a user-defined function builds a network with weights that it loads itself.

    Most of them are then the same whatever the random seed.

    Args:
        name: Name of the function.
        num_classes: Number of classes.

    Raises:
        InputError: As `construct` does.
    """
    states: list[dict[str, Tensor]] = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            states.append(construct(name, num_classes, pretrained=False).state_dict())
    first, second = states
    matrices = [key for key, value in first.items() if value.ndim > 1]  # biases may all be 0
    same = sum(first[key].numel() for key in matrices if torch.equal(first[key], second[key]))
    return 2 * same > sum(first[key].numel() for key in matrices)


def described(error: BaseException) -> str:
    """Return the type and the message of an error."""
    return f"{type(error).__name__}: {error}"
