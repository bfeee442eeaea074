import numpy as np
import pytest

from trainables.corruptions import CORRUPTIONS, SEVERITIES
from tune_jobs.analysis.comparison import robustness
from tune_jobs.analysis.comparison.robustness import (
    Corrupted,
    corruption_errors,
    robustness_differences,
)

STRENGTHS = [[0.0] * len(SEVERITIES)] * len(CORRUPTIONS)


def corrupted(correct):
    shape = len(CORRUPTIONS), len(SEVERITIES), np.shape(correct)[-1]
    return Corrupted(CORRUPTIONS, STRENGTHS, 8, np.broadcast_to(correct, shape))


def drawn(generator, images, ability):
    """Predictions that are right where an image is easy enough for the model and severity."""
    ease = generator.normal(size=images)
    hard = np.array([0.0, 0.3, 0.6, 0.9, 1.2])[:, None]
    return [
        corrupted(own - hard + ease + generator.normal(size=(6, 5, images)) > 0) for own in ability
    ]


def test_errors_are_relative_to_those_of_the_baseline():
    images = 40
    half, quarter = np.arange(images) < 20, np.arange(images) < 30
    errors = corruption_errors(corrupted(quarter), corrupted(half))
    assert errors.by_corruption == [0.5] * 6
    assert errors.mean == 0.5
    assert errors.interval[0] < 0.5 < errors.interval[1] < 1
    itself = corruption_errors(corrupted(half), corrupted(half))
    assert (itself.mean, itself.interval) == (1, (1, 1))


def test_a_baseline_without_errors_has_no_ratio():
    correct = np.ones((6, 5, 10), dtype=bool)
    correct[1:, :, 0] = False
    errors = corruption_errors(corrupted(~correct), corrupted(correct))
    assert np.isnan(errors.by_corruption[0])
    assert errors.by_corruption[1] == 9
    assert np.isnan(errors.mean)
    assert errors.interval is None


def test_intervals_cover_and_equal_models_do_not_differ(monkeypatch):
    monkeypatch.setattr(robustness, "DRAWS", 200)
    generator = np.random.default_rng(0)
    many = drawn(generator, 20_000, (1.5, 1.0))
    truth = (1 - many[0].accuracy) / (1 - many[1].accuracy)  # the same for every corruption
    difference = many[1].accuracy - many[0].accuracy
    hits, different = [], []
    for _ in range(40):
        good, base, same = drawn(generator, 300, (1.5, 1.0, 1.0))
        errors = corruption_errors(good, base)
        first, _ = robustness_differences(good, [base, same])
        again = robustness_differences(base, [same])[0]
        hits.append(
            [
                errors.interval[0] <= truth <= errors.interval[1],
                first.interval[0] <= difference <= first.interval[1],
                good.interval[0] <= many[0].accuracy <= good.interval[1],
            ]
        )
        different.append([first.significant, again.significant])
    assert (np.mean(hits, axis=0) >= 0.88).all()
    assert np.mean(different, axis=0)[0] == 1
    assert np.mean(different, axis=0)[1] <= 0.1


def test_models_that_agree_on_every_image_have_an_interval():
    (same,) = robustness_differences(corrupted(np.arange(50) < 40),
                                     [corrupted(np.arange(50) < 40)])  # fmt: skip
    assert same.difference == 0
    assert same.interval[0] < 0 < same.interval[1]
    assert same.adjusted_p == pytest.approx(1)
