"""Statistics of model families, each trained with several seeds: over seeds and test images.

Shape letters: N test images, S seeds. Predictions are a two-way layout, seeds × images, with both
factors random and one observation a cell (Bouthillier et al. 2021, "Accounting for Variance in
Machine Learning Benchmarks").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from tune_jobs.analysis.comparison.statistics import ALPHA, Bools
from tune_jobs.analysis.formatting import Interval

PSEUDO_RIGHT, PSEUDO_WRONG = 2, 2
"""Images that all seeds classify correctly, and wrongly, added for the interval of a mean (as in
Agresti & Coull 1998): without a mistake, the variance would be 0."""


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
    low: float
    """Lower end of the 95% confidence interval of the mean, over other seeds and test images."""
    high: float
    """Upper end of the same interval."""

    @property
    def interval(self) -> Interval:
        """95% confidence interval of the mean, over other seeds and other test images."""
        return self.low, self.high


def seed_spread(correct: Bools) -> SeedSpread:
    """Separate the two sources of variance of a mean accuracy: seeds and test images.

    The variance over images is that of the fraction of seeds that classify an image correctly; the
    variance over seeds is that of the accuracies. The interval is Student's, with the degrees of
    freedom of Satterthwaite (1946), two right and two wrong images being added. It is conservative:
    the noise of one seed on one image is part of both errors, and so counts twice
    (benchmarks/statistics.py has its coverage).

    Args:
        correct: which images each seed's model classifies correctly, S×N, bool, S of 2 or more.
    """
    seeds, images = correct.shape
    accuracies = correct.mean(axis=1)
    deviation = float(accuracies.std(ddof=1))
    padded = _padded(correct, PSEUDO_RIGHT, PSEUDO_WRONG)
    of_seeds, of_images, _ = _variances(padded)
    error = np.sqrt(of_seeds + of_images)
    freedom = (of_seeds + of_images) ** 2 / (
        of_seeds**2 / (seeds - 1) + of_images**2 / (padded.shape[1] - 1)
    )
    half = stats.t.ppf(1 - ALPHA / 2, freedom) * error
    centre = padded.mean()
    return SeedSpread(
        count=seeds,
        mean=float(accuracies.mean()),
        deviation=deviation,
        seed_error=deviation / np.sqrt(seeds),
        test_error=float(correct.mean(axis=0).std(ddof=1) / np.sqrt(images)),
        low=float(max(0, centre - half)),
        high=float(min(1, centre + half)),
    )


@dataclass(frozen=True)
class Components:
    """Sources of the variance of a difference between two model families.

    With S seeds of each family and N images, the variance is (seeds + noise/N)/S + images/N.
    """

    seeds: float
    """Variance of the accuracy over seeds, summed over both families."""
    images: float
    """Variance over images of the difference between the families."""
    noise: float
    """Variance of one seed on one image, summed over both families."""


@dataclass(frozen=True)
class FamilyDifference:
    """Difference of the accuracy of two model families, over other seeds and other test images."""

    difference: float
    """Mean accuracy of the first family minus that of the second, in -1..1."""
    error: float
    """Standard error of the difference."""
    freedom: float
    """Degrees of freedom of the error."""
    components: Components
    """Sources of the error."""


def difference_of_families(first: Bools, second: Bools) -> FamilyDifference:
    """Estimate the difference of two model families, with an error over seeds and images.

    The variance is s²A/S + s²B/S + max(0, var(d̄)/N − r), for the variances s² of the accuracies
    over seeds, the differences d̄ of the two families by image, and the noise r of one seed on one
    image, which s² has already. The degrees of freedom are those of Satterthwaite (1946).

    Args:
        first: which images each seed of the first family classifies correctly, S×N, bool, S of 2 or
            more.
        second: the same of the second family, on the same images; S may differ.
    """
    images = first.shape[1]
    d = first.mean(axis=0) - second.mean(axis=0)
    (own_a, _, noise_a), (own_b, _, noise_b) = (_variances(each) for each in (first, second))
    noise = noise_a / len(first) + noise_b / len(second)
    of_images = float(d.var(ddof=1)) / images
    variance = own_a + own_b + max(0.0, of_images - noise / images)
    spread = (
        own_a**2 / (len(first) - 1) + own_b**2 / (len(second) - 1) + of_images**2 / (images - 1)
    )
    between = own_a * len(first) + own_b * len(second) - (noise_a + noise_b) / images
    return FamilyDifference(
        difference=float(d.mean()),
        error=float(np.sqrt(variance)),
        freedom=float(variance**2 / spread) if spread else np.inf,
        components=Components(
            seeds=max(0.0, between),
            images=max(0.0, images * of_images - noise),
            noise=noise_a + noise_b,
        ),
    )


def _variances(correct: Bools) -> tuple[float, float, float]:
    """Return the variances of a mean due to seeds and to images, and that of one cell (noise)."""
    seeds, images = correct.shape
    by_seed, by_image = correct.mean(axis=1), correct.mean(axis=0)
    rest = correct - by_seed[:, None] - by_image + correct.mean()
    noise = float((rest**2).sum() / ((seeds - 1) * (images - 1)))
    return float(by_seed.var(ddof=1) / seeds), float(by_image.var(ddof=1) / images), noise


def _padded(correct: Bools, right: int, wrong: int) -> Bools:
    """Add images that all seeds classify correctly, then wrongly, to S×N predictions."""
    new = np.repeat([True, False], [right, wrong])
    return np.concatenate([correct, np.tile(new, (len(correct), 1))], axis=1)
