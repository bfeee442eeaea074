"""Simulations of the statistics of a comparison: size, power and coverage, against nominal.

    python -m benchmarks.statistics [families] [seeds] [scores] [calibrated] [planned] [models]
        [chance] [tuning] [rejection] [areas] [learning] [budgets] [searches]

Predictions are drawn from a latent scale: a seed of a model family classifies an image correctly if
the ability of the family, the shift of the seed, the ease of the image for all families, its ease
for this family, and noise add up to more than 0. SHARED, OWN and the rest are the shares of the
last three in the variance.
"""

from __future__ import annotations

import sys
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from tune_jobs.analysis.comparison import (
    calibration,
    class_averages,
    learning_curve,
    overtuning,
)
from tune_jobs.analysis.comparison import rejection as selective
from tune_jobs.analysis.comparison.budgets import mean_band, most_to_gain, random_band
from tune_jobs.analysis.comparison.equivalence import decide
from tune_jobs.analysis.comparison.learning_curve import LearningCurve, Measured
from tune_jobs.analysis.comparison.overtuning import tuned
from tune_jobs.analysis.comparison.rejection import risk_curve, risk_thresholds
from tune_jobs.analysis.comparison.statistics import (
    paired_tests,
    probability_better,
    wilson,
)
from tune_jobs.analysis.comparison.two_way import seed_spread

SHARED, OWN = 0.6, 0.15
"""Shares of the latent variance: ease of an image for all families, and for one family."""


def predictions(
    generator: np.random.Generator,
    accuracies: tuple[float, ...],
    seeds: int,
    images: int,
    deviation: float,
) -> NDArray[np.bool_]:
    """Return which images each seed of each family classifies correctly, K×S×N, bool.

    Args:
        generator: source of random numbers.
        accuracies: true accuracy of each family over all seeds and images, K.
        seeds: number of seeds S of each family.
        images: number of test images N.
        deviation: standard deviation of the accuracy over seeds.
    """
    ability = stats.norm.ppf(accuracies)
    shift = deviation / stats.norm.pdf(ability)
    ability = ability * np.sqrt(1 + shift**2)
    count = len(accuracies)
    noise = np.sqrt(1 - SHARED - OWN) * generator.standard_normal((count, seeds, images))
    ease = np.sqrt(SHARED) * generator.standard_normal(images)
    own = np.sqrt(OWN) * generator.standard_normal((count, 1, images))
    of_seeds = shift[:, None, None] * generator.standard_normal((count, seeds, 1))
    correct: NDArray[np.bool_] = noise + ease + own + of_seeds + ability[:, None, None] > 0
    return correct


def decided(
    accuracies: tuple[float, float],
    seeds: int,
    images: int,
    deviation: float,
    rounds: int,
    margin: float = 0.01,
) -> dict[str, float]:
    """Return how often two families are called different, equivalent, or covered by the interval.

    Args:
        accuracies: true accuracy of both.
        seeds: number of seeds of each; 1 for McNemar's test of one training.
        images: number of test images.
        deviation: standard deviation of the accuracy over seeds.
        rounds: number of simulations.
        margin: difference from which on it matters.

    Returns:
        Shares of the rounds: `different` where no difference is rejected, `equivalent` where a
        difference of the margin is, and `covered`.
    """
    generator = np.random.default_rng(0)
    counts = np.zeros(3)
    for _ in range(rounds):
        first, second = predictions(generator, accuracies, seeds, images, deviation)
        tests = paired_tests([(first[0], second[0])])
        (decision,) = decide(tests, [(first, second)], margin)
        low, high = decision.estimate.interval
        counts += (
            decision.adjusted_p < 0.05,
            decision.adjusted_equivalence_p < 0.05,
            low <= accuracies[0] - accuracies[1] <= high,
        )
    names = "different", "equivalent", "covered"
    return dict(zip(names, (counts / rounds).tolist(), strict=True))


