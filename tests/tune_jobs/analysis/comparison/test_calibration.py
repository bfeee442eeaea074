import numpy as np
import pytest
from scipy import special

from benchmarks.statistics import calibration_covered
from tune_jobs.analysis.comparison.calibration import (
    bins_of,
    calibration_error,
    fit_temperature,
    reliability,
)

CLASSES = 5


def drawn(images, temperature, seed=0):
    """Logits and labels drawn from softmax(logits / temperature)."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (images, CLASSES)).astype(np.float32)
    p = special.softmax(logits / temperature, axis=1)
    labels = (p.cumsum(axis=1) < generator.random((images, 1))).sum(axis=1)
    return logits, labels


@pytest.mark.parametrize("truth", [0.5, 1.0, 2.5])
def test_the_temperature_of_the_labels_is_found(truth):
    assert fit_temperature(*drawn(20_000, truth)) == pytest.approx(truth, rel=0.05)


def test_a_model_without_errors_keeps_finite_probabilities():
    logits = np.eye(CLASSES, dtype=np.float32)[np.arange(50) % CLASSES]
    temperature = fit_temperature(logits, np.arange(50) % CLASSES)
    # As if one image in 51 were of any class.
    p = special.softmax(logits[0] / temperature)
    assert p[0] == pytest.approx(1 - 0.8 / 51, abs=1e-3)


def test_a_temperature_mends_the_probabilities_and_no_prediction():
    logits, labels = drawn(4000, 3.0)
    before, after = (reliability(logits, labels, t) for t in (1.0, 3.0))
    assert before.error_interval[0] > 0.05
    assert after.error_interval[0] == 0
    assert after.error < 0.02
    assert before.confidence - after.confidence > 0.1
    for name in ("log_loss", "brier"):
        low, high = getattr(after, f"{name}_interval")
        assert low < getattr(after, name) < high < getattr(before, name)
    assert np.mean([each.accuracy for each in after.bins]) == pytest.approx(
        (logits.argmax(1) == labels).mean(), abs=1e-3
    )


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_the_interval_of_the_calibration_error_covers_it(shift):
    """Probabilities that are too high by the same amount everywhere."""
    generator = np.random.default_rng(1)
    covered = []
    for _ in range(40):
        confidence = 0.1 + 0.9 * generator.beta(8, 2, 359)
        correct = (generator.random(359) < confidence - shift).astype(float)
        _, (low, high) = calibration_error(confidence, correct, bins_of(confidence))
        covered.append(low <= shift <= high)
    assert np.mean(covered) >= 0.9


def test_the_interval_covers_the_error_of_a_nearly_perfect_model_that_is_too_sure():
    *_, covered = calibration_covered(10, 359, 5.0, 2.0, 100)
    assert covered >= 0.92


@pytest.mark.parametrize("images", [1, 19, 45, 10_000])
def test_bins_have_equally_many_images(images):
    counts = bins_of(np.random.default_rng(0).random(images)).sum(axis=1)
    assert counts.sum() == images
    assert counts.max() - counts.min() <= 1
