"""Statistics of trained models on the same test images: intervals, McNemar's test and its power.

Shape letters: N test images, S seeds. An interval is a (low, high) 95% confidence interval unless
stated otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint

from tune_jobs.analysis.formatting import Interval

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]

ALPHA = 0.05
"""Significance level."""
POWER = 0.8
"""Power that plans and smallest detectable differences are stated for."""
CHANCE_SEEDS = 5
"""Seeds of both models from which on `probability_better` is stated: with three, its interval
excludes one half in 10% of the cases without a difference."""
EDGE = 1e-9
"""Tolerance that keeps the root bracket of `probability_better` off the estimate itself."""
TAIL = 1e-9
"""Probability of the numbers of discordant images that the power leaves out, on both sides."""


def wilson(correct: int, images: int, models: int = 1) -> Interval:
    """Return Wilson's score interval of a proportion (Wilson 1927; Newcombe 1998, method 3).

    Args:
        correct: correctly classified images.
        images: all images.
        models: number of models whose intervals hold together (Bonferroni's correction).
    """
    low, high = proportion_confint(correct, images, ALPHA / models, method="wilson")
    return float(low), float(high)


def resamples(generator: np.random.Generator, count: int, images: int) -> NDArray[np.int64]:
    """Return how often each image is in each bootstrap resample, D×N.

    Drawing images and counting them takes a quarter of the time of drawing the counts, which
    `generator.multinomial` does one binomial number at a time.

    Args:
        generator: source of random numbers.
        count: number of resamples D.
        images: number of images N.
    """
    cells = generator.integers(images, size=(count, images))
    cells += images * np.arange(count)[:, None]
    return np.bincount(cells.ravel(), minlength=count * images).reshape(count, images)


@dataclass(frozen=True)
class PairedTest:
    """McNemar's test of two trained models on the same images."""

    difference: float
    """Accuracy of the first model minus that of the second, in -1..1."""
    interval: Interval
    """95% confidence interval of the difference, not corrected for multiple tests."""
    only_first: int
    """Images that only the first model classifies correctly."""
    only_second: int
    """Images that only the second model classifies correctly."""
    images: int
    """Number of images N."""
    p: float
    """Mid-p value of McNemar's test, two-sided."""
    adjusted_p: float
    """p-value after Holm's correction over all pairs tested together."""

    @property
    def significant(self) -> bool:
        """Whether the accuracies differ at the 5% level (family-wise error rate over all pairs)."""
        return self.adjusted_p < ALPHA

    @property
    def discordant(self) -> float:
        """Fraction of the images that exactly one of the two classifies correctly, in 0..1."""
        return (self.only_first + self.only_second) / self.images


def paired_tests(pairs: Sequence[tuple[Bools, Bools]]) -> list[PairedTest]:
    """Run McNemar's mid-p test on each pair, with Holm's correction.

    Args:
        pairs: for each pair, which images the first and the second model classify correctly, both
            N, bool.
    """
    only = [(int((a & ~b).sum()), int((b & ~a).sum())) for a, b in pairs]
    ps = [mid_p(b, c) for b, c in only]
    return [
        PairedTest(
            difference=(b - c) / len(pair[0]),
            interval=paired_difference_interval(b, c, len(pair[0])),
            only_first=b,
            only_second=c,
            images=len(pair[0]),
            p=p,
            adjusted_p=adjusted_p,
        )
        for pair, (b, c), p, adjusted_p in zip(pairs, only, ps, holm(ps), strict=True)
    ]


def mid_p(only_first: int, only_second: int) -> float:
    """Return the mid-p value of McNemar's test (Fagerland, Lydersen & Laake 2013, section 3).

    The exact test is conservative where few images are discordant; this one counts the observed
    outcome by half.
    """
    fewer, discordant = min(only_first, only_second), only_first + only_second
    p = 2 * stats.binom.cdf(fewer, discordant, 0.5) - stats.binom.pmf(fewer, discordant, 0.5)
    return float(min(p, 1))


def holm(ps: Sequence[float]) -> list[float]:
    """Return p-values adjusted over all of them together (Holm 1979).

    As statsmodels.stats.multitest.multipletests, which collects garbage for 70 ms at every call.
    """
    order = np.argsort(ps, kind="stable")
    raised = np.maximum.accumulate(np.array(ps)[order] * np.arange(len(ps), 0, -1))
    adjusted = np.empty(len(ps))
    adjusted[order] = np.minimum(raised, 1)
    return [float(p) for p in adjusted]


def paired_difference_interval(only_first: int, only_second: int, images: int) -> Interval:
    """Return the confidence interval of the difference of two paired proportions.

    The Wald interval with one image added to each discordant cell (Bonett & Price 2012,
    recommended by Fagerland, Lydersen & Laake 2014, section 7).
    """
    centre, error = paired_difference(only_first, only_second, images)
    half = stats.norm.ppf(1 - ALPHA / 2) * error
    return float(max(-1, centre - half)), float(min(1, centre + half))


def paired_difference(only_first: int, only_second: int, images: int) -> tuple[float, float]:
    """Return the centre and the standard error of Bonett & Price's interval of a difference."""
    b, c = (only_first + 1) / (images + 2), (only_second + 1) / (images + 2)
    return b - c, float(np.sqrt((b + c - (b - c) ** 2) / (images + 2)))


def power_of_test(difference: float, discordant: float, images: int, tests: int = 1) -> float:
    """Return the exact power of McNemar's mid-p test, over all numbers of discordant images.

    Args:
        difference: true difference of the accuracies, in 0..1.
        discordant: true fraction of discordant images, `difference` or more.
        images: number of test images.
        tests: number of pairs tested together; the level is that of Holm's smallest p-value.
    """
    low, high = stats.binom.ppf([TAIL / 2, 1 - TAIL / 2], images, discordant)
    counts = np.arange(low, high + 1)
    alpha = ALPHA / tests
    # The largest number of images of the rarer kind whose mid-p value is below alpha.
    edge = stats.binom.ppf(alpha / 2, counts, 0.5)
    at_edge = stats.binom.cdf(edge, counts, 0.5) + stats.binom.cdf(edge - 1, counts, 0.5)
    edge -= at_edge >= alpha
    share = (1 + difference / discordant) / 2
    rejected = stats.binom.cdf(edge, counts, share) + stats.binom.sf(
        counts - edge - 1, counts, share
    )
    return float((stats.binom.pmf(counts, images, discordant) * rejected).sum())


@cache
def smallest_difference(discordant: float, images: int, tests: int = 1) -> float:
    """Return the smallest true difference in accuracy that McNemar's test detects with 80% power.

    Args:
        discordant: fraction of the images that exactly one of the two models classifies correctly.
        images: number of test images.
        tests: number of pairs tested together.

    Returns:
        The difference, in 0..1; 1 if the images are too few to detect even the largest one.
    """

    def excess(difference: float) -> float:
        # The true difference cannot exceed the fraction of discordant images.
        return power_of_test(difference, max(discordant, difference), images, tests) - POWER

    if excess(1.0) < 0:
        return 1.0
    return float(optimize.brentq(excess, 1e-9, 1.0, xtol=1e-5))


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
