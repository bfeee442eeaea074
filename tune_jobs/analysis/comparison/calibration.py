"""Calibration of a model: how far its probabilities are from the frequencies that they predict.

Shape letters: N images, C classes, B bins, D bootstrap resamples. An interval is a (low, high) 95%
confidence interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special
from statsmodels.stats.weightstats import DescrStatsW

from tune_jobs.analysis.comparison.statistics import ALPHA, resamples, wilson
from tune_jobs.analysis.formatting import Interval

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

LIMITS = 0.02, 50.0
"""Lowest and highest temperature."""
MOST_BINS, IMAGES_PER_BIN = 15, 20
"""Bins of confidence have as many images as this, or more."""
DRAWS = 1000
"""Bootstrap resamples."""
CELLS = 5_000_000
"""Weights of images in memory at a time, 40 MB."""


def fit_temperature(logits: NDArray[np.float32], labels: Ints) -> float:
    """Return the temperature T at which softmax(logits / T) has the lowest cross-entropy.

    This is temperature scaling (Guo et al. 2017, On Calibration of Modern Neural Networks). One
    more image, whose label may be any class, keeps T above zero where all images are correctly
    classified; Platt (1999) corrects his targets likewise.

    Args:
        logits: logits of images that the model was not trained on, N×C, float32.
        labels: their true labels, N, int64.
    """
    values, images = logits.astype(np.float64), len(labels)

    def loss(log_temperature: float) -> float:
        log_p = special.log_softmax(values / np.exp(log_temperature), axis=1)
        return -float(log_p[np.arange(images), labels].sum() + log_p.mean())

    found = optimize.minimize_scalar(loss, bounds=np.log(LIMITS), method="bounded")
    return float(np.exp(found.x))


@dataclass(frozen=True)
class ReliabilityBin:
    """Images whose predicted class has similar probabilities."""

    confidence: float
    """Mean probability of the predicted class, in 0..1."""
    accuracy: float
    """Fraction of the images that are correctly classified, in 0..1."""
    interval: Interval
    """Confidence interval of the accuracy (Wilson)."""


@dataclass(frozen=True)
class Reliability:
    """Quality of the probabilities of a model."""

    log_loss: float
    """Mean negative log-likelihood of the true class, in nats."""
    log_loss_interval: Interval
    """Confidence interval of it, a mean over images (Student's t)."""
    brier: float
    """Mean over images of the squared distance of the probabilities to the true class, in 0..2."""
    brier_interval: Interval
    """Confidence interval of it, likewise."""
    confidence: float
    """Mean probability of the predicted class, in 0..1."""
    error: float
    """Root mean square difference between confidence and accuracy over the bins, in 0..1."""
    error_interval: Interval
    """Confidence interval of it (bootstrap)."""
    bins: list[ReliabilityBin]
    """Bins of equally many images, the lowest confidence first."""


def reliability(logits: NDArray[np.float32], labels: Ints, temperature: float) -> Reliability:
    """Return the quality of the probabilities softmax(logits / temperature).

    Args:
        logits: logits, N×C, float32.
        labels: true labels, N, int64.
        temperature: temperature, above 0.
    """
    log_p = special.log_softmax(logits.astype(np.float64) / temperature, axis=1)
    own, p = log_p[np.arange(len(labels)), labels], np.exp(log_p)
    squares = (p**2).sum(axis=1) - 2 * np.exp(own) + 1
    confidence, correct = p.max(axis=1), (p.argmax(axis=1) == labels).astype(np.float64)
    members = bins_of(confidence)
    error, interval = calibration_error(confidence, correct, members)
    bins = [
        ReliabilityBin(
            float(confidence[rows].mean()),
            float(correct[rows].mean()),
            wilson(int(correct[rows].sum()), int(rows.sum())),
        )
        for rows in members
    ]
    return Reliability(
        log_loss=-float(own.mean()),
        log_loss_interval=mean_interval(-own),
        brier=float(squares.mean()),
        brier_interval=mean_interval(squares),
        confidence=float(confidence.mean()),
        error=error,
        error_interval=interval,
        bins=bins,
    )


def mean_interval(values: Floats) -> Interval:
    """Return the confidence interval of a mean over images (Student's t)."""
    low, high = DescrStatsW(values).tconfint_mean(ALPHA)
    return float(low), float(high)


def bins_of(confidence: Floats) -> NDArray[np.bool_]:
    """Return which images are in each bin, B×N, bool: equally many, sorted by confidence.

    Args:
        confidence: probability of the predicted class, N, float64.
    """
    images = len(confidence)
    count = max(1, min(MOST_BINS, images // IMAGES_PER_BIN))
    place = np.empty(images, dtype=np.int64)
    place[np.argsort(confidence, kind="stable")] = np.arange(images) * count // images
    members: NDArray[np.bool_] = place == np.arange(count)[:, None]
    return members


def calibration_error(
    confidence: Floats, correct: Floats, members: NDArray[np.bool_]
) -> tuple[float, Interval]:
    """Return the calibration error of the predicted class, and its confidence interval.

    The root of the mean over images of the squared difference between confidence and accuracy of
    their bin. A difference of zero is not estimated as zero, so its variance is subtracted from
    each square (Kumar, Liang & Ma 2019, Verified Uncertainty Calibration, section 4). The interval
    has the percentiles of a bootstrap of the square, moved by that correction, as resamples scatter
    around the value without it. Their spread grows with the error: an interval mirrored around the
    value (basic bootstrap) ended too low, and held the error of nearly perfect models in 0.82 to
    0.90 of simulations (benchmarks/results.md, `calibrated`).

    Args:
        confidence: probability of the predicted class, N, float64.
        correct: 1 for images that are correctly classified, otherwise 0, N, float64.
        members: which images are in each bin, B×N, bool.
    """
    images, difference = len(confidence), confidence - correct
    indicator = members.T.astype(np.float64)
    columns = np.hstack([indicator, indicator * difference[:, None],
                         indicator * difference[:, None] ** 2])  # fmt: skip
    square = _square(np.ones((1, images)) @ columns, images)[0]
    plain = float((members.mean(axis=1) * (members @ difference / members.sum(axis=1)) ** 2).sum())
    generator = np.random.default_rng(0)
    block = max(1, CELLS // images)
    drawn = np.concatenate(
        [
            _square(resamples(generator, count, images) @ columns, images)
            for count in np.diff([*range(0, DRAWS, block), DRAWS])
        ]
    )
    low, high = square - plain + np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2])
    root = np.sqrt(np.clip([square, low, high], 0, 1))
    return float(root[0]), (float(root[1]), float(root[2]))


def _square(sums: Floats, images: int) -> Floats:
    """Return the squared error, D, of D×3B sums over each bin: images, differences and squares."""
    count, total, squares = np.split(sums, 3, axis=1)
    mean = total / np.maximum(count, 1)
    variance = (squares / np.maximum(count, 1) - mean**2) / np.maximum(count - 1, 1)
    square: Floats = (count * (mean**2 - variance)).sum(axis=1) / images
    return square