def seeds_covered(accuracy: float, seeds: int, images: int, deviation: float, rounds: int) -> float:
    """Return how often the interval of a mean over seeds covers the accuracy of the family."""
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(rounds):
        (correct,) = predictions(generator, (accuracy,), seeds, images, deviation)
        low, high = seed_spread(correct).interval
        covered += low <= accuracy <= high
    return covered / rounds


def scores_covered(accuracy: float, images: NDArray[np.int64], rounds: int) -> dict[str, float]:
    """Return how often the interval of each average over classes covers its true value.

    Args:
        accuracy: recall of every class; mistakes fall on the other classes alike.
        images: number of images of each class.
        rounds: number of simulations.
    """
    classes = len(images)
    rows = np.full((classes, classes), (1 - accuracy) / (classes - 1))
    np.fill_diagonal(rows, accuracy)
    # Many times as many images give the true scores.
    true = class_averages.class_averages((rows * images[:, None] * 10**6).round().astype(np.int64))
    generator = np.random.default_rng(2)
    found = []
    for i in range(rounds):
        intervals = class_averages.score_intervals(generator.multinomial(images, rows), seed=i)
        found.append(
            [
                interval is not None and interval[0] <= getattr(true, name) <= interval[1]
                for name, interval in intervals.items()
            ]
        )
    return dict(zip(intervals, np.mean(found, axis=0).tolist(), strict=True))


IMAGES = 359, 1000, 10_000
"""Numbers of test images."""
ACCURACIES = 0.75, 0.9, 0.975, 0.995
"""True accuracies."""
ROUNDS = 1000, 400
"""Simulations of each case, and with 10,000 images: a share of 0.95 is known to ±0.014, ±0.021."""


def rounds_of(images: int) -> int:
    """Return the number of simulations of a case."""
    return ROUNDS[images >= 10_000]


def deviation_of(accuracy: float) -> float:
    """Return the standard deviation over seeds that goes with an accuracy, in 0..1."""
    return min(0.003, (1 - accuracy) / 4)


def families() -> None:
    """Print size and power of both tests, and the coverage of the interval.

    One training of each is simulated twice: as trained models, without a deviation over seeds,
    where McNemar's test has its level, and as one seed of a family.
    """
    print("accuracy, images, seeds | different at 0, at 1.5 points; equivalent at 0, at 1; covered")
    for accuracy, images, seeds in product(ACCURACIES, IMAGES, (0, 1, 3, 5, 10)):
        deviation = deviation_of(accuracy) if seeds else 0.0
        step = 0.0075 if accuracy + 0.0075 < 1 else (1 - accuracy) / 2
        settings = seeds or 1, images, deviation, rounds_of(images)
        same = decided((accuracy, accuracy), *settings)
        apart = decided((accuracy + step, accuracy + step - 0.015), *settings)
        edge = decided((accuracy, accuracy - 0.01), *settings)
        print(
            f"{accuracy}, {images:,}, {seeds or 'trained'} | "
            f"{same['different']:.3f}, {apart['different']:.2f}; "
            f"{same['equivalent']:.2f}, {edge['equivalent']:.3f}; {edge['covered']:.3f}",
            flush=True,
        )


def seeds() -> None:
    """Print the coverage of the interval of a mean over seeds."""
    print("accuracy, images | coverage with 3, 5, 10 seeds")
    for accuracy, images in product((*ACCURACIES, 0.999), IMAGES):
        settings = images, deviation_of(accuracy), 2 * rounds_of(images)
        shares = [seeds_covered(accuracy, count, *settings) for count in (3, 5, 10)]
        print(
            f"{accuracy}, {images:,} | {', '.join(f'{share:.3f}' for share in shares)}", flush=True
        )


