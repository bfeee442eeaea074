"""How sure a comparison on a test set is: intervals, paired tests, and what seeds add.

Letters: N test images, C classes, S seeds, D draws of a bootstrap. An interval is (low, high), of
95% where nothing else is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats
from statsmodels.stats import contingency_tables
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

Interval: TypeAlias = tuple[float, float]
Floats: TypeAlias = NDArray[np.float64]

ALPHA = 0.05
POWER = 0.8
DRAWS = 10_000
EDGE = 1e-9
"""So near to a share, chance explains every distance from it."""
CELLS = 10_000_000
"""Of drawn confusion matrices held at a time, 80 MB."""


def wilson(right: int, images: int) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927; Newcombe 1998, method 3)."""
    low, high = proportion_confint(right, images, ALPHA, method="wilson")
    return float(low), float(high)


def confusion_matrix(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """C×C counts of images; a row is what they are, a column what they were taken for."""
    pairs = labels * classes + predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True)
class WeightedScores:
    """Means over classes weighted by their images, as scikit-learn's with zero_division=0."""

    precision: float
    recall: float
    f1: float


def weighted_scores(confusion: NDArray[np.int64]) -> WeightedScores:
    """Scores of a C×C confusion matrix."""
    precision, recall, f1 = _scores(confusion[None].astype(np.float64))[0].tolist()
    return WeightedScores(precision, recall, f1)


def class_scores(confusion: NDArray[np.int64]) -> Floats:
    """C×3: precision, recall and F1 of each class; 0 where there is nothing to divide by."""
    scores: Floats = _class_scores(confusion[None].astype(np.float64))[0]
    return scores


