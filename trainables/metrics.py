"""What every epoch reports: names, directions and units, and how scores are computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor


@dataclass(frozen=True)
class Metric:
    """What a column of epochs.parquet means."""

    mode: Literal["min", "max"] | None
    """Which way is better; None where neither is."""
    unit: str
    """For axes and tables."""


EPOCH_METRICS: dict[str, Metric] = {
    "train_loss": Metric("min", "nats"),
    "train_accuracy": Metric("max", "share"),
    "val_loss": Metric("min", "nats"),
    "val_accuracy": Metric("max", "share"),
    "val_precision": Metric("max", "share"),
    "val_recall": Metric("max", "share"),
    "learning_rate": Metric(None, "1"),
    "seconds": Metric("min", "s"),
    "images_per_second": Metric("max", "1/s"),
    "peak_memory_mb": Metric("min", "MB"),
    "micro_batch": Metric(None, "images"),
}
TARGET = "val_accuracy"
"""What models are chosen by."""


def weighted_scores(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracy, and precision and recall as means over classes weighted by their images.

    Args:
        logits: N×C.
        labels: N, integers below C.

    Returns:
        accuracy, precision, recall, in 0..1. A class that is never predicted has precision 0,
        as in scikit-learn with zero_division=0. Weighted recall equals accuracy by definition.
    """
    classes = logits.shape[1]
    pairs = labels * classes + logits.argmax(1)
    confusion = pairs.bincount(minlength=classes**2).view(classes, classes).double()
    right, actual, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    weights = actual / actual.sum()
    return {
        "accuracy": float(right.sum() / confusion.sum()),
        "precision": float(weights @ (right / predicted.clamp(min=1))),
        "recall": float(weights @ (right / actual.clamp(min=1))),
    }