def class_sizes(images: int, classes: int, ratio: float = 1.0) -> NDArray[np.int64]:
    """Return how many of the images each class has, C, in geometric progression, 2 or more.

    Args:
        images: number of images.
        classes: number of classes C.
        ratio: images of the largest class for one of the smallest.
    """
    shares = np.geomspace(1, 1 / ratio, classes)
    ends = np.rint(images * shares.cumsum() / shares.sum())
    sizes: NDArray[np.int64] = np.maximum(2, np.diff(ends, prepend=0)).astype(np.int64)
    return sizes


def scores() -> None:
    """Print the coverage of the intervals of averages over classes, with equal and unequal ones."""
    class_averages.DRAWS = 600  # for time; the quantiles of fewer draws are noisier, not wider
    print("recall, images, classes, largest / smallest class | coverage")
    for accuracy, images, (classes, ratio) in product(
        ACCURACIES, IMAGES, ((2, 1), (5, 1), (10, 1), (100, 1), (2, 10), (5, 30), (10, 30))
    ):
        covered = scores_covered(accuracy, class_sizes(images, classes, ratio), 400)
        shares = ", ".join(f"{name} {share:.3f}" for name, share in covered.items() if share)
        shares = shares or "not stated"
        print(f"{accuracy}, {images:,}, {classes}, {ratio} | {shares}", flush=True)