def bootstrap_scores(confusion: NDArray[np.int64], seed: int = 0) -> dict[str, Interval]:
    """Intervals of precision, recall and f1 by a bootstrap that keeps the images of each class.

    Drawing images of a class with replacement is drawing its row of the confusion matrix from a
    multinomial; the interval is of percentiles (Efron & Tibshirani 1993, section 13.3).

    Args:
        confusion: C×C counts.
        seed: of the 10,000 draws.
    """
    generator = np.random.default_rng(seed)
    images = confusion.sum(axis=1)
    rows = confusion / np.maximum(images, 1)[:, None]
    rows[images == 0, 0] = 1  # of no image, wherever it goes
    block = max(1, CELLS // confusion.size)
    draws = [
        _scores(generator.multinomial(images, rows, size=(count, len(images))).astype(np.float64))
        for count in _blocks(DRAWS, block)
    ]
    low, high = np.quantile(np.concatenate(draws), [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    names = ("precision", "recall", "f1")
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(names)}


def _blocks(total: int, block: int) -> list[int]:
    return [min(block, total - start) for start in range(0, total, block)]


def _class_scores(confusion: Floats) -> Floats:
    """D×C×C -> D×C×3."""
    right = np.diagonal(confusion, axis1=1, axis2=2)
    actual, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    return np.stack(
        [
            right / np.maximum(predicted, 1),
            right / np.maximum(actual, 1),
            2 * right / np.maximum(actual + predicted, 1),
        ],
        axis=2,
    )


def _scores(confusion: Floats) -> Floats:
    """D×C×C -> D×3, weighted by the images of each class."""
    actual = confusion.sum(axis=2)
    shares = actual / actual.sum(axis=1, keepdims=True)
    scores: Floats = np.einsum("dc,dcs->ds", shares, _class_scores(confusion))
    return scores


@dataclass(frozen=True)
class PairedTest:
    """Two models on the same images."""

    difference: float
    """Accuracy of the first less that of the second."""
    interval: Interval
    """Of the difference."""
    only_first: int
    """Images that the first alone has right."""
    only_second: int
    p: float
    """Exact McNemar, two-sided."""
    adjusted_p: float
    """After Holm's correction for all pairs that were tested together."""

    @property
    def separable(self) -> bool:
        """Whether the models differ, with an error rate of 5% over all pairs."""
        return self.adjusted_p < ALPHA


def paired_tests(pairs: Sequence[tuple[NDArray[np.bool_], NDArray[np.bool_]]]) -> list[PairedTest]:
    """Exact McNemar's test of each pair (McNemar 1947), corrected together (Holm 1979).

    Args:
        pairs: of each pair, which of the N images the first and the second model have right.
    """
    if not pairs:
        return []
    only = [(int((a & ~b).sum()), int((b & ~a).sum())) for a, b in pairs]
    ps = [float(contingency_tables.mcnemar([[0, b], [c, 0]], exact=True).pvalue) for b, c in only]
    adjusted = multipletests(ps, ALPHA, method="holm")[1]
    return [
        PairedTest(
            difference=(b - c) / len(pair[0]),
            interval=paired_difference_interval(b, c, len(pair[0])),
            only_first=b,
            only_second=c,
            p=p,
            adjusted_p=float(adjusted_p),
        )
        for pair, (b, c), p, adjusted_p in zip(pairs, only, ps, adjusted, strict=True)
    ]


def paired_difference_interval(only_first: int, only_second: int, images: int) -> Interval:
    """Interval of the difference of two paired proportions.

    Wald's with one image added to each kind of disagreement (Bonett & Price 2012, recommended by
    Fagerland, Lydersen & Laake 2014, section 7).
    """
    b, c = (only_first + 1) / (images + 2), (only_second + 1) / (images + 2)
    half = stats.norm.ppf(1 - ALPHA / 2) * np.sqrt((b + c - (b - c) ** 2) / (images + 2))
    return float(max(-1, b - c - half)), float(min(1, b - c + half))


def smallest_difference(discordant: float, images: int, tests: int = 1) -> float:
    """The true difference in accuracy that McNemar's test finds four times in five.

    Connor (1987), solved for the difference, at the level that Holm's correction demands of the
    smallest p.

    Args:
        discordant: share of the images that one of the two models alone has right.
        images: of the test set.
        tests: pairs that are tested together.

    Returns:
        A difference in 0..1; 1 where even models that disagree on nothing else could not be told
        apart on so few images.
    """
    z_alpha, z_power = stats.norm.ppf(1 - ALPHA / (2 * tests)), stats.norm.ppf(POWER)

    def excess(difference: float) -> float:
        # A true difference cannot be larger than the share that they disagree on.
        share = max(discordant, difference)
        spread = z_alpha * np.sqrt(share) + z_power * np.sqrt(share - difference**2)
        return float(difference * np.sqrt(images) - spread)

    if excess(1.0) < 0:
        return 1.0
    return float(optimize.brentq(excess, 1e-12, 1.0))


@dataclass(frozen=True)
class SeedSpread:
    """Accuracy of one model trained with several seeds, scored on the same images."""

    count: int
    """Seeds."""
    mean: float
    deviation: float
    """Standard deviation over seeds, of one training."""
    seed_error: float
    """Standard error of the mean that is due to the seeds being these."""
    test_error: float
    """Standard error of the mean that is due to the test images being these."""

    @property
    def interval(self) -> Interval:
        """Of the mean, over other seeds and other images.

        Few seeds tell little of their own spread, so the quantile is Student's, with the degrees
        of freedom of Satterthwaite (1946); those of the images are as good as endless.

        It is conservative: what chance makes of one seed on one image is in both errors, and so
        counts twice. Of 2 to 5 seeds it covers the truth 97 to 99 times in 100 where seeds move the
        mean no more than images do, and about 95 times where they move it twice as much.
        """
        error = np.hypot(self.seed_error, self.test_error)
        few = self.seed_error**4 / (self.count - 1)
        freedom = error**4 / few if few else np.inf
        half = stats.t.ppf(1 - ALPHA / 2, freedom) * error
        return float(max(0, self.mean - half)), float(min(1, self.mean + half))


def seed_spread(right: NDArray[np.bool_]) -> SeedSpread:
    """The two sources of variance of a mean accuracy, apart.

    The images' one is that of the share of seeds that have an image right; the seeds' one is that
    of the accuracies (two-way random effects without replication, as in Bouthillier et al. 2021,
    "Accounting for Variance in Machine Learning Benchmarks").

    Args:
        right: S×N, S of 2 or more; which images each seed's model has right.
    """
    seeds, images = right.shape
    accuracies = right.mean(axis=1)
    deviation = float(accuracies.std(ddof=1))
    return SeedSpread(
        count=seeds,
        mean=float(accuracies.mean()),
        deviation=deviation,
        seed_error=deviation / np.sqrt(seeds),
        test_error=float(right.mean(axis=0).std(ddof=1) / np.sqrt(images)),
    )


def probability_better(first: Floats, second: Floats) -> tuple[float, Interval]:
    """P(A beats B): the chance that a training of A scores higher than one of B.

    The share of all pairs of seeds, ties half (Mann & Whitney's U over its highest value, as
    recommended by Bouthillier et al. 2021), with the interval of Newcombe 2006, part 2, method 5,
    which stays wide where few seeds all agree.

    Args:
        first: accuracy of each seed of A.
        second: of B, of any number of seeds.
    """
    beats = np.where(first[:, None] > second, 1.0, np.where(first[:, None] == second, 0.5, 0.0))
    share, pairs = float(beats.mean()), beats.size
    z, more = stats.norm.ppf(1 - ALPHA / 2), sum(beats.shape) / 2 - 1

    def excess(truth: float) -> float:
        """Squared distance of the share from a truth, less what chance makes of it."""
        both = (1 - truth) / (2 - truth) + truth / (1 + truth)
        variance = truth * (1 - truth) * (1 + more * both) / pairs
        return float((share - truth) ** 2 - z**2 * variance)

    low = 0.0 if share == 0 else optimize.brentq(excess, 0, share - EDGE)
    high = 1.0 if share == 1 else optimize.brentq(excess, share + EDGE, 1)
    return share, (float(low), float(high))
