"""Score the winners on corrupted test images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from rich.console import Console

from trainables.corruptions import CORRUPTIONS, SEVERITIES, CorruptedStore, strength
from trainables.image_rows import ImageRows
from tune_jobs.analysis.comparison.comparison import Contestant
from tune_jobs.analysis.comparison.robustness import Corrupted
from tune_jobs.analysis.formatting import counted, duration
from tune_jobs.test_set.evaluation import TrainedModel
from tune_jobs.tuning.data import RunData

PASSES = len(CORRUPTIONS) * len(SEVERITIES)
"""Passes over the test images."""


def with_corrupted(
    contestants: Sequence[Contestant],
    models: Sequence[tuple[TrainedModel, RunData]],
    console: Console,
) -> list[Contestant]:
    """Score every contestant on corrupted test images, after saying how long that may take.

    Args:
        contestants: the contestants.
        models: model of each contestant, and the images of its run.
        console: terminal or log file.
    """
    images = len(models[0][1].split.test)
    rates = [each.costs.images_per_second for each in contestants]
    seconds = sum(PASSES * images / rate for rate in rates)  # NaN on a machine that was busy
    about = "" if np.isnan(seconds) else f", {duration(seconds)} and the time of the corruptions"
    console.print(
        f"scoring {counted(len(models), 'model')} on corrupted images: {PASSES} passes over "
        f"{images:,} test images each{about}",
        markup=False, highlight=False, style="dim",
    )  # fmt: skip
    return [
        dataclasses.replace(contestant, corrupted=score_corrupted(*model))
        for contestant, model in zip(contestants, models, strict=True)
    ]


def score_corrupted(model: TrainedModel, data: RunData) -> Corrupted:
    """Return a model's predictions on the test images with every corruption and severity.

    The images are corrupted at the size in which the model reads them. The noise of an image is
    drawn from its index in the dataset, so that all models of one size see the same pixels.

    Args:
        model: the model.
        data: images of the model's run.
    """
    test, view = data.split.test, model.classifier.view
    clean, labels = data.images(test, view), data.dataset.labels[test]
    correct = np.empty((len(CORRUPTIONS), len(SEVERITIES), len(test)), dtype=np.bool_)
    for i, corruption in enumerate(CORRUPTIONS):
        for k, severity in enumerate(SEVERITIES):
            images = ImageRows(CorruptedStore(clean, test, corruption, severity))
            correct[i, k] = model.classifier.logits(images).numpy().argmax(axis=1) == labels
    strengths = [[strength(each, k, view.size) for k in SEVERITIES] for each in CORRUPTIONS]
    return Corrupted(CORRUPTIONS, strengths, view.size, correct)
