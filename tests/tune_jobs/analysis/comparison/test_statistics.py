import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from benchmarks.statistics import scores_covered
from tune_jobs.analysis.comparison import class_averages as averages
from tune_jobs.analysis.comparison.class_averages import (
    class_averages,
    class_scores,
    confusion_matrix,
    score_intervals,
)
from tune_jobs.analysis.comparison.statistics import (
    holm,
    mid_p,
    paired_difference_interval,
    paired_tests,
    power_of_test,
    probability_better,
    resamples,
    smallest_difference,
    wilson,
)
from tune_jobs.analysis.formatting import with_interval


@pytest.mark.parametrize(
    ("correct", "images", "interval"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0000, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_wilson_is_that_of_newcombe_1998(correct, images, interval):
    assert wilson(correct, images) == pytest.approx(interval, abs=5e-5)


@pytest.mark.parametrize(("accuracy", "images"), [(0.74, 10_000), (0.97, 360), (0.5, 100)])
def test_wilson_covers_the_truth_95_times_in_100(accuracy, images):
    # Exactly: every count has its probability, so no draw is left to chance.
    counts = np.arange(images + 1)
    intervals = np.array([wilson(int(count), images) for count in counts])
    covered = (intervals[:, 0] <= accuracy) & (accuracy <= intervals[:, 1])
    assert stats.binom.pmf(counts, images, accuracy)[covered].sum() == pytest.approx(0.95, abs=0.01)


def table(n11, n12, n21, n22):
    """Which images of a paired 2×2 table the first and the second model classify correctly."""
    first = np.repeat([True, True, False, False], [n11, n12, n21, n22])
    second = np.repeat([True, False, True, False], [n11, n12, n21, n22])
    return first, second


def test_the_paired_test_is_that_of_fagerland_2013_and_2014():
    # Airway hyper-responsiveness before and after stem cell transplantation, 21 children.
    (test,) = paired_tests([table(1, 1, 7, 12)])
    assert test.difference == pytest.approx(-6 / 21)
    assert test.p == pytest.approx(0.0391, abs=5e-5)
    assert test.interval == pytest.approx((-0.508, -0.013), abs=5e-4)
    assert (test.only_first, test.only_second, test.significant) == (1, 7, True)


def test_holm_is_that_of_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_models_that_agree_do_not_differ_significantly():
    correct = np.array([True, False, True])
    (test,) = paired_tests([(correct, correct)])
    assert (test.difference, test.p, test.significant) == (0, 1, False)
    assert paired_tests([]) == []


def test_the_paired_test_finds_nothing_more_often_than_it_may():
    # Equal models that disagree on a fifth of 300 images, over all numbers of these, exactly.
    size = power_of_test(0, 0.2, 300)
    counts = np.arange(30, 91)
    found = [mid_p(b, n - b) < 0.05 for n in counts.tolist() for b in range(n + 1)]
    chances = [
        stats.binom.pmf(n, 300, 0.2) * stats.binom.pmf(np.arange(n + 1), n, 0.5) for n in counts
    ]
    assert size == pytest.approx(np.concatenate(chances)[found].sum(), abs=1e-3)
    assert size <= 0.0505
    assert [power_of_test(0, share, 359) <= 0.0505 for share in (0.02, 0.05, 0.3)] == [True] * 3


@pytest.mark.parametrize(
    "shares", [(0.65, 0.1, 0.1, 0.15), (0.7, 0.08, 0.02, 0.2), (0.9, 0.01, 0.03, 0.06)]
)
def test_the_interval_of_a_difference_covers_it_95_times_in_100(shares):
    generator = np.random.default_rng(1)
    kinds = generator.multinomial(1000, shares, size=10_000)
    intervals = np.array([paired_difference_interval(b, c, 1000) for _, b, c, _ in kinds.tolist()])
    truth = shares[1] - shares[2]
    covered = (intervals[:, 0] <= truth) & (truth <= intervals[:, 1])
    assert covered.mean() == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize(("discordant", "images"), [(0.2, 10_000), (0.05, 2000), (0.3, 360)])
def test_the_smallest_difference_is_found_four_times_in_five(discordant, images):
    difference = smallest_difference(discordant, images)
    generator = np.random.default_rng(2)
    shares = [(discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant]
    kinds = generator.multinomial(images, shares, size=2000)
    found = [mid_p(b, c) < 0.05 for b, c, _ in kinds.tolist()]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


def test_more_pairs_and_fewer_images_have_less_power():
    assert smallest_difference(0.2, 10_000) < smallest_difference(0.2, 10_000, tests=6)
    assert smallest_difference(0.2, 10_000) < smallest_difference(0.2, 1000)
    assert smallest_difference(0, 3) == 1


@pytest.fixture(scope="module")
def predictions():
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 5, 600)
    wrong = generator.integers(0, 4, 600)  # class 4 is never a mistake's
    predicted = np.where(generator.random(600) < 0.7, labels, wrong)
    return labels, np.where(predicted == 4, 3, predicted)  # nor is it ever predicted


def test_scores_equal_those_of_scikit_learn(predictions):
    labels, predicted = predictions
    confusion = confusion_matrix(labels, predicted, 5)
    np.testing.assert_array_equal(confusion, metrics.confusion_matrix(labels, predicted))
    options = {"zero_division": 0}
    ours = class_averages(confusion)
    theirs = metrics.precision_recall_fscore_support(
        labels, predicted, average="weighted", **options
    )
    assert (ours.precision, ours.recall, ours.f1) == pytest.approx(theirs[:3], abs=1e-12)
    assert ours.balanced_accuracy == pytest.approx(
        metrics.balanced_accuracy_score(labels, predicted), abs=1e-12
    )
    assert ours.macro_f1 == pytest.approx(
        metrics.f1_score(labels, predicted, average="macro", **options), abs=1e-12
    )
    each = metrics.precision_recall_fscore_support(labels, predicted, **options)
    np.testing.assert_allclose(class_scores(confusion), np.stack(each[:3], axis=1), atol=1e-12)


def test_a_class_without_an_image_counts_nothing():
    confusion = np.array([[8, 2, 0], [1, 9, 0], [0, 0, 0]])
    averages = class_averages(confusion)
    assert averages.recall == averages.balanced_accuracy == pytest.approx(0.85)
    assert averages.macro_f1 == pytest.approx(np.mean([16 / 19, 18 / 21]))
    low, high = score_intervals(confusion)["balanced_accuracy"]
    assert low < 0.85 < high


def test_intervals_of_scores_are_like_those_of_a_bootstrap_with_many_mistakes(
    predictions, monkeypatch
):
    labels, predicted = predictions
    confusion = confusion_matrix(labels, predicted, 5)
    intervals = score_intervals(confusion)
    assert intervals == score_intervals(confusion)
    generator = np.random.default_rng(4)
    scores = []
    for _ in range(1000):
        drawn = np.concatenate(
            [generator.choice(np.flatnonzero(labels == k), (labels == k).sum()) for k in range(5)]
        )
        scores.append(class_averages(confusion_matrix(labels[drawn], predicted[drawn], 5)))
    for name in ("f1", "balanced_accuracy", "macro_f1"):  # one class is never predicted
        low, high = intervals[name]
        values = [getattr(score, name) for score in scores]
        assert (low, high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=0.015)
    monkeypatch.setattr(averages, "CELLS", 100)  # many blocks, as with many classes
    assert score_intervals(confusion)["f1"] == pytest.approx(intervals["f1"], abs=0.005)


@pytest.mark.parametrize(("accuracy", "images"), [(0.8, 100), (0.98, 36), (0.995, 36)])
def test_intervals_of_scores_cover_the_truth_also_near_all_right(accuracy, images, monkeypatch):
    monkeypatch.setattr(averages, "DRAWS", 200)
    covered = scores_covered(accuracy, np.full(10, images), 200)
    assert {*covered} == {"precision", "f1", "balanced_accuracy", "macro_f1"}
    for share in covered.values():
        assert 0.9 < share <= 0.995  # 0.95, give or take three standard errors


def test_a_score_without_a_mistake_has_an_interval_and_few_images_a_class_have_none():
    right = np.eye(3, dtype=int)
    low, high = score_intervals(40 * right)["f1"]
    assert low < 0.99 < high
    assert set(score_intervals(right).values()) == {None}
    assert set(score_intervals(9 * right).values()) == {None}


def test_an_interval_is_never_hidden():
    assert with_interval(1, (1, 1)) == "100.00% (100.00 to 100.00)"
    assert with_interval(0.5, None) == "50.00% (not estimable)"


def test_the_interval_of_the_best_of_many_models_covers_it():
    generator = np.random.default_rng(10)
    right = generator.binomial(359, 0.9, (2000, 20)).max(axis=1)
    for models, low, high in ((1, 0.6, 0.9), (20, 0.94, 1)):
        bounds = {count: wilson(count, 359, models) for count in np.unique(right).tolist()}
        assert low < np.mean([a <= 0.9 <= b for a, b in map(bounds.get, right.tolist())]) < high


def test_the_chance_to_beat_is_mann_whitneys():
    first, second = np.array([0.71, 0.74, 0.73]), np.array([0.70, 0.73, 0.72, 0.69])
    share, (low, high) = probability_better(first, second)
    expected = stats.mannwhitneyu(first, second).statistic / 12
    assert share == pytest.approx(expected)
    assert low < share < high <= 1
    assert probability_better(second, first)[0] == pytest.approx(1 - share)
    assert probability_better(first, first)[0] == 0.5


def test_few_seeds_that_all_agree_are_no_certainty():
    first, second = np.array([0.71, 0.74, 0.73]), np.array([0.60, 0.63, 0.62])
    share, (low, high) = probability_better(first, second)
    assert (share, high) == (1, 1)
    assert 0.4 < low < 0.8
    assert probability_better(second, first) == (0, (0, pytest.approx(1 - low)))
    many = probability_better(np.linspace(0.7, 0.8, 30), np.linspace(0.5, 0.6, 30))
    assert many[1][0] > 0.9


@pytest.mark.parametrize(("shift", "seeds"), [(0, 5), (1, 5), (2, 10)])
def test_the_interval_of_the_chance_to_beat_covers_it(shift, seeds):
    generator = np.random.default_rng(7)
    truth = stats.norm.cdf(shift / np.sqrt(2))
    covered = []
    for _ in range(2000):
        first, second = generator.normal([[shift], [0]], 1, (2, seeds))
        low, high = probability_better(first, second)[1]
        covered.append(low <= truth <= high)
    assert np.mean(covered) > 0.94


def test_resamples_draw_each_image_as_often_as_any_other():
    drawn = resamples(np.random.default_rng(0), 4000, 7)
    assert (drawn.sum(axis=1) == 7).all()
    # A count is binomial: 7 draws, each with probability 1/7.
    for counts in drawn.T:
        assert counts.mean() == pytest.approx(1, abs=0.06)
        assert counts.var() == pytest.approx(6 / 7, rel=0.1)
    assert np.cov(drawn.T)[0, 1] == pytest.approx(-1 / 7, abs=0.05)
