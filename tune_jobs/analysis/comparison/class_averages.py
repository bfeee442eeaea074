"""Scores of a confusion matrix: by class, averaged over classes, and their confidence intervals.

Shape letters: N test images, C classes, D bootstrap resamples.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tune_jobs.analysis.comparison.statistics import ALPHA
from tune_jobs.analysis.formatting import Interval

Floats: TypeAlias = NDArray[np.float64]

DRAWS = 10_000
"""Bootstrap resamples."""
CELLS = 10_000_000
"""Cells of resampled confusion matrices in memory at a time, 80 MB."""


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
    return ClassAverages(*_averages(confusion[None].astype(np.float64))[0].tolist())


def class_scores(confusion: NDArray[np.int64]) -> Floats:
    """Return precision, recall and F1 per class, C×3, of C×C counts; 0 if a denominator is 0."""
    scores: Floats = _class_scores(confusion[None].astype(np.float64))[0]
    return scores


def bootstrap_scores(confusion: NDArray[np.int64], seed: int = 0) -> dict[str, Interval]:
    """Return a confidence interval of each of ClassAverages, by name, by a stratified bootstrap.

    The number of images of each class is kept, so resampling the images of a class is drawing its
    row of the confusion matrix from a multinomial distribution. The intervals are percentile
    intervals (Efron & Tibshirani 1993, section 13.3).

    Args:
        confusion: C×C counts.
        seed: seed of the 10,000 resamples.
    """
    generator = np.random.default_rng(seed)
    images = confusion.sum(axis=1)
    rows = confusion / np.maximum(images, 1)[:, None]
    rows[images == 0, 0] = 1  # 0 images are drawn, so any distribution will do
    block = max(1, CELLS // confusion.size)
    draws = [
        _averages(generator.multinomial(images, rows, size=(count, len(images))).astype(np.float64))
        for count in _blocks(DRAWS, block)
    ]
    low, high = np.quantile(np.concatenate(draws), [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    names = [field.name for field in fields(ClassAverages)]
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(names)}


def _blocks(total: int, block: int) -> list[int]:
    return [min(block, total - start) for start in range(0, total, block)]


def _class_scores(confusion: Floats) -> Floats:
    """Return precision, recall and F1 of each class, D×C×3, of D×C×C confusion matrices."""
    correct = np.diagonal(confusion, axis1=1, axis2=2)
    actual, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    return np.stack(
        [
            correct / np.maximum(predicted, 1),
            correct / np.maximum(actual, 1),
            2 * correct / np.maximum(actual + predicted, 1),
        ],
        axis=2,
    )


def _averages(confusion: Floats) -> Floats:
    """Return the fields of ClassAverages, D×5, of D×C×C confusion matrices."""
    actual, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    weights = actual / actual.sum(axis=1, keepdims=True)
    by_class = _class_scores(confusion)
    weighted: Floats = np.einsum("dc,dcs->ds", weights, by_class)
    # A class that takes no part has recall and F1 of 0.
    recall = by_class[:, :, 1].sum(axis=1) / (actual > 0).sum(axis=1)
    f1 = by_class[:, :, 2].sum(axis=1) / (actual + predicted > 0).sum(axis=1)
    return np.column_stack([weighted, recall, f1])
