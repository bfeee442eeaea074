"""Labels that may be wrong: what a model contradicts that has not learnt from the image.

Shape letters: N images, C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainables.arrays import Images, Ints
from trainables.image_rows import ImageRows

Part: TypeAlias = Literal["training", "validation", "test"]
"""Split that an image is in."""
MOST_SHOWN = 12
"""Images that are kept to be shown, for each judge."""


@dataclass(frozen=True)
class DoubtfulLabel:
    """An image whose label may be wrong."""

    part: Part
    """Split that the image is in."""
    file: str
    """Where the image is in the source."""
    label: str
    """Name of the class that it is labelled as."""
    suggested: str
    """Name of the class that the judge finds most probable."""
    label_probability: float
    """Probability of the label, in 0..1."""
    suggested_probability: float
    """Probability of the suggested class, in 0..1."""
    image: Images | None
    """Image, H×W×3, uint8; None beyond the first MOST_SHOWN."""


@dataclass(frozen=True)
class LabelCheck:
    """Labels of some images, judged by probabilities of a model that has not learnt from them."""

    judge: str
    """What the probabilities are of."""
    subject: str
    """Which images were judged: validation and test, or training."""
    images: int
    """Number of images whose labels were judged."""
    doubtful: list[DoubtfulLabel]
    """Images whose labels may be wrong, the least probable label first."""


def doubtful(labels: Ints, probabilities: NDArray[np.float64]) -> Ints:
    """Return the images whose labels may be wrong, the least probable label first.

    It is confident learning (Northcutt, Jiang & Chuang 2021), as cleanlab has it: an image counts
    towards a class if its probability is at least the mean probability of that class among the
    images that are labelled so; of each pair of classes, as many images as count towards the other
    one are in doubt, those with the largest difference of probabilities.

    Args:
        labels: given labels, N, int64.
        probabilities: probability of each class, N×C, float64, by models that were not trained on
            the image.
    """
    from cleanlab.filter import find_label_issues  # takes a second to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few images of a class
        found: Ints = find_label_issues(
            labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1
        )
    return found


def label_check(
    judge: str,
    labels: Ints,
    probabilities: NDArray[np.float64],
    classes: Sequence[str],
    parts: Sequence[Part],
    files: Sequence[str],
    images: ImageRows,
) -> LabelCheck:
    """Return the images whose labels may be wrong, with the first of them as pictures.

    Args:
        judge: what the probabilities are of.
        labels: given labels, N, int64.
        probabilities: probability of each class, N×C, float64.
        classes: class names.
        parts: split of each image, N.
        files: where each image is in the source, N.
        images: the images, N×S×S×3, uint8.
    """
    found = doubtful(labels, probabilities)
    shown = list(images.read(found[:MOST_SHOWN])) if len(found) else []
    best = probabilities.argmax(axis=1)
    return LabelCheck(
        judge,
        " and ".join(dict.fromkeys(parts)),
        len(labels),
        [
            DoubtfulLabel(
                parts[i],
                files[i],
                classes[labels[i]],
                classes[best[i]],
                float(probabilities[i, labels[i]]),
                float(probabilities[i, best[i]]),
                shown[rank] if rank < len(shown) else None,
            )
            for rank, i in enumerate(found.tolist())
        ],
    )
