"""Attribution maps of the winners on test images, and the measurements of their check."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from rich.console import Console

from trainables.attribution import (
    CELLS,
    Bools,
    covered_probabilities,
    most_important,
    occlusion_map,
    untrained,
)
from trainables.image_rows import ImageRows
from trainables.models import build_model
from trainables.precision import tf32_disabled
from tune_jobs.analysis.comparison.attribution import (
    FRACTION,
    Attributions,
    MappedImages,
    mapped_images,
)
from tune_jobs.analysis.comparison.comparison import Contestant
from tune_jobs.analysis.formatting import counted, duration
from tune_jobs.test_set.evaluation import TrainedModel
from tune_jobs.tuning.data import RunData

DRAWS = 5
"""Draws of random cells."""
NORM_IMAGES = 16
"""Training images that the batch-norm statistics of an untrained network are computed on."""
PASSES = 2 * (CELLS - 1) ** 2 + DRAWS + 2 + NORM_IMAGES
"""Forward passes that an image takes, at most."""


def with_attributions(
    contestants: Sequence[Contestant],
    models: Sequence[tuple[TrainedModel, RunData]],
    console: Console,
) -> list[Contestant]:
    """Make the attribution maps of every contestant, after saying how long that may take.

    Args:
        contestants: the contestants, the chosen one first.
        models: model of each contestant, and the images of its run.
        console: terminal or log file.
    """
    chosen = contestants[0].winner
    images = mapped_images(chosen.correct, chosen.labels)
    passes = PASSES * len(images.every)
    # Twice the time of throughput, as batches are smaller; NaN on a machine that was busy.
    seconds = sum(passes / each.costs.images_per_second for each in contestants)
    about = f", at least {duration(seconds)}" if seconds >= 1 else ""
    console.print(
        f"making attribution maps of {counted(len(models), 'model')}: {passes:,} forward passes "
        f"each{about}",
        markup=False, highlight=False, style="dim",
    )  # fmt: skip
    return [
        dataclasses.replace(contestant, attributions=attributions_of(*model, images, contestant))
        for contestant, model in zip(contestants, models, strict=True)
    ]


def attributions_of(
    model: TrainedModel, data: RunData, images: MappedImages, contestant: Contestant
) -> Attributions:
    """Return the attribution maps of a model, with those of untrained networks.

    Args:
        model: the model.
        data: images of the model's run.
        images: which test images get maps.
        contestant: the contestant of the model, scored on the test images.
    """
    classifier, about = model.classifier, model.about
    build = partial(
        build_model, about["model"], len(classifier.classes), classifier.input_size,
        **about["model_args"],
    )  # fmt: skip
    training = np.random.default_rng(0).permutation(data.split.train)[:NORM_IMAGES]
    known = ImageRows(data.images(training, classifier.view).read())
    found = []
    with tf32_disabled():  # as in prediction
        for position in images.every:
            row = data.split.test[position]
            pixels = data.images(np.array([row]), classifier.view).read()
            inputs = classifier.prepare(torch.from_numpy(pixels).to(classifier.device))
            label = int(contestant.winner.predicted[position])
            own = occlusion_map(classifier.model, inputs, label)
            random = untrained(build, int(row), known, classifier.prepare)
            theirs = occlusion_map(random, inputs, label)
            # Whether an untrained network takes a part for or against a class is chance.
            masks = [most_important(each, FRACTION) for each in (own, np.abs(theirs))]
            masks += random_masks(masks[0], int(row))
            left = covered_probabilities(
                classifier.model, inputs, label, np.stack(masks), contestant.temperature
            )
            found.append((pixels[0], own, theirs, np.array([left[0], left[1], left[2:].mean()])))
    seen, own_maps, random_maps, left = (np.stack(each) for each in zip(*found, strict=True))
    as_is = contestant.confidence[images.every]
    return Attributions(images, seen, own_maps, random_maps, as_is, *left.T)


def random_masks(like: Bools, seed: int) -> list[Bools]:
    """Return masks with as many random cells as another one, DRAWS of them."""
    generator = np.random.default_rng(seed)
    return [generator.permuted(like.ravel()).reshape(like.shape) for _ in range(DRAWS)]
