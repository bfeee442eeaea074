"""Statistics of a test-set comparison: confidence intervals, paired tests and seed variance.

Shape letters: N test images, S seeds. An interval is a (low, high) 95% confidence interval unless
stated otherwise.
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

from tune_jobs.analysis.formatting import Interval

Floats: TypeAlias = NDArray[np.float64]

ALPHA = 0.05
"""Significance level."""
POWER = 0.8
"""Power at which `smallest_difference` is detected."""
EDGE = 1e-9
"""Tolerance that keeps the root bracket of `probability_better` off the estimate itself."""


def wilson(correct: int, images: int) -> Interval:
    """Return Wilson's score interval of a proportion (Wilson 1927; Newcombe 1998, method 3)."""
    low, high = proportion_confint(correct, images, ALPHA, method="wilson")
    return float(low), float(high)


@dataclass(frozen=True)
class PairedTest:
    """McNemar's test of two models on the same images."""

    difference: float
    """Accuracy of the first model minus that of the second, in -1..1."""
    interval: Interval
    """95% confidence interval of the difference, not corrected for multiple tests."""
    only_first: int
    """Images that only the first model classifies correctly."""
    only_second: int
    """Images that only the second model classifies correctly."""
    p: float
    """p-value of McNemar's exact test, two-sided."""
    adjusted_p: float
    """p-value after Holm's correction over all pairs tested together."""

    @property
    def significant(self) -> bool:
        """Whether the accuracies differ at the 5% level (family-wise error rate over all pairs)."""
        return self.adjusted_p < ALPHA


def paired_tests(pairs: Sequence[tuple[NDArray[np.bool_], NDArray[np.bool_]]]) -> list[PairedTest]:
    """Run McNemar's exact test (McNemar 1947) on each pair, with Holm's correction (Holm 1979).

    Args:
        pairs: for each pair, which images the first and the second model classify correctly, both
            N, bool.
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
    """Return the confidence interval of the difference of two paired proportions.

    The Wald interval with one image added to each discordant cell (Bonett & Price 2012,
    recommended by Fagerland, Lydersen & Laake 2014, section 7).
    """
    b, c = (only_first + 1) / (images + 2), (only_second + 1) / (images + 2)
    half = stats.norm.ppf(1 - ALPHA / 2) * np.sqrt((b + c - (b - c) ** 2) / (images + 2))
    return float(max(-1, b - c - half)), float(min(1, b - c + half))


def smallest_difference(discordant: float, images: int, tests: int = 1) -> float:
    """Return the minimum true difference in accuracy that McNemar's test detects with 80% power.

    Sample-size formula of Connor (1987), solved for the difference, at the significance level that
    Holm's correction requires of the smallest p-value.

    Args:
        discordant: fraction of the images that exactly one of the two models classifies correctly.
        images: number of test images.
        tests: number of pairs tested together.

    Returns:
        The difference, in 0..1; 1 if the images are too few to detect even the largest one.
    """
    z_alpha, z_power = stats.norm.ppf(1 - ALPHA / (2 * tests)), stats.norm.ppf(POWER)

    def excess(difference: float) -> float:
        # The true difference cannot exceed the fraction of discordant images.
        fraction = max(discordant, difference)
        spread = z_alpha * np.sqrt(fraction) + z_power * np.sqrt(fraction - difference**2)
        return float(difference * np.sqrt(images) - spread)

    if excess(1.0) < 0:
        return 1.0
    return float(optimize.brentq(excess, 1e-12, 1.0))


@dataclass(frozen=True)
class SeedSpread:
    """Accuracy of one configuration trained with several seeds, scored on the same images."""

    count: int
    """Number of seeds S, 2 or more."""
    mean: float
    """Mean accuracy over seeds, in 0..1."""
    deviation: float
    """Standard deviation of the accuracy over seeds."""
    seed_error: float
    """Standard error of the mean due to the choice of seeds."""
    test_error: float
    """Standard error of the mean due to the choice of test images."""

    @property
    def interval(self) -> Interval:
        """95% confidence interval of the mean, over other seeds and other test images.

        The variance over few seeds is itself uncertain, so the quantile is Student's t with the
        degrees of freedom of Satterthwaite (1946); those of the images are treated as infinite.

        The interval is conservative: the noise of one seed on one image is part of both errors,
        and so counts twice. With 2 to 5 seeds its coverage is 97 to 99% where seeds move the mean
        no more than images do, and about 95% where they move it twice as much.
        """
        error = np.hypot(self.seed_error, self.test_error)
        few = self.seed_error**4 / (self.count - 1)
        freedom = error**4 / few if few else np.inf
        half = stats.t.ppf(1 - ALPHA / 2, freedom) * error
        return float(max(0, self.mean - half)), float(min(1, self.mean + half))


def seed_spread(correct: NDArray[np.bool_]) -> SeedSpread:
    """Separate the two sources of variance of a mean accuracy: seeds and test images.

    The variance over images is that of the fraction of seeds that classify an image correctly; the
    variance over seeds is that of the accuracies (two-way random effects without replication, as
    in Bouthillier et al. 2021, "Accounting for Variance in Machine Learning Benchmarks").

    Args:
        correct: which images each seed's model classifies correctly, S×N, bool, S of 2 or more.
    """
    seeds, images = correct.shape
    accuracies = correct.mean(axis=1)
    deviation = float(accuracies.std(ddof=1))
    return SeedSpread(
        count=seeds,
        mean=float(accuracies.mean()),
        deviation=deviation,
        seed_error=deviation / np.sqrt(seeds),
        test_error=float(correct.mean(axis=0).std(ddof=1) / np.sqrt(images)),
    )


def probability_better(first: Floats, second: Floats) -> tuple[float, Interval]:
    """Estimate P(A > B), the probability that a run of A scores higher than a run of B.

    The estimate is the fraction of all pairs of seeds, ties counted half (Mann & Whitney's U
    divided by its maximum, as recommended by Bouthillier et al. 2021). The interval is that of
    Newcombe 2006, part 2, method 5, which stays wide where few seeds all agree.

    Args:
        first: accuracy of each seed of A, S, float64.
        second: accuracy of each seed of B, float64; the number of seeds may differ.

    Returns:
        The estimate and its 95% confidence interval, in 0..1.
    """
    beats = np.where(first[:, None] > second, 1.0, np.where(first[:, None] == second, 0.5, 0.0))
    estimate, pairs = float(beats.mean()), beats.size
    z, more = stats.norm.ppf(1 - ALPHA / 2), sum(beats.shape) / 2 - 1

    def excess(truth: float) -> float:
        """Return the squared error of the estimate minus z² times its variance under `truth`."""
        both = (1 - truth) / (2 - truth) + truth / (1 + truth)
        variance = truth * (1 - truth) * (1 + more * both) / pairs
        return float((estimate - truth) ** 2 - z**2 * variance)

    low = 0.0 if estimate == 0 else optimize.brentq(excess, 0, estimate - EDGE)
    high = 1.0 if estimate == 1 else optimize.brentq(excess, estimate + EDGE, 1)
    return estimate, (float(low), float(high))
