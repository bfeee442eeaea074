"""Selective classification: a model answers only where its probability is high enough.

Coverage is the fraction of images that are answered, risk the fraction of these that are
misclassified (El-Yaniv & Wiener 2010). Confidence is the calibrated probability of the predicted
class (Geifman & El-Yaniv 2017, Selective Classification for Deep Neural Networks).

Shape letters: K models, N images, T thresholds, D bootstrap resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from trainables.model_file import Rejection
from tune_jobs.analysis.comparison.statistics import ALPHA, resamples, wilson
from tune_jobs.analysis.formatting import Interval

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]

RISKS = 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2
"""Risks that a threshold is chosen for."""
GRID = np.append(special.expit(np.arange(14, -7, -0.05)), 0.0)
"""Thresholds that may be chosen, T, highest first; they must not depend on the images."""
MISTAKES_ALLOWED = 3
"""Mistakes that the first test has room for if there are enough images, so that one confident
mistake, perhaps a wrong label, does not end the sequence."""
TINY = 1e-12
"""Keeps the distribution of mistakes defined where all confidences are 1."""
DRAWS = 1000
"""Bootstrap resamples."""
CELLS = 2_000_000
"""Weights of images in memory at a time, 16 MB."""


def confidence(logits: NDArray[np.float32], temperature: float) -> Floats:
    """Return the probability of the predicted class, N, float64, in 0..1.

    Args:
        logits: logits, N×C, float32.
        temperature: temperature that logits are divided by.
    """
    best: Floats = special.softmax(logits.astype(np.float64) / temperature, axis=1).max(axis=1)
    return best


def risk_thresholds(confidence: Floats, correct: Bools) -> list[Rejection]:
    """Return the threshold of each risk in RISKS that the images can guarantee.

    With a probability of 95% over the choice of these images, the risk on images like them is at
    most the limit; this holds for each limit on its own. It is Learn then Test (Angelopoulos et al.
    2021) with fixed-sequence testing: thresholds of GRID are tested from the highest down, each at
    the full level of ALPHA, until the first whose risk is not shown to be below the limit. The
    p-value is exact: the probability of so few mistakes among so many answers if the risk were the
    limit (binomial). The first test is at the threshold that answers enough images for
    MISTAKES_ALLOWED, or half of them if these are fewer.

    Args:
        confidence: probability of the predicted class, N, float64; of images that neither the model
            nor the number of images depends on.
        correct: which images are correctly classified, N, bool.
    """
    images = len(confidence)
    order = np.argsort(-confidence, kind="stable")
    answered = np.searchsorted(-confidence[order], -GRID, side="right")
    mistakes = np.append(0, (~correct[order]).cumsum())[answered]
    chosen = []
    for risk in RISKS:
        least, roomy = (images_for(risk, count) for count in (0, MISTAKES_ALLOWED))
        first = max(least, min(roomy, images // 2))
        tested = np.flatnonzero(answered >= first)
        p = special.bdtr(mistakes[tested], answered[tested], risk)
        shown = int(np.argmax(np.append(p, 1.0) > ALPHA))
        if shown:
            i = tested[shown - 1]
            chosen.append(Rejection(risk, float(GRID[i]), float(answered[i] / images)))
    return chosen


@cache
def images_for(risk: float, mistakes: int) -> int:
    """Return how many answers show a risk to be at or below a limit despite so many mistakes.

    Args:
        risk: the limit, in 0..1.
        mistakes: number of wrong answers.
    """
    # The probability of at most m mistakes in n answers is that of a chi-squared variable of
    # 2(m + 1) degrees of freedom above 2n·risk in the limit of rare mistakes, and lower otherwise.
    high = int(np.ceil(stats.chi2.isf(ALPHA, 2 * (mistakes + 1)) / (2 * risk)))
    counts = np.arange(mistakes, high + 1)
    return int(counts[np.argmax(special.bdtr(mistakes, counts, risk) <= ALPHA)])


@dataclass(frozen=True)
class Realised:
    """Coverage and risk on the test images at a threshold."""

    answered: int
    """Number of test images that are answered."""
    coverage: float
    """Fraction of the test images that are answered, in 0..1."""
    coverage_interval: Interval
    """95% confidence interval of the coverage (Wilson)."""
    risk: float
    """Fraction of the answered images that are misclassified, in 0..1; NaN if none is answered."""
    risk_interval: Interval
    """95% confidence interval of the risk (Wilson)."""


def realised(confidence: Floats, correct: Bools, threshold: float) -> Realised:
    """Return coverage and risk at a threshold.

    Args:
        confidence: probability of the predicted class of the test images, N, float64.
        correct: which of them are correctly classified, N, bool.
        threshold: lowest confidence that is answered.
    """
    answers = confidence >= threshold
    count, images = int(answers.sum()), len(answers)
    wrong = int((answers & ~correct).sum())
    return Realised(
        answered=count,
        coverage=count / images,
        coverage_interval=wilson(count, images),
        risk=wrong / count if count else float("nan"),
        risk_interval=wilson(wrong, count) if count else (0.0, 1.0),
    )


def risk_curve(confidence: Floats, correct: Bools) -> tuple[Floats, Floats]:
    """Return coverage and risk at the confidence of each image as threshold, highest first, both N.

    Args:
        confidence: probability of the predicted class, N, float64.
        correct: which images are correctly classified, N, bool.
    """
    order, last = _order(confidence)
    counts = last + 1.0
    return counts / len(order), (~correct[order]).cumsum()[last] / counts


def _order(confidence: Floats) -> tuple[Ints, Ints]:
    """Return the images by confidence, highest first, and the last position of each one's equals.

    Args:
        confidence: probability of the predicted class, N, float64.
    """
    order = np.argsort(-confidence, kind="stable")
    ranked = -confidence[order]
    return order, np.searchsorted(ranked, ranked, side="right") - 1


@dataclass(frozen=True)
class Area:
    """Area under the risk-coverage curve of a model: its mean risk over all thresholds."""

    value: float
    """Area, in 0..1; lower is better."""
    interval: Interval
    """95% confidence interval of the area (bootstrap of the images)."""
    difference: float
    """Area minus that of the first model."""
    difference_interval: Interval
    """95% confidence interval of the difference, paired by image (bootstrap)."""


def areas(models: Sequence[tuple[Floats, Bools]]) -> list[Area]:
    """Return the area under the risk-coverage curve of each model, with paired differences.

    It is the mean of the risk over the confidences of all images as thresholds (Geifman, Uziel &
    El-Yaniv 2019). Intervals are percentiles of a bootstrap that resamples images alike for all
    models and adds one mistake to each on average, where its confidences say that one is likely:
    with few mistakes, resampling would only ever repeat these, and without any find no variance.

    Args:
        models: for each model, the probability of the predicted class and whether it is correct,
            both N, on the same images in the same order.
    """
    images = len(models[0][0])
    generator = np.random.default_rng(0)
    ranked = []
    for confidence, correct in models:
        order, last = _order(confidence)
        doubt = (1 - confidence[order]).cumsum() + TINY
        ranked.append((order, last, ~correct[order], doubt / doubt[-1]))
    values = np.array([risk_curve(*model)[1].mean() for model in models])
    block = max(1, CELLS // images)
    drawn = np.concatenate(
        [
            _drawn_areas(
                resamples(generator, count, images),
                generator.poisson(1, size=(count, len(models))),
                generator.random((count, len(models))),
                ranked,
            )
            for count in np.diff([*range(0, DRAWS, block), DRAWS])
        ]
    )
    return [
        Area(
            float(values[k]),
            _percentiles(drawn[:, k]),
            float(values[k] - values[0]),
            _percentiles(drawn[:, k] - drawn[:, 0]),
        )
        for k in range(len(models))
    ]


def _drawn_areas(
    counts: Ints, added: Ints, where: Floats, ranked: Sequence[tuple[Ints, Ints, Bools, Floats]]
) -> Floats:
    """Return the area of each model in each resample, D×K.

    Args:
        counts: how often each image is drawn, D×N.
        added: number of mistakes that are added for each model, D×K.
        where: quantile of the added mistakes in the distribution of mistakes, D×K, in 0..1.
        ranked: for each model, the images by confidence, the last position of each one's equals,
            whether they are wrong, and the distribution of mistakes over them, all N.
    """
    draws, images = counts.shape
    found = []
    for k, (order, last, wrong, doubt) in enumerate(ranked):
        weights = counts[:, order].astype(np.float64)
        mistakes = weights * wrong
        at = np.arange(draws), np.searchsorted(doubt[:-1], where[:, k])
        weights[at] += added[:, k]
        mistakes[at] += added[:, k]
        answered = np.maximum(weights.cumsum(axis=1)[:, last], 1)
        risks = weights * mistakes.cumsum(axis=1)[:, last] / answered
        found.append(risks.sum(axis=1) / (images + added[:, k]))
    areas: Floats = np.stack(found, axis=1)
    return areas


def _percentiles(drawn: Floats) -> Interval:
    low, high = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)
