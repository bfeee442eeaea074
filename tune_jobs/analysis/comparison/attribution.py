"""Attribution maps of the winners, and a check of whether they show what a network has learnt.

Shape letters: N test images, A images with maps, S height and width, G cells along a side of a map.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from trainables.arrays import Images, Ints
from tune_jobs.analysis.comparison.robustness import mean_with_extremes
from tune_jobs.analysis.formatting import Interval

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]

SAMPLE = 20
"""Test images that the check is made with, drawn at random."""
SHOWN = 3
"""Images of the figure that the chosen model classifies correctly, and that it misclassifies."""
FRACTION = 0.25
"""Fraction of the cells of an image that the check covers."""
ALIKE = 0.5
"""Rank correlation from which on maps of trained and untrained networks are called alike."""


@dataclass(frozen=True)
class MappedImages:
    """Test images with attribution maps, the same for all models."""

    sample: Ints
    """Positions in the test set of the images of the check, int64."""
    correct: Ints
    """Positions of the images of the figure that the chosen model classifies correctly, int64."""
    mistakes: Ints
    """Positions of those that it misclassifies, int64."""

    @cached_property
    def every(self) -> Ints:
        """Positions of all of them, A, int64, in ascending order, none twice."""
        return np.unique(np.concatenate([self.sample, self.correct, self.mistakes]))


def mapped_images(correct: Bools, labels: Ints) -> MappedImages:
    """Choose the test images that get maps, by a rule that sees no map.

    The images are put in a random order that is always the same. The first are the sample; the
    first correctly classified ones and the first mistakes, each of another class while there are
    others, are the figure.

    Args:
        correct: which test images the chosen model classifies correctly, N, bool.
        labels: their true labels, N, int64.
    """
    order = np.random.default_rng(0).permutation(len(labels))
    return MappedImages(
        order[:SAMPLE],
        _of_distinct_classes(order[correct[order]], labels),
        _of_distinct_classes(order[~correct[order]], labels),
    )


def _of_distinct_classes(rows: Ints, labels: Ints) -> Ints:
    """Return the first SHOWN rows, those of a class that has been taken last."""
    taken = np.array([labels[row] in labels[rows[:i]] for i, row in enumerate(rows)], dtype=bool)
    return rows[np.argsort(taken, kind="stable")][:SHOWN]


@dataclass(frozen=True)
class Attributions:
    """Attribution maps of a model, of the class that it predicts, and what covering cells does."""

    images: MappedImages
    """Images that have maps."""
    pixels: Images
    """The images as the model reads them, A×S×S×3, uint8, in the order of `images.every`."""
    maps: Floats
    """Maps, A×G×G: by how much the log-odds of the predicted class fall when a cell is covered."""
    untrained: Floats
    """Maps of the same class by the same network with random weights, A×G×G, other weights for each
    image."""
    as_is: Floats
    """Calibrated probability of the predicted class, A, in 0..1."""
    covered: Floats
    """The same with the cells covered that have the highest values of `maps`, FRACTION of them, A,
    in 0..1."""
    covered_untrained: Floats
    """The same with as many cells covered, those with the highest absolute values of `untrained`,
    A, in 0..1."""
    covered_random: Floats
    """The same with as many random cells covered, A, in 0..1: mean of several draws."""

    @property
    def sampled(self) -> Bools:
        """Which of the images are in the sample, A, bool."""
        sampled: Bools = np.isin(self.images.every, self.images.sample)
        return sampled

    @cached_property
    def correlations(self) -> Floats:
        """Rank correlation of the absolute values of `maps` and `untrained`, A, in -1..1.

        It is 0 where a map is constant, as nothing of the other can be seen in it.
        """
        return np.array(
            [rank_correlation(*pair) for pair in zip(self.maps, self.untrained, strict=True)]
        )

    @cached_property
    def check(self) -> AttributionCheck:
        """The check, on the images of the sample."""
        own, sampled = self.covered, self.sampled

        def mean(values: Floats) -> float:
            return float(values[sampled].mean())

        def interval(values: Floats) -> Interval:
            return mean_with_extremes(values[sampled], -1.0, 1.0)

        return AttributionCheck(
            images=int(sampled.sum()),
            correlation=mean(self.correlations),
            correlation_interval=interval(self.correlations),
            as_is=mean(self.as_is),
            covered=mean(own),
            covered_untrained=mean(self.covered_untrained),
            covered_random=mean(self.covered_random),
            gain_untrained=interval(self.covered_untrained - own),
            gain_random=interval(self.covered_random - own),
        )


def rank_correlation(first: Floats, second: Floats) -> float:
    """Return Spearman's correlation of the absolute values of two maps; 0 if one is constant."""
    magnitudes = [np.abs(each).ravel() for each in (first, second)]
    if any(np.ptp(each) == 0 for each in magnitudes):
        return 0.0
    return float(stats.spearmanr(*magnitudes).statistic)


@dataclass(frozen=True)
class AttributionCheck:
    """Whether maps show what the network has learnt, as a mean over sampled test images.

    The weights are randomised, and the maps compared (Adebayo et al. 2018, Sanity checks for
    saliency maps, by the rank correlation of absolute values). What the maps mark is covered
    (deletion: Petsiuk et al. 2018, RISE), against what maps of untrained networks mark and against
    random cells. Intervals are of 95%, over other images and other random weights (Student's t,
    with one image of either extreme added).
    """

    images: int
    """Number of images."""
    correlation: float
    """Mean rank correlation with the maps of untrained networks, in -1..1."""
    correlation_interval: Interval
    """Interval of `correlation`."""
    as_is: float
    """Mean probability of the predicted class, in 0..1."""
    covered: float
    """Mean probability with the marked cells covered, in 0..1."""
    covered_untrained: float
    """Mean probability with the cells covered that maps of untrained networks mark, in 0..1."""
    covered_random: float
    """Mean probability with random cells covered, in 0..1."""
    gain_untrained: Interval
    """Interval of `covered_untrained` - `covered`, paired by image."""
    gain_random: Interval
    """Interval of `covered_random` - `covered`, paired by image."""

    @property
    def outcome(self) -> Literal["passed", "alike", "failed"]:
        """What the check says.

        passed: covering what the maps mark matters more to the network than covering what maps of
        untrained networks mark, and than covering random cells; alike: so it does, but the maps
        are mostly those of untrained networks; failed: it is not shown to matter more.
        """
        if min(self.gain_untrained[0], self.gain_random[0]) <= 0:
            return "failed"
        return "alike" if self.correlation_interval[0] > ALIKE else "passed"
