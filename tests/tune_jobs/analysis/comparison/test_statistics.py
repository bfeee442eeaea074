import numpy as np
import pytest
from scipy import stats
from sklearn import metrics
from statsmodels.stats import contingency_tables

from tune_jobs.analysis.comparison import class_averages as averages
from tune_jobs.analysis.comparison.class_averages import (
    bootstrap_scores,
    class_averages,
    class_scores,
    confusion_matrix,
)
from tune_jobs.analysis.comparison.statistics import (
    paired_difference_interval,
    paired_tests,
    probability_better,
    seed_spread,
    smallest_difference,
    wilson,
)


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


def test_the_paired_test_is_that_of_fagerland_2014():
    # Airway hyper-responsiveness before and after stem cell transplantation, 21 children.
    (test,) = paired_tests([table(1, 1, 7, 12)])
    assert test.difference == pytest.approx(-6 / 21)
    assert test.p == pytest.approx(0.0703, abs=5e-5)
    assert test.interval == pytest.approx((-0.508, -0.013), abs=5e-4)
    assert (test.only_first, test.only_second, test.significant) == (1, 7, False)


def test_holm_is_that_of_a_worked_example(monkeypatch):
    # p of 0.01, 0.04, 0.03 and 0.005 become 0.03, 0.06, 0.06 and 0.02.
    ps = iter([0.01, 0.04, 0.03, 0.005])

    class Result:
        def __init__(self):
            self.pvalue = next(ps)

    monkeypatch.setattr(contingency_tables, "mcnemar", lambda *_, **__: Result())
    tests = paired_tests([table(5, 1, 2, 3)] * 4)
    assert [test.adjusted_p for test in tests] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [test.significant for test in tests] == [True, False, False, True]


def test_models_that_agree_do_not_differ_significantly():
    correct = np.array([True, False, True])
    (test,) = paired_tests([(correct, correct)])
    assert (test.difference, test.p, test.significant) == (0, 1, False)
    assert paired_tests([]) == []


def test_the_paired_test_finds_nothing_more_often_than_it_may():
    generator = np.random.default_rng(0)
    # Equal models that disagree on a fifth of 1,000 images.
    kinds = generator.multinomial(1000, [0.65, 0.1, 0.1, 0.15], size=10_000)
    found = {}
    for b, c in np.unique(kinds[:, 1:3], axis=0):
        found[b, c] = stats.binomtest(int(b), int(b + c)).pvalue < 0.05
    (test,) = paired_tests([table(*kinds[0])])
    assert test.p == pytest.approx(
        stats.binomtest(int(kinds[0, 1]), int(kinds[0, 1:3].sum())).pvalue
    )
    assert np.mean([found[b, c] for b, c in kinds[:, 1:3]]) <= 0.05


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
    ps = [stats.binomtest(b, b + c).pvalue if b + c else 1 for b, c, _ in kinds.tolist()]
    assert np.mean(np.array(ps) < 0.05) == pytest.approx(0.8, abs=0.05)


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
    low, high = bootstrap_scores(confusion)["recall"]
    assert low < 0.85 < high


def test_the_bootstrap_draws_images_of_each_class(predictions, monkeypatch):
    labels, predicted = predictions
    confusion = confusion_matrix(labels, predicted, 5)
    intervals = bootstrap_scores(confusion)
    assert intervals == bootstrap_scores(confusion)
    generator = np.random.default_rng(4)
    scores = []
    for _ in range(1000):
        drawn = np.concatenate(
            [generator.choice(np.flatnonzero(labels == k), (labels == k).sum()) for k in range(5)]
        )
        scores.append(class_averages(confusion_matrix(labels[drawn], predicted[drawn], 5)))
    for name, (low, high) in intervals.items():
        values = [getattr(score, name) for score in scores]
        assert (low, high) == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.006)
    monkeypatch.setattr(averages, "CELLS", 3 * 25)  # many blocks, as with many classes
    assert bootstrap_scores(confusion) == intervals


def test_the_bootstrap_covers_the_truth_95_times_in_100(monkeypatch):
    monkeypatch.setattr(averages, "DRAWS", 400)
    generator = np.random.default_rng(5)
    rows = np.array([[0.8, 0.15, 0.05], [0.1, 0.85, 0.05], [0.2, 0.1, 0.7]])
    images = np.array([400, 300, 300])
    truth = class_averages((rows * images[:, None] * 1000).round().astype(int))
    covered = []
    for i in range(10_000):
        drawn = generator.multinomial(images, rows)
        intervals = bootstrap_scores(drawn, seed=i)
        covered.append(
            [low <= getattr(truth, name) <= high for name, (low, high) in intervals.items()]
        )
    np.testing.assert_allclose(np.mean(covered, axis=0), 0.95, atol=0.01)


def test_seed_variance_and_test_variance_are_told_apart():
    generator = np.random.default_rng(6)
    # Seeds move the accuracy by 2 points; images are as hard as they are for all of them.
    hard = generator.beta(3, 1, 2000)
    shifts = generator.normal(0, 0.02, 40)
    correct = generator.random((40, 2000)) < np.clip(hard + shifts[:, None], 0, 1)
    spread = seed_spread(correct)
    assert spread.mean == pytest.approx(correct.mean())
    assert spread.deviation == pytest.approx(0.02, abs=0.008)
    assert spread.seed_error == pytest.approx(spread.deviation / np.sqrt(40))
    assert spread.test_error == pytest.approx(hard.std() / np.sqrt(2000), rel=0.1)
    same = seed_spread(np.repeat(correct[:1], 3, axis=0))
    assert (same.deviation, same.seed_error) == pytest.approx((0, 0), abs=1e-12)
    assert same.test_error == pytest.approx(correct[0].std(ddof=1) / np.sqrt(2000))
    low, high = same.interval
    assert high - low == pytest.approx(2 * 1.96 * same.test_error, rel=1e-3)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(
    ("moved", "low", "high"), [(0, 0.97, 0.99), (1, 0.965, 0.99), (2, 0.94, 0.97)]
)
def test_the_interval_over_seeds_covers_the_truth_as_often_as_it_says(seeds, moved, low, high):
    generator = np.random.default_rng(8)
    images, shares = 500, stats.beta(3, 1)
    # Seeds move the mean by so many times what images do.
    shift = moved * 0.8 * shares.std() * np.sqrt(seeds / images)
    covered = []
    for _ in range(1000):
        hard = 0.1 + 0.8 * generator.beta(3, 1, images)
        chance = hard + generator.normal(0, shift, seeds)[:, None]
        interval = seed_spread(generator.random((seeds, images)) < chance).interval
        covered.append(interval[0] <= 0.1 + 0.8 * shares.mean() <= interval[1])
    assert low < np.mean(covered) < high


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
