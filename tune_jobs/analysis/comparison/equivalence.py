"""One word for a difference in accuracy: better, worse, equivalent or undecided, and what decides.

Shape letters: N test images, S seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from scipy import stats

from tune_jobs.analysis.comparison.statistics import (
    ALPHA,
    POWER,
    Bools,
    PairedTest,
    holm,
    paired_difference,
)
from tune_jobs.analysis.comparison.two_way import Components, difference_of_families
from tune_jobs.analysis.formatting import Interval

Word: TypeAlias = Literal["better", "worse", "equivalent", "undecided"]
"""What the first model is, compared with the second."""
Basis: TypeAlias = Literal["model families", "trained models"]
"""What a difference is about: kinds of model over seeds, or one training of each."""

AGAINST: dict[Word, Word] = {
    "better": "worse", "worse": "better", "equivalent": "equivalent", "undecided": "undecided",
}  # fmt: skip
"""Verdict on the first model -> that on the second."""

LEAST_SEEDS = 3
"""Seeds of both models from which on a difference is about the model families."""
MOST_SEEDS, MOST_IMAGES = 100, 10_000_000
"""Largest numbers of seeds and of test images that are proposed."""
MORE_SEEDS = 5, 10, 20, 50
"""Seeds that are proposed with more test images, where those that there are are too few."""
ASSUMED_DEVIATION = 0.003
"""Standard deviation of the accuracy over seeds that is assumed where there are no seeds."""


@dataclass(frozen=True)
class Estimate:
    """Estimated difference in accuracy of two models, the first minus the second."""

    basis: Basis
    """What the difference is about."""
    difference: float
    """Observed difference, in -1..1; of model families, that of the means over seeds."""
    centre: float
    """Difference with one image added that only the first, and one that only the second model
    classifies correctly (Bonett & Price 2012), in -1..1."""
    error: float
    """Standard error of the centre."""
    freedom: float
    """Degrees of freedom of the error; infinite for trained models."""
    p: float
    """p-value of no difference, two-sided."""
    components: Components
    """Sources of the error; without seeds, those of them that the images show."""
    seeds: int
    """Seeds S of each model, the fewer of both; 1 for trained models."""
    images: int
    """Number of test images N."""

    @property
    def interval(self) -> Interval:
        """95% confidence interval of the difference, not corrected for multiple tests."""
        half = float(stats.t.ppf(1 - ALPHA / 2, self.freedom)) * self.error
        return max(-1.0, self.centre - half), min(1.0, self.centre + half)

    def equivalence_p(self, margin: float) -> float:
        """Return the p-value of two one-sided tests (Schuirmann 1987) that |difference| < margin.

        Args:
            margin: difference from which on it matters, in 0..1.
        """
        return float(stats.t.sf((margin - abs(self.centre)) / self.error, self.freedom))

    @property
    def regret(self) -> float:
        """Expected loss of accuracy by using the second model: E[max(0, difference)], in 0..1.

        The true difference is taken to be distributed around the estimate as Student's t, which is
        its posterior distribution under a flat prior.
        """
        z, density = self.centre / self.error, stats.t.pdf(self.centre / self.error, self.freedom)
        tail = 1.0 if np.isinf(self.freedom) else (self.freedom + z**2) / (self.freedom - 1)
        return float(self.centre * stats.t.cdf(z, self.freedom) + self.error * tail * density)


class Needed(NamedTuple):
    """What would decide: a number of seeds, or a number of test images."""

    seeds: int | None
    """Seeds of each model with the same test images; None if no number of seeds is enough."""
    images: int | None
    """Test images with `with_seeds` seeds of each model; None if no number is enough."""
    with_seeds: int | None
    """Seeds that go with `images`: as many as there are, or more if these are too few."""


@dataclass(frozen=True)
class Decision:
    """What the test images and seeds say about a difference."""

    estimate: Estimate
    """The difference."""
    margin: float
    """Difference from which on it matters, in 0..1."""
    adjusted_p: float
    """p-value of no difference after Holm's correction over all pairs."""
    adjusted_equivalence_p: float
    """p-value of a difference of the margin or more after Holm's correction over all pairs."""
    tests: int
    """Number of pairs decided together."""

    @property
    def word(self) -> Word:
        """The first model compared with the second.

        A difference that is shown to be below the margin does not matter, so it is `equivalent`
        even where it is shown not to be 0.
        """
        if self.adjusted_equivalence_p < ALPHA:
            return "equivalent"
        if self.adjusted_p < ALPHA:
            return "better" if self.estimate.difference > 0 else "worse"
        return "undecided"

    @property
    def needed(self) -> Needed:
        """Seeds, or test images, that decide with 80% power.

        They are enough to show a true difference of the margin, and to show equivalence where
        there is no difference.
        """
        known, sources = self.estimate, self.estimate.components
        if known.basis == "model families":
            return self._planned(sources, known.seeds, self.margin)
        return Needed(None, _decides(self, sources, 1, _images_from(known.images)), 1)

    @property
    def needed_for_families(self) -> Needed:
        """Seeds, or test images with three seeds, that would settle trained models' families.

        As for `needed`, or for the observed difference where that is larger than the margin. The
        standard deviation over seeds is assumed to be ASSUMED_DEVIATION, and all disagreement of
        the two trained models to be that of their families.
        """
        known = self.estimate
        assumed = Components(2 * ASSUMED_DEVIATION**2, known.components.images, 0.0)
        return self._planned(assumed, LEAST_SEEDS, max(self.margin, abs(known.difference)))

    def _planned(self, sources: Components, least: int, effect: float) -> Needed:
        """Return seeds from `least` on, or test images with so many or the next larger number."""
        images = self.estimate.images
        seeds = _decides(self, sources, np.arange(least, MOST_SEEDS + 1), images, effect)
        for count in (least, *(more for more in MORE_SEEDS if more > least)):
            found = _decides(self, sources, count, _images_from(images), effect)
            if found is not None:
                return Needed(seeds, found, count)
        return Needed(seeds, None, None)


