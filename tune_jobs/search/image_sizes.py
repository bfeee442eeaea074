"""Image sizes of a search: fixed for each network, or a parameter of the space."""

from __future__ import annotations

import dataclasses

from trainables.config import TrialConfig
from trainables.errors import InputError
from tune_jobs.search_space.space import Parameter, Space
from tune_jobs.tuning.found_images import FoundImages
from tune_jobs.tuning.sizes import fitted, search_sizes


def with_sizes(
    space: Space, bases: dict[str, TrialConfig], found: FoundImages
) -> tuple[Space, dict[str, TrialConfig]]:
    """Return the space with the image sizes that are searched, and the bases with their sizes.

    A resumed search, and one with a space file of its own, may have the parameter already.

    Args:
        space: search space.
        bases: configuration of the parameters that are not searched, by model.
        found: images of the run.

    Raises:
        InputError: a network has no native size, and one is asked for, or the sizes differ between
            networks.
    """
    asked = found.options.image_size
    if len(asked) > 1 and len(bases) > 1 and not all(isinstance(size, int) for size in asked):
        raise InputError(
            f"--image-size {' '.join(map(str, asked))} differs between networks, and --search "
            "optuna draws one of the same sizes for all: give numbers of pixels, one of auto and "
            "native, or use --search grid"
        )
    sizes = search_sizes(found.options, next(iter(bases.values())), found)
    if len(sizes) > 1 and "image_size" not in space:
        space = {
            **space,
            "image_size": Parameter(name="image_size", kind="categorical", choices=sizes),
        }
    result = {model: fitted(base, asked[0], found) for model, base in bases.items()}
    if "image_size" in space:  # a size that is drawn replaces that of the base alone
        result = {
            model: dataclasses.replace(base, resize_to=None, input_size=None)
            for model, base in result.items()
        }
    return space, result
