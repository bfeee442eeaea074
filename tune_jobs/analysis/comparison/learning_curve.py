"""Learning curves: the error of a model by its number of training images, as a power law.

Shape letters: T trainings, S sizes, D bootstrap draws, P parameters a, b and c. An interval is a
(low, high) 95% confidence interval.

The curve is e(n) = a + b·n^-c for n training images, the form that describes learning curves of
classifiers best in the survey of Viering & Loog (2023, The Shape of Learning Curves) and in Hoiem
et al. (2021, Learning Curves for Analysis of Deep Networks), whose estimate this follows: weighted
least squares with the variance of a training modelled as v0 + v1/n.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from trainables.arrays import Ints
from tune_jobs.analysis.comparison.statistics import ALPHA, Floats
from tune_jobs.analysis.formatting import Interval

FURTHEST = 2
"""Largest number of images that is extrapolated to, relative to that of the largest training."""
EXPONENTS = np.geomspace(0.05, 2.0, 80)
"""Exponents c that are tried."""
DRAWS = 1000
"""Bootstrap draws."""
PSEUDO_RIGHT, PSEUDO_WRONG = 2, 2
"""Images added for the error from validation images (as in Agresti & Coull 1998)."""
NEAR_CONSTANT, LEAST_FITTED = 0.75, 4
"""Error relative to that of a constant answer above which sizes are left out of the fit, and the
smallest number of sizes that stay in it."""
REWEIGHTINGS = 5
"""Iterations of the fit of the variances."""


@dataclass(frozen=True)
class Measured:
    """Errors of one configuration, trained on subsets of its training images."""

    images: Ints
    """Number of images of each training, T."""
    seeds: Ints
    """Seed of each training, which also draws its subset, T."""
    sizes: Ints
    """Wanted number of images, T, which differs from `images` where groups stay together."""
    errors: Floats
    """Error on the validation images, T, in 0..1."""
    validation: int
    """Number of validation images."""
    constant: float
    """Error of always answering the most frequent class, in 0..1."""


@dataclass(frozen=True)
class Cells:
    """Trainings of each size together, S, the smallest first."""

    images: Floats
    """Mean number of images, S."""
    errors: Floats
    """Mean error, S, in 0..1."""
    variances: Floats
    """Variance of the mean error over other subsets and seeds, S."""
    degrees: int
    """Degrees of freedom of the variances."""


def cells_of(measured: Measured) -> Cells:
    """Return the mean of each size, with its variance over other training images and seeds.

    With n of N images, r subsets have on average the fraction n/N of their images in common. Their
    errors vary less by 1 - n/N than those of training sets of their own, and their mean varies as
    if of fewer (1/r of what they do not have in common), so that all N images count as one training
    set, whose variance comes from the smaller ones.
    """
    sizes = np.unique(measured.sizes)
    groups = [measured.sizes == size for size in sizes]
    images = np.array([measured.images[group].mean() for group in groups])
    counts = np.array([group.sum() for group in groups])
    errors = np.array([measured.errors[group].mean() for group in groups])
    shared = images / images[-1]
    several = (counts > 1) & (shared < 1)
    spread = np.array([measured.errors[group].var(ddof=1) for group in np.array(groups)[several]])
    # Errors are counts of images, so that a spread of zero is not certain either.
    spread = np.maximum(spread, (0.5 / measured.validation) ** 2)
    training = variance_model(images[several], spread / (1 - shared[several]), images)
    return Cells(
        images,
        errors,
        training * (shared + (1 - shared) / counts),
        int((counts - 1)[several].sum()),
    )


def in_power_law(cells: Cells, constant: float) -> Cells:
    """Return the sizes that the curve is fitted to, at least LEAST_FITTED.

    With very few images a model is hardly better than a constant answer. The error falls as a power
    law only after that (Hestness et al. 2017, Deep Learning Scaling is Predictable, Empirically),
    and a curve through both would be too flat.

    Args:
        cells: all sizes.
        constant: error of a constant answer.
    """
    near = np.flatnonzero(cells.errors > NEAR_CONSTANT * constant)
    start = min(near[-1] + 1 if len(near) else 0, max(0, len(cells.errors) - LEAST_FITTED))
    return Cells(cells.images[start:], cells.errors[start:], cells.variances[start:], cells.degrees)


def variance_model(images: Floats, variances: Floats, at: Floats) -> Floats:
    """Return the variances v0 + v1/n that fit estimated ones, which are as uncertain as high.

    Args:
        images: number of images n of each estimate.
        variances: estimated variances.
        at: numbers of images to return the variance at.
    """
    columns = np.stack([np.ones_like(images), 1 / images], axis=1)
    level = np.maximum(variances.mean() * images[0] / images, np.finfo(float).tiny)
    for _ in range(REWEIGHTINGS):
        found, _ = optimize.nnls(columns / level[:, None], variances / level)
        level = np.maximum(columns @ found, 1e-3 * level)
    modelled: Floats = np.stack([np.ones_like(at), 1 / at], axis=1) @ found
    return modelled


def fit(images: Floats, errors: Floats, variances: Floats) -> Floats:
    """Return a, b and c of e = a + b·n^-c by weighted least squares, with a and b not below 0.

    For each exponent, a and b have a closed form; the best of EXPONENTS is taken.

    Args:
        images: number of images n of each size relative to the largest one, S.
        errors: mean error at each size, of D draws, D×S.
        variances: variance of the mean error at each size, S.

    Returns:
        Parameters, D×P.
    """
    w = 1 / variances / (1 / variances).sum()
    x = images[None, :] ** -EXPONENTS[:, None]
    sx, sxx = x @ w, x**2 @ w
    sy, sxy = errors @ w, errors @ (x * w).T  # D, D×C
    b = (sxy - sx * sy[:, None]) / (sxx - sx**2)
    a = sy[:, None] - b * sx
    a, b = np.where(b < 0, sy[:, None], a), np.maximum(b, 0)
    a, b = np.maximum(a, 0), np.where(a < 0, sxy / sxx, b)
    square = (((errors[:, None, :] - a[..., None] - b[..., None] * x) ** 2) * w).sum(axis=2)
    best, rows = square.argmin(axis=1), np.arange(len(errors))
    return np.stack([a[rows, best], b[rows, best], EXPONENTS[best]], axis=1)


class LearningCurve:
    """A fitted learning curve with its uncertainty.

    The draws are of a parametric bootstrap (Efron & Tibshirani 1993, chapter 6): mean errors are
    drawn around the curve with the variances that the trainings show, which are widened where the
    curve does not fit (Birge 1932), and the curve is fitted to them anew. The validation images are
    a sample too, and the same for all trainings: each draw moves the whole curve by as much as
    other images may.

    Args:
        measured: trainings of the curve.
        seed: seed of the draws, which differs between curves that are compared.
    """

    def __init__(self, measured: Measured, seed: int = 0):
        self.measured = measured
        self.cells = in_power_law(cells_of(measured), measured.constant)
        self.seed = seed
        self.relative = self.cells.images / self.largest
        (self.parameters,) = fit(self.relative, self.cells.errors[None], self.cells.variances)

    @property
    def largest(self) -> float:
        """Number of images of the largest training."""
        return float(self.cells.images[-1])

    @property
    def furthest(self) -> float:
        """Largest number of images that the curve is extrapolated to."""
        return FURTHEST * self.largest

    @property
    def formula(self) -> tuple[float, float, float]:
        """Parameters a, b and c of e(n) = a + b·n^-c for n images."""
        a, b, c = self.parameters
        return float(a), float(b * self.largest**c), float(c)

    @cached_property
    def draws(self) -> Floats:
        """Parameters of each draw, D×P, for images relative to the largest training."""
        cells, generator = self.cells, np.random.default_rng(self.seed)
        expected = self.at(cells.images)
        residual = ((cells.errors - expected) ** 2 / cells.variances).sum()
        freedom = max(1, len(expected) - len(self.parameters))
        widened = cells.variances * max(1, residual / freedom)
        scale = np.sqrt(cells.degrees / generator.chisquare(cells.degrees, size=DRAWS))
        noise = generator.standard_normal((DRAWS, len(expected))) * scale[:, None]
        return fit(self.relative, expected + noise * np.sqrt(widened), cells.variances)

    @cached_property
    def shifts(self) -> Floats:
        """Standard normal number of each draw by which validation images move the curve, D."""
        return np.random.default_rng([self.seed, 1]).standard_normal(DRAWS)

    def at(self, images: Floats) -> Floats:
        """Return the error of the curve at numbers of images."""
        a, b, c = self.parameters
        values: Floats = a + b * (images / self.largest) ** -c
        return values

    def drawn(self, images: Floats, shifts: Floats | None = None) -> Floats:
        """Return the error of each draw at numbers of images M, D×M, in 0..1.

        Args:
            images: numbers of images, M.
            shifts: how far validation images move each draw, D; None for `shifts`.
        """
        a, b, c = (column[:, None] for column in self.draws.T)
        moved = (self.shifts if shifts is None else shifts)[:, None] * self.image_error(images)
        values: Floats = np.clip(a + b * (images / self.largest) ** -c + moved, 0, 1)
        return values

    def image_error(self, images: Floats) -> Floats:
        """Return the standard error from validation images of the error at numbers of images."""
        validation = self.measured.validation
        error = (np.minimum(self.at(images), 1) * validation + PSEUDO_WRONG) / (
            validation + PSEUDO_RIGHT + PSEUDO_WRONG
        )
        standard_error: Floats = np.sqrt(error * (1 - error) / validation)
        return standard_error

    def interval(self, images: float) -> Interval:
        """Return the interval of the error at a number of images."""
        low, high = np.quantile(self.drawn(np.array([images])), [ALPHA / 2, 1 - ALPHA / 2])
        return float(low), float(high)

    def needed(self, error: float) -> tuple[float, Interval]:
        """Return the number of images at which the curve reaches an error, with its interval.

        They are infinite where it never does; whoever states one beyond `furthest` extrapolates.
        """
        a, b, c = np.vstack([self.parameters, self.draws]).T
        moved = np.concatenate([[0.0], self.shifts]) * self.image_error(np.array([self.largest]))
        rest = error - a - moved
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            images = np.where(rest > 0, self.largest * (b / rest) ** (1 / c), np.inf)
        low, high = np.quantile(images[1:], [ALPHA / 2, 1 - ALPHA / 2], method="inverted_cdf")
        return float(images[0]), (float(low), float(high))


@dataclass(frozen=True)
class Order:
    """Which of two models has the lower error, at numbers of images."""

    images: Floats
    """Numbers of images M, ascending, to the largest that both curves are extrapolated to."""
    word: NDArray[np.int64]
    """-1 where the first model has the lower error, 1 where the second has, 0 where their order is
    undecided, M."""
    crossings: list[float]
    """Numbers of images at which the curves cross."""


def order_of(first: LearningCurve, second: LearningCurve, correlation: float) -> Order:
    """Return which of two models has the lower error at which number of images.

    Args:
        first: curve of the first model.
        second: curve of the second model, on the same validation images.
        correlation: correlation over images of whether the models classify them correctly, by which
            other validation images would move both curves together.
    """
    start = max(first.cells.images[0], second.cells.images[0])
    images = np.geomspace(start, min(first.furthest, second.furthest), 200)
    own = np.random.default_rng([first.seed, 2]).standard_normal(DRAWS)
    shifts = correlation * first.shifts + np.sqrt(1 - correlation**2) * own
    difference = first.drawn(images) - second.drawn(images, shifts)
    low, high = np.quantile(difference, [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    sign = np.sign(first.at(images) - second.at(images))
    changes = np.flatnonzero(sign[1:] * sign[:-1] < 0)
    return Order(
        images,
        np.where(high < 0, -1, np.where(low > 0, 1, 0)),
        np.sqrt(images[changes] * images[changes + 1]).tolist(),
    )