def logits_of(
    generator: np.random.Generator, images: int, classes: int, ease: float, temperature: float
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return logits, N×C, and labels, N, for which a temperature is the right one.

    Args:
        generator: source of random numbers.
        images: number of images N.
        classes: number of classes C.
        ease: mean of the largest logit of an image less the logarithm of the other classes.
        temperature: temperature at which the probabilities are right; below 1, the model is not
            sure enough, above 1 it is too sure.
    """
    logits = generator.standard_normal((images, classes))
    guessed = generator.integers(classes, size=images)
    logits[np.arange(images), guessed] += (
        np.log(classes - 1) + ease + 2 * generator.normal(size=images)
    )
    drawn = (logits + generator.gumbel(size=logits.shape)).argmax(axis=1)
    return (temperature * logits).astype(np.float32), drawn


def calibration_covered(
    classes: int, images: int, ease: float, temperature: float, rounds: int
) -> tuple[float, ...]:
    """Return what is found of the calibration of models whose right temperature is known.

    Args:
        classes: number of classes.
        images: number of test images, and of validation images.
        ease: as for `logits_of`.
        temperature: temperature at which the probabilities are right.
        rounds: number of simulations.

    Returns:
        Accuracy, mean and standard deviation of the fitted temperatures, true calibration error,
        mean estimate of it, and how often its interval holds it.
    """
    generator = np.random.default_rng(8)

    many, _ = logits_of(generator, 4_000_000 // classes, classes, ease, temperature)
    confidence = special.softmax(many.astype(np.float64), axis=1).max(axis=1)
    right = special.softmax(many.astype(np.float64) / temperature, axis=1).max(axis=1)
    gaps = [(confidence - right)[rows].mean() for rows in calibration.bins_of(confidence)]
    true = float(np.sqrt(np.mean(np.square(gaps))))
    found = []
    for _ in range(rounds):
        logits, labels = logits_of(generator, images, classes, ease, temperature)
        sure = special.softmax(logits.astype(np.float64), axis=1).max(axis=1)
        correct = (logits.argmax(axis=1) == labels).astype(np.float64)
        error, (low, high) = calibration.calibration_error(sure, correct, calibration.bins_of(sure))
        found.append((calibration.fit_temperature(logits, labels), error, low <= true <= high))
    mean, spread = np.mean(found, axis=0), np.std(found, axis=0)
    return float(right.mean()), mean[0], spread[0], true, mean[1], mean[2]


def calibrated() -> None:
    """Print the coverage of the interval of the calibration error, and how temperatures vary."""
    calibration.DRAWS = 300  # for time; the quantiles of fewer draws are noisier, not wider
    print("classes, images, accuracy, right temperature | fitted, its standard deviation; "
          "true error, mean estimate, coverage")  # fmt: skip
    for (classes, temperature), ease, images in product(
        ((10, 0.5), (10, 1.0), (10, 2.0), (2, 2.0), (100, 2.0)), (1.0, 5.0), IMAGES
    ):
        accuracy, fitted, spread, true, mean, held = calibration_covered(
            classes, images, ease, temperature, 200
        )
        print(
            f"{classes}, {images:,}, {accuracy:.3f}, {temperature} | {fitted:.2f}, {spread:.2f}; "
            f"{true:.4f}, {mean:.4f}, {held:.3f}",
            flush=True,
        )


def planned() -> None:
    """Print how often the planned numbers of images and of seeds decide as they are planned to."""
    generator = np.random.default_rng(3)
    for accuracy, count, images in ((0.9, 1, 1000), (0.9, 3, 1000), (0.975, 3, 359)):
        needed = []
        for _ in range(100):
            first, second = predictions(generator, (accuracy,) * 2, count, images, 0.002)
            (decision,) = decide(paired_tests([(first[0], second[0])]), [(first, second)], 0.01)
            needed.append(decision.needed.images or np.nan)
        enough = int(np.nanmedian(needed))
        same = decided((accuracy, accuracy), count, enough, 0.002 * (count > 1), 100)
        apart = decided((accuracy, accuracy - 0.01), count, enough, 0.002 * (count > 1), 100)
        print(
            f"{accuracy}, {count} seeds, {images} images: median {enough:,} images would decide; "
            f"with them equivalent {same['equivalent']:.2f}, different {apart['different']:.2f}"
        )


def models() -> None:
    """Print the coverage of the interval of one model (exact), and of the best of 20 equal ones."""
    generator = np.random.default_rng(4)
    print("accuracy, images | one model; best of 20 with the interval for 1, for 20")
    for images, accuracy in product(IMAGES, ACCURACIES):

        def held(right: NDArray[np.int64], models: int, case: Any = (images, accuracy)) -> Any:
            known = np.unique(right)
            bounds = [wilson(int(n), case[0], models) for n in known]
            within = [low <= case[1] <= high for low, high in bounds]
            return np.array(within)[np.searchsorted(known, right)]

        every = np.arange(images + 1)
        one = float(stats.binom.pmf(every, images, accuracy) @ held(every, 1))
        best = generator.binomial(images, accuracy, (5000, 20)).max(axis=1)
        print(f"{accuracy}, {images:,} | {one:.3f}; {held(best, 1).mean():.3f}, "
              f"{held(best, 20).mean():.3f}", flush=True)  # fmt: skip


def chance() -> None:
    """Print how often the interval of the chance to score higher excludes one half in vain."""
    generator = np.random.default_rng(5)
    for count in (3, 5, 10):
        found = []
        for first, second in generator.normal(size=(2000, 2, count)):
            low, high = probability_better(first, second)[1]
            found.append(not low <= 0.5 <= high)
        print(f"{count} seeds: {np.mean(found):.3f}")


def tuning() -> None:
    """Print the optimism of the best of several trials on the images that chose it, and estimates.

    The true accuracies of the trials are spread evenly; the untuned trial is in the middle of them.
    """
    overtuning.DRAWS = 200  # for time; the mean of fewer draws is noisier
    generator = np.random.default_rng(6)
    print("images, trials, range of accuracies | true optimism, mean estimate, its standard "
          "deviation; untuned trial truly as good, estimated")  # fmt: skip
    for images, trials, spread in product((359, 1000, 10_000), (5, 20, 100), (0.0, 0.02, 0.1)):
        accuracies = 0.9 - spread * np.linspace(0, 1, trials)
        middle = trials // 2
        found = []
        for _ in range(200 if images < 10_000 else 100):
            correct = predictions(generator, tuple(accuracies), 1, images, 0.0)[:, 0]
            best = int(correct.mean(axis=1).argmax())
            estimate = tuned(correct, middle)
            found.append(
                (
                    correct[best].mean() - accuracies[best],
                    estimate.optimism,
                    accuracies[middle] >= accuracies[best],
                    estimate.default_as_good,
                )
            )
        true, mean, good, as_good = np.mean(found, axis=0)
        print(
            f"{images:,}, {trials}, {100 * spread:g} | {100 * true:.2f}, {100 * mean:.2f}, "
            f"{100 * np.std(found, axis=0)[1]:.2f}; {good:.2f}, {as_good:.2f}",
            flush=True,
        )


def confidences(
    generator: np.random.Generator, images: int, ease: float, wrong_labels: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return calibrated probabilities of predictions and whether these are correct, both N.

    Args:
        generator: source of random numbers.
        images: number of images N.
        ease: mean log-odds; their standard deviation is 2.
        wrong_labels: share of the images that count as wrong whatever is predicted.
    """
    confidence = special.expit(generator.normal(ease, 2, images))
    correct = generator.random(images) < confidence
    return confidence, correct & (generator.random(images) >= wrong_labels)


def rejection() -> None:
    """Print how often the risk at a chosen threshold is above its limit, and the coverage."""
    print("accuracy, wrong labels, images | limit: above it, none found, mean coverage")
    generator = np.random.default_rng(6)
    for (ease, wrong_labels), images in product(
        ((1.0, 0.0), (2.5, 0.0), (2.5, 0.01), (4.0, 0.0)), (341, 1000, 10_000)
    ):
        confidence, correct = confidences(generator, 400_000, ease, wrong_labels)
        order = np.argsort(-confidence)
        ranked, mistakes = -confidence[order], (~correct[order]).cumsum()
        rounds = 300 if images < 10_000 else 100
        found: dict[float, list[tuple[float, float]]] = {0.01: [], 0.02: [], 0.05: [], 0.1: []}
        for _ in range(rounds):
            for each in risk_thresholds(*confidences(generator, images, ease, wrong_labels)):
                if each.risk in found:
                    answered = int(np.searchsorted(ranked, -each.threshold, side="right"))
                    risk = mistakes[answered - 1] / answered if answered else 0.0
                    found[each.risk].append((risk, answered / len(order)))
        texts = [
            f"{100 * limit:g}%: {sum(risk > limit for risk, _ in chosen) / rounds:.3f}, "
            f"{1 - len(chosen) / rounds:.2f}, "
            f"{np.mean([coverage for _, coverage in chosen] or [0]):.2f}"
            for limit, chosen in found.items()
        ]
        print(f"{correct.mean():.3f}, {wrong_labels}, {images:,} | {'; '.join(texts)}", flush=True)


def areas() -> None:
    """Print the coverage of the area under the risk-coverage curve, and of a paired difference."""
    selective.DRAWS = 300  # for time; the quantiles of fewer draws are noisier, not wider
    print("accuracy, images | area, coverage of its interval and of that of a difference")
    generator = np.random.default_rng(7)
    for ease, images in product((1.0, 2.5, 4.0, 6.0), (359, 1000)):

        def models(count: int, ease: float = ease) -> list[tuple[NDArray[np.float64], Any]]:
            confidence, correct = confidences(generator, count, ease)
            blurred = special.logit(confidence) + generator.normal(0, 1, count)
            return [(confidence, correct), (special.expit(blurred), correct)]

        many = models(400_000)
        first, second = (risk_curve(*model)[1].mean() for model in many)
        covered = np.zeros(2)
        for _ in range(200):
            one, two = selective.areas(models(images))
            covered += (
                one.interval[0] <= first <= one.interval[1],
                two.difference_interval[0] <= second - first <= two.difference_interval[1],
            )
        shares = ", ".join(f"{share:.3f}" for share in covered / 200)
        print(f"{many[0][1].mean():.3f}, {images:,} | {first:.5f}, {shares}", flush=True)


def true_error(truth: NDArray[np.float64], fraction: float) -> float:
    """Return the true error a + b·x^-c at a fraction x of the largest number of images."""
    a, b, c = truth
    return float(min(a + b * fraction**-c, 0.9))


def learning_measured(
    generator: np.random.Generator, truth: NDArray[np.float64], largest: int, validation: int,
    relative: float,
) -> Measured:  # fmt: skip
    """Return the errors of a learning curve of 6 sizes and 3 seeds, on common validation images.

    Args:
        generator: source of random numbers.
        truth: a, b and c of the true curve a + b·(n/N)^-c.
        largest: number of training images N.
        validation: number of validation images.
        relative: standard deviation of the true error over trainings, relative to the error.
    """
    fractions = 2.0 ** np.repeat(np.arange(-5, 1), 3)
    error = np.array([true_error(truth, fraction) for fraction in fractions])
    error = np.clip(error * (1 + relative * generator.standard_normal(18)), 1e-4, 0.95)
    ease = np.sqrt(SHARED + OWN) * generator.standard_normal(validation)
    noise = np.sqrt(1 - SHARED - OWN) * generator.standard_normal((18, validation))
    wrong = ease + noise < stats.norm.ppf(error)[:, None]
    images = np.rint(largest * fractions).astype(np.int64)
    return Measured(images, np.tile(np.arange(3), 6), images, wrong.mean(axis=1), validation, 1.0)


def learning_covered(cases: int, seed: int = 6) -> dict[str, float]:
    """Return how often the intervals of learning curves hold the truth.

    Curves, numbers of images and spreads over trainings are drawn anew in each case.

    Returns:
        Shares of the cases: `now` and `twice` for the error at the largest training and with twice
        its images, `needed` for the number of images that an error needs which 1.5 times as many
        reach, and `order` for how often a model is said to be better than one which it is not, at
        any number of images.
    """
    generator = np.random.default_rng(seed)
    counts = np.zeros(4)
    for case in range(cases):
        truths, curves = [], []
        largest, validation = (
            int(generator.integers(500, 20_000)),
            int(generator.choice([200, 1000])),
        )
        for model in range(2):
            c, now = generator.uniform(0.15, 1.0), np.exp(generator.uniform(*np.log([0.02, 0.3])))
            share = generator.uniform(0, 0.7)  # of the error that more images do not reduce
            truth = np.array([share * now, (1 - share) * now, c])
            spread = generator.uniform(0.03, 0.15)
            measured = learning_measured(generator, truth, largest, validation, spread)
            truths.append(truth)
            curves.append(LearningCurve(measured, seed=2 * case + model))
        curve = curves[0]
        for i, times in enumerate((1, 2)):
            low, high = curve.interval(times * largest)
            counts[i] += low <= true_error(truths[0], times) <= high
        _, (low, high) = curve.needed(true_error(truths[0], 1.5))
        counts[2] += low <= 1.5 * largest <= high
        found = learning_curve.order_of(curves[0], curves[1], 0.0)
        differences = [
            true_error(truths[0], n) - true_error(truths[1], n) for n in found.images / largest
        ]
        counts[3] += bool((found.word * np.array(differences) < 0).any())
    return dict(zip(("now", "twice", "needed", "order"), (counts / cases).tolist(), strict=True))


def learning() -> None:
    """Print the coverage of the intervals of learning curves."""
    for name, share in learning_covered(200).items():
        print(f"{name}: {share:.3f}")


def random_covered(trials: int, rounds: int) -> tuple[float, float, float]:
    """Return how often the band of a random search holds the true median, and what doubling brings.

    Scores are drawn from a beta distribution, whose quantiles are known.

    Args:
        trials: number of trials.
        rounds: number of simulated searches.

    Returns:
        Share of the searches whose band holds the true median best score at all numbers of trials,
        mean gain of the best score by as many further trials, and the mean stated bound of it.
    """
    generator = np.random.default_rng(7)
    numbers = np.arange(1.0, 2 * trials + 1)
    true = stats.beta(8, 2).ppf(0.5 ** (1 / numbers))
    held, gain, bound = 0, 0.0, 0.0
    for scores in generator.beta(8, 2, size=(rounds, 2 * trials)):
        low, high = random_band(scores[:trials], numbers, (0.0, 1.0))
        held += bool(((low <= true) & (true <= high)).all())
        gain += scores.max() - scores[:trials].max()
        bound += most_to_gain(scores[:trials])
    return held / rounds, gain / rounds, bound / rounds


def budgets() -> None:
    """Print the coverage of the bands of random searches, and the bound of what doubling brings."""
    for trials in (5, 20, 60):
        held, gain, bound = random_covered(trials, 1000)
        print(f"{trials} trials: band {held:.3f}, doubling brings {gain:.4f}, stated {bound:.4f}")


def searches_covered(
    shape: tuple[float, float], count: int, trials: int, rounds: int, images: int | None = None
) -> tuple[float, float, float, float]:
    """Return how often bands over several searches hold the mean best score of such a search.

    Args:
        shape: parameters of the beta distribution of the scores of trials.
        count: number of searches.
        trials: trials of each search.
        rounds: number of simulations.
        images: validation images, of whose number a score is a fraction; None for any score.

    Returns:
        Coverage of the stated band (Student's t), of percentiles of resampled searches and of the
        bootstrap-t (Davison & Hinkley 1997, section 2.4), and how often the last one is wider than
        half of all scores.
    """
    generator = np.random.default_rng(9)

    def best_scores(*sizes: int) -> NDArray[np.float64]:
        best: NDArray[np.float64] = generator.beta(*shape, size=(*sizes, trials)).max(axis=-1)
        if images is not None:
            best = np.rint(best * images) / images
        return best

    true = best_scores(200_000).mean()
    counts = np.zeros(4)
    for best in best_scores(rounds, count):
        (low,), (high,) = mean_band(best[:, None], (0.0, 1.0))
        drawn = best[generator.integers(count, size=(1000, count))]
        means, spreads = drawn.mean(axis=1), drawn.std(axis=1)
        ends = np.quantile(means, [0.025, 0.975])
        # Of a resample without spread, the distance in standard deviations is all but infinite.
        distances = (means - best.mean()) / np.maximum(spreads, 1e-12)
        far = np.quantile(distances, [0.975, 0.025])
        inner = np.clip(best.mean() - far * best.std(), 0, 1)
        counts += (low <= true <= high, ends[0] <= true <= ends[1], inner[0] <= true <= inner[1],
                   inner[1] - inner[0] > 0.5)  # fmt: skip
    student, percentiles, studentised, wide = (counts / rounds).tolist()
    return student, percentiles, studentised, wide


def searches() -> None:
    """Print the coverage of bands over several searches."""
    print("scores, trials, images, searches | Student's t, percentiles, bootstrap-t, its wide ones")
    for (shape, trials), images, count in product(
        (((8.0, 2.0), 20), ((50.0, 1.0), 20), ((20.0, 0.5), 5)), (None, 10_000, 359), (3, 5, 10)
    ):
        found = searches_covered(shape, count, trials, 1000, images)
        shares = ", ".join(f"{share:.3f}" for share in found)
        print(f"Beta{shape}, {trials}, {images}, {count} | {shares}", flush=True)


PARTS = {
    each.__name__: each
    for each in (families, seeds, scores, calibrated, planned, models, chance, tuning, rejection,
                 areas, learning, budgets, searches)
}  # fmt: skip
"""Simulations by the names of their functions."""


def main() -> None:
    """Run the simulations that are named, or all."""
    for name in sys.argv[1:] or PARTS:
        print(f"\n{name}")
        PARTS[name]()


if __name__ == "__main__":
    main()
