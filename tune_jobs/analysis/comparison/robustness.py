"""Robustness of models: their accuracy on corrupted test images, paired by image.

Shape letters: K corruptions, L severities, N test images, D bootstrap resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from trainables.corruptions import Corruption
from tune_jobs.analysis.comparison.statistics import ALPHA, holm, resamples
from tune_jobs.analysis.formatting import Interval

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]

DRAWS = 1000
"""Bootstrap resamples."""


@dataclass(frozen=True)
class Corrupted:
    """Predictions of a model on corrupted test images."""

    corruptions: tuple[Corruption, ...]
    """Corruptions, K."""
    strengths: list[list[float]]
    """Strength of each corruption at each severity, K×L; see `trainables.corruptions`."""
    size: int
    """Height and width in pixels of the images that were corrupted."""
    correct: Bools
    """Which images are correctly classified, K×L×N, bool."""

    @property
    def by_image(self) -> Floats:
        """Fraction of the corrupted versions of each image that are correctly classified, N."""
        fractions: Floats = self.correct.mean(axis=(0, 1))
        return fractions

    @property
    def accuracy(self) -> float:
        """Mean accuracy over all corruptions and severities, in 0..1."""
        return float(self.correct.mean())

    @property
    def interval(self) -> Interval:
        """95% confidence interval of `accuracy`, over other images."""
        return mean_with_extremes(self.by_image, 0.0, 1.0)


def mean_with_extremes(values: Floats, *added: float) -> Interval:
    """Return the confidence interval of a mean over images (Student's t).

    The extreme values that are added, as Agresti & Coull (1998) do for a proportion, keep it wide
    where all images agree.
    """
    low, high = DescrStatsW(np.append(values, added)).tconfint_mean(ALPHA)
    return float(max(low, min(added))), float(min(high, max(added)))


@dataclass(frozen=True)
class CorruptionErrors:
    """Errors of a model relative to those of a baseline, 1 where both make as many."""

    by_corruption: list[float]
    """Corruption error of each corruption, K; NaN where the baseline makes no error."""
    mean: float
    """Mean corruption error (mCE); NaN where the baseline makes no error on a corruption."""
    interval: Interval | None
    """95% confidence interval of the mean over other images (bootstrap), infinite above where the
    baseline makes no error on some of them; None if not estimable."""


def corruption_errors(model: Corrupted, baseline: Corrupted) -> CorruptionErrors:
    """Return the corruption errors of a model.

    For each corruption, the errors summed over all severities are divided by those of the baseline;
    their mean over corruptions is the mean corruption error (Hendrycks & Dietterich 2019, section
    4.2, with AlexNet as the baseline). The same images are resampled for both.

    Args:
        model: predictions of the model.
        baseline: predictions of the baseline on the same images, with the same corruptions.
    """
    ours, theirs = ((~each.correct).sum(axis=1).astype(np.float64) for each in (model, baseline))
    images = ours.shape[1]

    def ratios(weights: NDArray[np.int64]) -> Floats:
        """Return the corruption errors, D×K, of images that are drawn so often, D×N."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = (weights @ ours.T) / (weights @ theirs.T)
        return found

    observed = ratios(np.ones((1, images), dtype=np.int64))[0]
    observed[theirs.sum(axis=1) == 0] = np.nan
    if np.isnan(observed).any():
        return CorruptionErrors(observed.tolist(), float("nan"), None)
    generator = np.random.default_rng(0)
    drawn = ratios(resamples(generator, DRAWS, images)).mean(axis=1)
    drawn[np.isnan(drawn)] = np.inf  # the baseline has no error in a resample
    low, high = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2], method="nearest")
    return CorruptionErrors(observed.tolist(), float(observed.mean()), (float(low), float(high)))


@dataclass(frozen=True)
class RobustnessDifference:
    """Difference of two models in mean accuracy on corrupted images."""

    difference: float
    """Mean accuracy of the second model minus that of the first, in -1..1."""
    interval: Interval
    """95% confidence interval of it, over other images (Student's t, paired by image)."""
    adjusted_p: float
    """p-value of no difference, after Holm's correction over all models compared with the first."""

    @property
    def significant(self) -> bool:
        """Whether the models differ at the 5% level (family-wise error rate)."""
        return self.adjusted_p < ALPHA


def robustness_differences(
    first: Corrupted, others: Sequence[Corrupted]
) -> list[RobustnessDifference]:
    """Compare models with the first in mean accuracy over all corruptions and severities.

    Args:
        first: predictions of the first model.
        others: predictions of the other models on the same images.
    """
    paired = [other.by_image - first.by_image for other in others]
    # One image that only one of the two classifies correctly is added for each, as in the interval
    # of a paired difference of proportions (Bonett & Price 2012).
    ps = [float(stats.ttest_1samp(np.append(d, [-1, 1]), 0).pvalue) for d in paired]
    return [
        RobustnessDifference(float(d.mean()), mean_with_extremes(d, -1.0, 1.0), p)
        for d, p in zip(paired, holm(ps), strict=True)
    ]