def decide(
    tests: Sequence[PairedTest], seeds: Sequence[tuple[Bools, Bools] | None], margin: float
) -> list[Decision]:
    """Decide on every pair, with Holm's correction over all of them.

    Each of two kinds of mistake is made with a probability of at most 5% over all pairs: to call
    equal models different, and to call models equivalent that differ by the margin or more.

    Args:
        tests: McNemar's test of the trained models of each pair.
        seeds: for each pair, which images each seed of the first and of the second family
            classifies correctly, both S×N, bool; None without seeds.
        margin: difference from which on it matters, in 0..1.
    """
    estimates = [
        of_families(*both)
        if both is not None and min(map(len, both)) >= LEAST_SEEDS
        else of_trained(test)
        for test, both in zip(tests, seeds, strict=True)
    ]
    differs = holm([each.p for each in estimates])
    equals = holm([each.equivalence_p(margin) for each in estimates])
    return [
        Decision(each, margin, p, equivalence_p, len(estimates))
        for each, p, equivalence_p in zip(estimates, differs, equals, strict=True)
    ]


def of_trained(test: PairedTest) -> Estimate:
    """Return the difference of two trained models, over other test images."""
    centre, error = paired_difference(test.only_first, test.only_second, test.images)
    images = error**2 * (test.images + 2)
    return Estimate("trained models", test.difference, centre, error, np.inf, test.p,
                    Components(0.0, images, 0.0), 1, test.images)  # fmt: skip


def of_families(first: Bools, second: Bools) -> Estimate:
    """Return the difference of two model families, over other seeds and other test images.

    The interval and the test of equivalence have two images added, which only one family
    classifies correctly: near 100%, the observed variance is too small for them. The test of no
    difference keeps its level without (benchmarks/statistics.py).

    Args:
        first: which images each seed of the first family classifies correctly, S×N, bool.
        second: the same of the second family.
    """
    plain = difference_of_families(first, second)
    padded = difference_of_families(
        *(
            np.concatenate([each, np.tile([right, not right], (len(each), 1))], axis=1)
            for each, right in ((first, True), (second, False))
        )
    )
    known = plain if plain.error else padded
    p = 2 * float(stats.t.sf(abs(plain.difference) / known.error, known.freedom))
    return Estimate("model families", plain.difference, padded.difference, padded.error,
                    padded.freedom, p, known.components, min(len(first), len(second)),
                    first.shape[1])  # fmt: skip


def _images_from(images: int) -> Any:
    """Return the numbers of test images that are proposed, from `images` on."""
    return np.unique(np.ceil(np.geomspace(images, MOST_IMAGES, 500)))


def _decides(
    decision: Decision, sources: Components, seeds: Any, images: Any, effect: float | None = None
) -> int | None:
    """Return the first of several numbers of seeds, or of images, that decides; None if none does.

    Args:
        decision: the decision, with its margin and its number of pairs.
        sources: sources of the variance.
        seeds: number of seeds, or several, ascending.
        images: number of test images, or several, ascending.
        effect: difference to show; the margin by default.
    """
    of_seeds = (sources.seeds + sources.noise / images) / seeds
    of_images = sources.images / images
    variance = of_seeds + of_images
    spread = of_seeds**2 / (2 * np.maximum(seeds - 1, 1)) + of_images**2 / (images - 1)
    freedom = variance**2 / np.maximum(spread, 1e-300)
    level = ALPHA / decision.tests
    differs = stats.t.ppf(1 - level / 2, freedom) + stats.t.ppf(POWER, freedom)
    equals = stats.t.ppf(1 - level, freedom) + stats.t.ppf((1 + POWER) / 2, freedom)
    shown = np.sqrt(variance) * np.maximum(differs, equals) <= (effect or decision.margin)
    if not shown.any():
        return None
    return int(np.broadcast_to(np.maximum(seeds, images) if np.ndim(images) else seeds,
                               shown.shape)[np.argmax(shown)])  # fmt: skip
