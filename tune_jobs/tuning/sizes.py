"""Image sizes of trials: --image-size auto, native or a number of pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from trainables.config import TrialConfig
from trainables.errors import InputError
from trainables.models import is_registered
from trainables.models.native_size import native_size, size_missed, uses_own_size
from tune_jobs.command_line.options import DataOptions, ImageSize
from tune_jobs.tuning.found_images import FoundImages

OWN_SIZE = 64
"""Largest image size that auto gives networks without pretrained weights."""
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LEAST_OWN, LEAST_PUBLISHED = 16, 32
"""Smallest image size of the custom CNN, which halves images three times, and of published
networks, which do so five times."""
SEARCHED_SIZES = (32, 48, 64, 96, 128)
"""Image sizes that a search over a network without pretrained weights tries on photographs."""


def fitted(config: TrialConfig, asked: ImageSize, found: FoundImages) -> TrialConfig:
    """Return a configuration with what depends on the images: their size, and whether to mirror.

    Arguments and errors are those of `sized`.
    """
    random = config.augment in ("photo", "strong")
    if random and config.horizontal_flip is None and are_characters(found.listing.classes):
        config = dataclasses.replace(config, horizontal_flip=False)
    return sized(config, asked, found)


def are_characters(classes: Sequence[str]) -> bool:
    """Return whether the classes are digits or letters, whose mirror images are none."""
    return all(name.isdecimal() or len(name) == 1 or name.lower() in DIGITS for name in classes)


def sized(config: TrialConfig, asked: ImageSize, found: FoundImages) -> TrialConfig:
    """Return a configuration with the size at which its trial reads images.

    Args:
        config: configuration of a trial.
        asked: auto, native or a number of pixels.
        found: images of the run.

    Raises:
        InputError: the size is native, and the network does not define one.
    """
    options = found.options
    if found.stored_size is not None:  # a run of an earlier version, whose trials have no size
        size = native_size(config.model)[0] if asked == "native" else None
        return dataclasses.replace(config, input_size=size)
    if isinstance(asked, int):
        return dataclasses.replace(config, image_size=asked, resize=options.resize)
    if asked == "auto" and uses_own_size(config):
        least = LEAST_OWN if is_registered(config.model) else LEAST_PUBLISHED
        size = max(least, min(OWN_SIZE, found.side))
        return dataclasses.replace(config, image_size=size, resize=options.resize)
    size, resize_to, interpolation = native_size(config.model, assume=asked == "auto")
    if asked == "auto" and 2 * found.side < size:
        # Enlarging helps, but costs many times as much: not unasked, see `size_notes`.
        size = max(LEAST_PUBLISHED, found.side)
        return dataclasses.replace(config, image_size=size, resize=options.resize)
    if found.side < size and options.resize == "crop":
        # The device enlarges each batch: there are no more pixels to store.
        return dataclasses.replace(
            config, image_size=found.side, resize=options.resize, input_size=size
        )
    return dataclasses.replace(
        config,
        image_size=size,
        resize=options.resize,
        resize_to=resize_to if options.resize == "crop" else None,
        interpolation=interpolation,
    )


def sizes_of_grid(trials: dict[str, TrialConfig], found: FoundImages) -> dict[str, TrialConfig]:
    """Return the trials of a grid at every size of --image-size.

    With several sizes, names get the size: `lr=0.001,size=96`.

    Raises:
        InputError: two of the sizes are the same for a network.
    """
    asked = found.options.image_size
    if len(asked) == 1:
        return {name: fitted(config, asked[0], found) for name, config in trials.items()}
    result: dict[str, TrialConfig] = {}
    for name, config in trials.items():
        for each in asked:
            trial = fitted(config, each, found)
            pixels = trial.network_size(found.stored_size or 0)
            label = f"{name},size={pixels}"
            if label in result:
                raise InputError(
                    f"--image-size {' '.join(map(str, asked))} gives {config.model} {pixels} "
                    "pixels twice: leave one of them out"
                )
            result[label] = trial
    return result


def search_sizes(options: DataOptions, base: TrialConfig, found: FoundImages) -> tuple[int, ...]:
    """Return the image sizes that a search varies; fewer than two if it varies none."""
    if found.stored_size is not None:  # a search of an earlier version, whose images have one size
        return ()
    asked = options.image_size
    if len(asked) > 1:
        sizes = [sized(base, each, found).network_size(0) for each in asked]
        return tuple(dict.fromkeys(sizes))
    if asked == ("auto",) and uses_own_size(base) and found.is_photographs:
        return tuple(size for size in SEARCHED_SIZES if size <= found.side)
    return ()


def size_notes(configs: Iterable[TrialConfig], found: FoundImages) -> list[str]:
    """Return sentences on the sizes of trials, and on what another size would be worth."""
    if found.stored_size is not None:
        return []
    notes = []
    by_model: dict[str, set[tuple[int, str]]] = {}
    for config in configs:
        view = config.view
        assert view is not None
        by_model.setdefault(config.model, set()).add((config.network_size(view.size), view.resize))
    for model, sizes in by_model.items():
        words = ", ".join(f"{size} pixels ({how})" for size, how in sorted(sizes))
        notes.append(f"{model} reads images at {words}")
        config = next(c for c in configs if c.model == model)
        largest = max(size for size, _ in sizes)
        native = size_missed(config, largest)
        if native is not None:
            notes.append(
                f"The weights of {model} know images of {native} pixels. On images of {largest}, "
                "this is not a fair test of them: --image-size native is known to score higher, "
                f"for about {(native / largest) ** 2:.0f} times the training time"
            )
        own = sized(config, "auto", found).network_size(0) if uses_own_size(config) else 0
        if 2 * largest <= own:
            notes.append(
                f"{model} sees {largest} of the {found.side} pixels that these images have: "
                f"--image-size auto, which is {own}, is the fairer test of it"
            )
    return notes
