import numpy as np
import pytest
from scipy import special

from tune_jobs.analysis.comparison import rejection
from tune_jobs.analysis.comparison.rejection import (
    areas,
    images_for,
    realised,
    risk_curve,
    risk_thresholds,
)


def drawn(generator, images, wrong_labels=0.0):
    """Confidences, and whether the predictions of a calibrated model are correct."""
    confidence = special.expit(generator.normal(2.5, 2, images))
    correct = generator.random(images) < confidence
    return confidence, correct & (generator.random(images) >= wrong_labels)


@pytest.mark.parametrize(("images", "wrong_labels"), [(300, 0.0), (300, 0.01), (2000, 0.01)])
def test_the_risk_is_below_the_limit_in_95_of_100_choices(images, wrong_labels):
    generator = np.random.default_rng(0)
    truth = drawn(generator, 200_000, wrong_labels)
    order = np.argsort(-truth[0])
    risks = (~truth[1][order]).cumsum() / np.arange(1, len(order) + 1)
    rounds, exceeded, found = 100, [], []
    for _ in range(rounds):
        for each in risk_thresholds(*drawn(generator, images, wrong_labels)):
            answered = np.searchsorted(-truth[0][order], -each.threshold, side="right")
            exceeded.append((each.risk, risks[answered - 1] > each.risk))
            found.append(each.risk)
    for risk in (0.03, 0.05, 0.1):
        above = sum(too_high for limit, too_high in exceeded if limit == risk)
        assert above / rounds <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / rounds), risk
    assert found.count(0.1) > 0.8 * rounds  # and it is no empty promise
    assert images < 2000 or found.count(0.05) > 0.8 * rounds


@pytest.mark.parametrize(("risk", "mistakes", "images"), [(0.05, 0, 59), (0.01, 0, 299),
                                                          (0.05, 1, 93)])  # fmt: skip
def test_so_many_answers_are_needed_to_show_a_risk(risk, mistakes, images):
    """As in tables of the rule of three and of sampling by attributes."""
    assert images_for(risk, mistakes) == images


def test_a_risk_that_the_images_cannot_show_has_no_threshold():
    def risks(images):
        confidence, correct = np.full(images, 0.9), np.ones(images, dtype=bool)
        return [each.risk for each in risk_thresholds(confidence, correct)]

    assert 0.05 not in risks(58)
    assert 0.05 in risks(59)
    assert risks(5) == []


def test_a_confident_mistake_does_not_end_the_search():
    confidence = np.linspace(0.999, 0.8, 1000)
    correct = np.ones(1000, dtype=bool)
    correct[3] = False
    lowest = risk_thresholds(confidence, correct)[0]
    assert (lowest.risk, lowest.coverage) == (0.01, 1.0)


def test_coverage_and_risk_at_a_threshold_are_counted():
    confidence = np.array([0.9, 0.8, 0.8, 0.7, 0.2])
    correct = np.array([True, True, False, True, False])
    found = realised(confidence, correct, 0.8)
    assert (found.answered, found.coverage, found.risk) == (3, 0.6, 1 / 3)
    assert found.risk_interval[0] < 1 / 3 < found.risk_interval[1]
    none = realised(confidence, correct, 0.95)
    assert (none.answered, none.coverage, none.risk_interval) == (0, 0, (0, 1))


def test_images_of_one_confidence_are_answered_together():
    coverage, risk = risk_curve(
        np.array([0.9, 0.8, 0.8, 0.7]), np.array([True, False, True, False])
    )
    assert coverage.tolist() == [0.25, 0.75, 0.75, 1]
    assert risk == pytest.approx([0, 1 / 3, 1 / 3, 1 / 2])
    (area,) = areas([(np.array([0.9, 0.8, 0.8, 0.7]), np.array([True, False, True, False]))])
    assert area.value == pytest.approx((2 / 3 + 1 / 2) / 4)


def test_areas_are_covered_and_their_differences_are_paired(monkeypatch):
    monkeypatch.setattr(rejection, "DRAWS", 200)
    generator = np.random.default_rng(1)
    truth = risk_curve(*drawn(generator, 200_000))[1].mean()
    covered = []
    for _ in range(40):
        confidence, correct = drawn(generator, 359)
        noisy = special.expit(special.logit(confidence) + generator.normal(0, 0.3, 359))
        first, second = areas([(confidence, correct), (noisy, correct)])
        covered.append(first.interval[0] <= truth <= first.interval[1])
        low, high = second.difference_interval
        assert second.difference == pytest.approx(second.value - first.value)
        assert high - low < first.interval[1] - first.interval[0]
    assert np.mean(covered) >= 0.88
