import numpy as np
import pytest
from scipy import stats

from benchmarks.statistics import decided, predictions, seeds_covered
from tune_jobs.analysis.comparison.equivalence import decide, of_families, of_trained
from tune_jobs.analysis.comparison.statistics import paired_tests
from tune_jobs.analysis.comparison.two_way import difference_of_families, seed_spread


def test_the_variance_over_seeds_and_images_is_that_of_the_two_way_layout():
    generator = np.random.default_rng(0)
    first, second = predictions(generator, (0.8, 0.7), 4, 60, 0.02)
    found = difference_of_families(first, second)
    expected = noise = 0.0
    for correct in (first, second):
        expected += correct.mean(axis=1).var(ddof=1) / 4
        rest = correct - correct.mean(axis=1, keepdims=True) - correct.mean(axis=0) + correct.mean()
        noise += (rest**2).sum() / (3 * 59) / 4
    by_image = (first.mean(axis=0) - second.mean(axis=0)).var(ddof=1)
    expected += max(0, by_image - noise) / 60
    assert found.error**2 == pytest.approx(expected)
    assert found.difference == pytest.approx(first.mean() - second.mean())
    assert 3 <= found.freedom < 60 + 6


def test_the_sources_of_an_error_are_found_and_add_up():
    generator = np.random.default_rng(1)
    first, second = predictions(generator, (0.9, 0.9), 60, 5000, 0.01)
    found = difference_of_families(first, second)
    sources = found.components
    assert sources.seeds == pytest.approx(2 * 0.01**2, rel=0.4)
    total = (sources.seeds + sources.noise / 5000) / 60 + sources.images / 5000
    assert found.error**2 == pytest.approx(total)


@pytest.mark.parametrize(
    ("accuracies", "word", "low", "high"),
    [
        ((0.975, 0.975), "different", 0, 0.1),
        ((0.9825, 0.9675), "different", 0.45, 0.8),
        ((0.975, 0.965), "equivalent", 0, 0.1),
        ((0.995, 0.985), "equivalent", 0, 0.1),
    ],
)
def test_five_seeds_tell_families_apart_as_often_as_stated(accuracies, word, low, high):
    """At n = 359, and a seed deviation of 0.3 points, in 200 simulations."""
    shares = decided(accuracies, 5, 359, 0.003, 200)
    assert low <= shares[word] <= high


def test_one_training_is_about_trained_models_and_calls_equal_families_different():
    assert decided((0.9, 0.9), 1, 2000, 0.02, 60)["different"] > 0.3
    assert decided((0.9, 0.9), 3, 2000, 0.02, 60)["different"] < 0.15


def pair(first, second, margin=0.01, seeds=None):
    (decision,) = decide(paired_tests([(first, second)]), [seeds], margin)
    return decision


def right(images, *mistakes):
    correct = np.ones(images, dtype=bool)
    for start, stop in mistakes:
        correct[start:stop] = False
    return correct


@pytest.mark.parametrize(
    ("first", "second", "margin", "word"),
    [
        (right(1000, (0, 50)), right(1000, (0, 100)), 0.01, "better"),
        (right(1000, (0, 100)), right(1000, (0, 50)), 0.01, "worse"),
        (right(1000, (0, 50)), right(1000, (2, 52)), 0.01, "equivalent"),
        (right(1000, (0, 50)), right(1000, (50, 100)), 0.01, "undecided"),
        # A difference that is there, and does not matter.
        (right(10_000, (0, 100)), right(10_000, (0, 120)), 0.01, "equivalent"),
        (right(10_000, (0, 100)), right(10_000, (0, 120)), 0.002, "better"),
    ],
)
def test_a_pair_has_one_of_four_words(first, second, margin, word):
    assert pair(first, second, margin).word == word


def test_undecided_pairs_say_how_many_images_would_decide():
    decision = pair(right(1000, (0, 50)), right(1000, (50, 100)))
    assert decision.needed.seeds is None
    assert decision.needed.images == pytest.approx(0.1 / 0.01**2 * 2.93**2, rel=0.05)
    assert pair(right(1000, (0, 50)), right(1000, (50, 100)), 0.02).needed.images < 2500
    # Trained models are not enough for the families, but a clear difference needs few seeds.
    assert pair(right(1000, (0, 50)), right(1000, (0, 250))).needed_for_families.seeds == 3
    assert decision.needed_for_families.images > decision.needed.images


def test_two_seeds_are_about_trained_models_and_three_about_families():
    first, second = predictions(np.random.default_rng(2), (0.9, 0.8), 3, 500, 0.003)
    for count, basis in ((2, "trained models"), (3, "model families")):
        decision = pair(first[0], second[0], seeds=(first[:count], second[:count]))
        assert decision.estimate.basis == basis
    assert decision.word == "better"
    assert decision.needed.seeds is None or decision.needed.seeds >= 3


def test_perfect_families_are_not_certain_to_be_equal():
    perfect = np.ones((3, 100), dtype=bool)
    estimate = of_families(perfect, perfect)
    assert (estimate.difference, estimate.p) == (0, 1)
    low, high = estimate.interval
    assert low < -0.01 < 0.01 < high
    assert estimate.equivalence_p(0.01) > 0.05


def test_expected_regret_is_the_mean_loss():
    (test,) = paired_tests([(right(1000, (0, 50)), right(1000, (50, 110)))])
    estimate = of_trained(test)
    draws = stats.norm.rvs(estimate.centre, estimate.error, size=100_000, random_state=0)
    assert estimate.regret == pytest.approx(np.maximum(draws, 0).mean(), rel=0.02)
    first, second = predictions(np.random.default_rng(3), (0.9, 0.9), 3, 300, 0.01)
    estimate = of_families(first, second)
    draws = stats.t.rvs(estimate.freedom, estimate.centre, estimate.error, 100_000, random_state=0)
    assert estimate.regret == pytest.approx(np.maximum(draws, 0).mean(), rel=0.03)


def test_seed_variance_and_test_variance_are_told_apart():
    (correct,) = predictions(np.random.default_rng(6), (0.75,), 40, 2000, 0.02)
    spread = seed_spread(correct)
    assert spread.mean == pytest.approx(correct.mean())
    assert spread.deviation == pytest.approx(0.02, abs=0.01)
    assert spread.seed_error == pytest.approx(spread.deviation / np.sqrt(40))
    same = seed_spread(np.repeat(correct[:1], 3, axis=0))
    assert (same.deviation, same.seed_error) == pytest.approx((0, 0), abs=1e-12)
    assert same.test_error == pytest.approx(correct[0].std(ddof=1) / np.sqrt(2000))
    low, high = same.interval
    assert high - low == pytest.approx(2 * 1.96 * same.test_error, rel=5e-3)


@pytest.mark.parametrize(
    ("accuracy", "seeds", "deviation"),
    [(0.75, 3, 0.0), (0.9, 5, 0.02), (0.995, 3, 0.002), (0.999, 3, 0.0)],
)
def test_the_interval_over_seeds_covers_the_truth(accuracy, seeds, deviation):
    assert seeds_covered(accuracy, seeds, 359, deviation, 200) > 0.92


def test_seeds_without_a_mistake_are_not_certain_to_make_none():
    low, high = seed_spread(np.ones((3, 359), dtype=bool)).interval
    assert 0.97 < low < 0.995
    assert high == pytest.approx(1, abs=1e-9)
