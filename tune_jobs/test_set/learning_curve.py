"""Trainings of a learning curve: a winner's settings on parts of its training images.

The curve is of the error on the validation images, not on the test images. It is read to decide
something (to take the other model, to collect more images), and what is decided by test images is
selected on them: the ledger would count 18 further models for each winner, and the intervals of all
later accuracies would widen for them. The price is that the errors are a little too low: settings
and best epochs were chosen on these images. They are so at every size, of which the settings were
chosen at the largest, so that the curve is rather too steep than too flat at its beginning.

What is held equal at all sizes is the number of optimiser steps, see `TrialImages.training_data`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from trainables.config import TrialConfig
from trainables.subsets import subset_sizes
from tune_jobs.analysis.comparison.candidates import Candidate
from tune_jobs.analysis.comparison.learning_curve import LearningCurve, Measured
from tune_jobs.tuning.data import RunData
from tune_jobs.tuning.found_images import stored_size

CURVE_SEEDS = 3
"""Trainings at each size of a learning curve, each with a seed and subset of its own."""


@dataclass(frozen=True)
class Retrained:
    """Further trainings of a winner."""

    seeds: list[Candidate] = field(default_factory=list)
    """Trainings with different random seeds, to be scored; empty without --seeds."""
    curve: list[Candidate] = field(default_factory=list)
    """Trainings of the learning curve, on subsets and on all images; empty without
    --learning-curve."""


def curve_sizes(data: RunData) -> list[int]:
    """Return the sizes of a learning curve; raises InputError if a class has too few images."""
    trials = data.trials
    return subset_sizes(trials.train_labels, trials.train_groups, trials.classes)


def wanted_trials(
    winner: Candidate, seeds: int, start: int, sizes: list[int]
) -> dict[str, TrialConfig]:
    """Return the configurations of a winner's trainings by name.

    The trainings on all images serve --seeds and the learning curve alike.

    Args:
        winner: winner of a model family.
        seeds: number of --seeds.
        start: first seed.
        sizes: sizes of the learning curve, all images last; empty without one.
    """
    settings = winner.config
    if settings.image_size is None:  # the winner is of an earlier version
        size = stored_size(winner.run.record)
        settings = dataclasses.replace(settings, image_size=size, resize="squash")
    whole = range(start, start + max(seeds, CURVE_SEEDS if sizes else 0))
    wanted = {f"seed={seed}": dataclasses.replace(settings, seed=seed) for seed in whole}
    for size in sizes[:-1]:
        for seed in whole[:CURVE_SEEDS]:
            config = dataclasses.replace(settings, seed=seed, train_size=size)
            wanted[f"seed={seed},images={size}"] = config
    return wanted


def divided(trained: list[Candidate], seeds: int, curve: bool) -> Retrained:
    """Return the trainings by their purpose; those on all images come first, by their seeds."""
    whole = [each for each in trained if each.config.train_size is None]
    parts = [each for each in trained if each.config.train_size is not None]
    of_curve = [*whole[:CURVE_SEEDS], *parts]
    return Retrained(whole[:seeds], of_curve if curve else [])


def curve_of(trained: list[Candidate], data: RunData, seed: int) -> LearningCurve | None:
    """Return the learning curve of a winner; None without trainings of one.

    Args:
        trained: trainings of the curve.
        data: images of the winner's run.
        seed: seed of the bootstrap, another one for each winner.
    """
    if not trained:
        return None
    trials = data.trials
    configs = [each.config for each in trained]
    images = [
        len(trials.train_labels)
        if config.train_size is None
        else len(trials.subset(config.train_size, config.seed))
        for config in configs
    ]
    return LearningCurve(
        Measured(
            images=np.array(images),
            seeds=np.array([config.seed for config in configs]),
            sizes=np.array([config.train_size or images[0] for config in configs]),
            errors=np.array([1 - each.row["best/val_accuracy"] for each in trained]),
            validation=len(trials.val_labels),
            constant=1 - float(np.bincount(trials.val_labels).max()) / len(trials.val_labels),
        ),
        seed,
    )
