"""Metrics reported after every epoch: names, directions, units and classification scores.

Shape letters: N images, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.target import Mode


@dataclass(frozen=True)
class Metric:
    """Meaning of a column of epochs.parquet."""

    mode: Mode | None
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
    "val_balanced_accuracy": Metric("max", "fraction"),
    "val_macro_f1": Metric("max", "fraction"),
    "val_log_loss": Metric("min", "nats"),
    "val_auroc": Metric("max", "fraction"),
    "learning_rate": Metric(None, "1"),
    "penalty": Metric(None, "1"),
    "seconds": Metric("min", "s"),
    "features_s": Metric("min", "s"),
    "images_per_second": Metric("max", "1/s"),
    "peak_memory_mb": Metric("min", "MB"),
    "micro_batch": Metric(None, "images"),
}
"""Metrics of an epoch, by column name; `classification_scores` defines the validation scores."""
NO_AUROC = 0.5
"""AUROC where all images are of one class: that of a random order."""


def classification_scores(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Compute the scores of a model on labelled images, as scikit-learn defines them.

    Args:
        logits: Logits, N×C, floating point.
        labels: Labels, N, int64, in 0..C-1.

    Returns:
        `accuracy`: fraction of correctly classified images.
        `precision`, `recall`: means over classes weighted by the support of each. A class that is
        never predicted has precision 0 (zero_division=0). Weighted recall equals accuracy by
        definition.
        `balanced_accuracy`: mean recall of the classes that have images.
        `macro_f1`: mean F1 of the classes that have images or are predicted; one of these that
        has no images has F1 0.
        `log_loss`: mean cross-entropy of the softmax probabilities, in nats.
        `auroc`: area under the ROC curve of each class against the rest, by its softmax
        probability; mean over the classes that have images.
        All but `log_loss` are in 0..1.
    """
    classes = logits.shape[1]
    pairs = labels * classes + logits.argmax(1)
    confusion = pairs.bincount(minlength=classes**2).view(classes, classes).double()
    correct, actual, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    weights = actual / actual.sum()
    recall = correct / actual.clamp(min=1)
    f1 = 2 * correct / (actual + predicted).clamp(min=1)
    values = {
        "accuracy": correct.sum() / confusion.sum(),
        "precision": weights @ (correct / predicted.clamp(min=1)),
        "recall": weights @ recall,
        # Classes without images have recall 0, and those not predicted either F1 0.
        "balanced_accuracy": recall.sum() / (actual > 0).sum(),
        "macro_f1": f1.sum() / (actual + predicted > 0).sum(),
        "log_loss": F.cross_entropy(logits.float(), labels).double(),
        "auroc": auroc(logits, labels),
    }
    # One transfer from a GPU instead of seven.
    return dict(zip(values, torch.stack(list(values.values())).tolist(), strict=True))


def auroc(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the mean area under the ROC curve of each class against the rest.

    The area is the rank statistic of Mann and Whitney: the probability that an image of the class
    has a higher softmax probability of it than an image of another class, ties counted half.

    Args:
        logits: Logits, N×C, floating point.
        labels: Labels, N, int64, in 0..C-1.

    Returns:
        Mean over the classes that have images, a scalar, float64; NO_AUROC if only one has.
    """
    total = logits.double().logsumexp(1)
    counts = labels.bincount(minlength=logits.shape[1]).tolist()
    areas = []
    for label, images in enumerate(labels.argsort().split(counts)):
        positives, negatives = len(images), len(labels) - len(images)
        if positives and negatives:
            # Log-probabilities have the order of probabilities, and keep it close to 1. Rounding
            # makes equal ones equal whatever the order that they were summed in.
            scores = (logits[:, label].double() - total).float()
            own = scores[images].sort().values
            below = torch.searchsorted(own, scores)
            up_to = torch.searchsorted(own, scores, right=True)
            # Pairs that are in the wrong order, ties counted half; also those of two positives.
            wrong = (below + up_to).sum().double() / 2 - positives**2 / 2
            areas.append(1 - wrong / (positives * negatives))
    return torch.stack(areas).mean() if areas else total.new_tensor(NO_AUROC)
