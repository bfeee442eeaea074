"""What every epoch reports: names, directions and units, and how scores are computed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
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


def reset_peak_memory(device: torch.device) -> None:
    """Count the highest memory from here, as one process trains many trials."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):  # only Linux can, and not everywhere
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb(device: torch.device) -> float:
    """Highest since the reset: of the process on a CPU (shared images included), or of the GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
