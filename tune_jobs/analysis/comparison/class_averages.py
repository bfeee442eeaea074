"""Scores of a confusion matrix: by class, averaged over classes, and their confidence intervals.

Shape letters: N test images, C classes, D draws.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from tune_jobs.analysis.comparison.statistics import ALPHA
from tune_jobs.analysis.formatting import Interval

Floats: TypeAlias = NDArray[np.float64]

DRAWS = 4_000
"""Draws of the posterior distribution."""
CELLS = 10_000_000
"""Numbers drawn at a time, 80 MB."""
TINY = 1e-300
"""Least denominator: a score of 0 / 0 is 0."""
LEAST_IMAGES = 10
"""Test images a class, on average, from which on intervals are stated. In simulations with 3.6,
that of precision held the true score in 47% of cases (benchmarks/results.md)."""
INTERVALS = "precision", "f1", "balanced_accuracy", "macro_f1"
"""Averages that have an interval of their own."""


def confusion_matrix(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Count images by true class (rows) and predicted class (columns), C×C, int64.

    Args:
        labels: true labels, N, int64.
        predicted: predicted labels, N, int64.
        classes: number of classes C.
    """
    pairs = labels * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True)
class ClassAverages:
    """Averages over classes, as in scikit-learn with zero_division=0, each in 0..1."""

    precision: float
    """Precision, weighted by support."""
    recall: float
    """Recall, weighted by support."""
    f1: float
    """F1 score, weighted by support."""
    balanced_accuracy: float
    """Mean recall of the classes that have images."""
    macro_f1: float
    """Mean F1 score of the classes that have images or are predicted."""


def class_averages(confusion: NDArray[np.int64]) -> ClassAverages:
    """Return the averages of a C×C confusion matrix."""
    right, actual, predicted = _margins(confusion)
    takes_part = (actual > 0) | (predicted > 0)
    return ClassAverages(*_averages(right[None], actual, predicted[None], takes_part)[0].tolist())


def class_scores(confusion: NDArray[np.int64]) -> Floats:
    """Return precision, recall and F1 per class, C×3, of C×C counts; 0 if a denominator is 0."""
    return _class_scores(*_margins(confusion))


def score_intervals(confusion: NDArray[np.int64], seed: int = 0) -> dict[str, Interval | None]:
    """Return the 95% interval of the averages that are no plain proportion, by name.

    The share of each class's images in each cell of its row is drawn from its posterior, a
    Dirichlet distribution (the Bayesian bootstrap of Rubin 1981 on each row). Its prior is one
    right and one wrong image in all: with few mistakes, resampling images would only ever repeat
    those few, and without any it would find no variance. The number of images of each class is
    kept, and the bias of the draws is subtracted. Weighted recall is the accuracy, and has Wilson's
    interval.

    Args:
        confusion: C×C counts.
        seed: seed of the draws.

    Returns:
        Intervals of precision, F1, balanced accuracy and macro-F1; None where a class has a single
        image, which shows nothing of the variance within it, and where there are fewer than
        LEAST_IMAGES a class on average.
    """
    right, actual, predicted = _margins(confusion)
    if (actual == 1).any() or actual.sum() < LEAST_IMAGES * (actual > 0).sum():
        return dict.fromkeys(INTERVALS)
    generator = np.random.default_rng(seed)
    classes, takes_part = len(actual), (actual > 0) | (predicted > 0)
    wrong = confusion - np.diag(np.diag(confusion))
    rows, columns = np.nonzero(wrong)
    into = coo_array((np.ones(len(rows)), (np.arange(len(rows)), columns)), (len(rows), classes))
    of_row = coo_array((np.ones(len(rows)), (np.arange(len(rows)), rows)), (len(rows), classes))
    prior = (actual > 0) / (actual > 0).sum()
    shapes = np.concatenate([right + prior, wrong[rows, columns], prior])

    def averages(drawn: Floats) -> Floats:
        own, errors, others = np.split(drawn, [classes, classes + len(rows)], axis=1)
        scale = actual / np.maximum(own + errors @ of_row + others, TINY)
        # Cells without an image are drawn as one, and shared by all other classes.
        elsewhere = others * scale / max(1, classes - 1)
        guessed = own * scale + (errors * scale[:, rows]) @ into
        guessed += elsewhere.sum(axis=1, keepdims=True) - elsewhere
        return _averages(own * scale, actual, guessed, takes_part)

    blocks = _blocks(DRAWS, max(1, CELLS // len(shapes)))
    draws = np.concatenate(
        [averages(generator.standard_gamma(shapes, (count, len(shapes)))) for count in blocks]
    )
    # Averages of ratios are biased with few images a class: once in what was observed, and once
    # more in the draws.
    bias = draws.mean(axis=0) - averages(shapes[None])[0]
    low, high = np.clip(
        np.quantile(draws, [ALPHA / 2, 1 - ALPHA / 2], axis=0) - 2 * bias, 0, 1
    ).tolist()
    names = [field.name for field in fields(ClassAverages)]
    observed = class_averages(confusion)
    return {
        name: (min(a, getattr(observed, name)), max(b, getattr(observed, name)))
        for name, a, b in zip(names, low, high, strict=True)
        if name in INTERVALS
    }


def _blocks(total: int, block: int) -> list[int]:
    return [min(block, total - start) for start in range(0, total, block)]


def _margins(confusion: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Return correctly classified images, all images and predictions of each class, C each."""
    counts = confusion.astype(np.float64)
    return np.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0)


def _class_scores(right: Floats, actual: Floats, predicted: Floats) -> Floats:
    """Return precision, recall and F1 of each class, …×C×3, of counts, …×C."""
    scores: Floats = np.stack(
        np.broadcast_arrays(
            right / np.maximum(predicted, TINY),
            right / np.maximum(actual, TINY),
            2 * right / np.maximum(actual + predicted, TINY),
        ),
        axis=-1,
    )
    return scores


def _averages(
    right: Floats, actual: Floats, predicted: Floats, takes_part: NDArray[np.bool_]
) -> Floats:
    """Return the fields of ClassAverages, D×5.

    Args:
        right: correctly classified images of each class, D×C.
        actual: images of each class, C.
        predicted: predictions of each class, D×C.
        takes_part: classes that have images or are predicted, C.
    """
    by_class = _class_scores(right, actual, predicted)
    weighted = np.einsum("c,dcs->ds", actual / actual.sum(), by_class)
    # A class that takes no part has recall and F1 of 0.
    recall = by_class[:, :, 1].sum(axis=1) / (actual > 0).sum()
    f1 = by_class[:, takes_part, 2].mean(axis=1)
    averages: Floats = np.column_stack([weighted, recall, f1])
    return averages
