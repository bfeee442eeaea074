"""Metrics reported after every epoch: names, directions, units and classification scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor


@dataclass(frozen=True)
class Metric:
    """Meaning of a column of epochs.parquet."""

    mode: Literal["min", "max"] | None
    """Direction of improvement; None if there is none."""
    unit: str
    """Unit, for axis labels and tables."""


EPOCH_METRICS: dict[str, Metric] = {
    "train_loss": Metric("min", "nats"),
    "train_accuracy": Metric("max", "fraction"),
    "val_loss": Metric("min", "nats"),
    "val_accuracy": Metric("max", "fraction"),
    "val_precision": Metric("max", "fraction"),
    "val_recall": Metric("max", "fraction"),
    "learning_rate": Metric(None, "1"),
    "seconds": Metric("min", "s"),
    "images_per_second": Metric("max", "1/s"),
    "peak_memory_mb": Metric("min", "MB"),
    "micro_batch": Metric(None, "images"),
}
"""Metrics of an epoch, by column name. Accuracy, precision and recall are in 0..1; precision and
recall are means over classes, weighted by the number of images of each class."""
TARGET = "val_accuracy"
"""Metric by which epochs and trials are selected."""


def weighted_scores(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Compute accuracy, and precision and recall weighted by the support of each class.

    Shape letters: N images, C classes.

    Args:
        logits: Logits, N×C, floating point.
        labels: Labels, N, int64, in 0..C-1.

    Returns:
        `accuracy`, `precision` and `recall`, each in 0..1. A class that is never predicted has
        precision 0, as in scikit-learn with zero_division=0. Weighted recall equals accuracy by
        definition.
    """
    classes = logits.shape[1]
    pairs = labels * classes + logits.argmax(1)
    confusion = pairs.bincount(minlength=classes**2).view(classes, classes).double()
    correct, actual, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    weights = actual / actual.sum()
    return {
        "accuracy": float(correct.sum() / confusion.sum()),
        "precision": float(weights @ (correct / predicted.clamp(min=1))),
        "recall": float(weights @ (correct / actual.clamp(min=1))),
    }
