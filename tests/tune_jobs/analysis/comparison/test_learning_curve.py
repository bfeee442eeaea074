import numpy as np
import pytest

from benchmarks.statistics import learning_covered, learning_measured
from tests.tune_jobs.analysis.comparisons import make_comparison, with_learning_curves
from tune_jobs.analysis.comparison import learning_curve
from tune_jobs.analysis.comparison.data_efficiency import (
    needed_words,
    order_words,
    sentences,
)
from tune_jobs.analysis.comparison.further_tables import learning_curve_frame
from tune_jobs.analysis.comparison.learning_curve import (
    LearningCurve,
    Measured,
    Order,
    cells_of,
    fit,
    order_of,
    variance_model,
)

IMAGES = np.repeat([50, 100, 200, 400, 800, 1600], 3)


def measured(errors, validation=500):
    return Measured(IMAGES, np.tile([1, 2, 3], 6), IMAGES, np.asarray(errors), validation, 0.9)


def curve(now, exponent, share=0.0, spread=0.05, seed=0):
    """A curve of errors that scatter around a power law."""
    generator = np.random.default_rng(seed)
    true = now * (share + (1 - share) * (IMAGES / 1600) ** -exponent)
    return LearningCurve(measured(true * (1 + spread * generator.standard_normal(18))), seed)


@pytest.mark.parametrize("truth", [(0.02, 0.08, 0.5), (0.0, 0.02, 1.0), (0.1, 0.05, 0.3)])
def test_an_exact_power_law_is_found(truth):
    a, b, c = truth
    images = np.array([1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0])
    ((found_a, found_b, found_c),) = fit(images, (a + b * images**-c)[None], np.full(6, 1e-4))
    assert found_c == pytest.approx(c, rel=0.05)  # of the exponents that are tried
    assert found_a + found_b * 2**-found_c == pytest.approx(a + b * 2**-c, abs=1e-3)


def test_errors_that_do_not_fall_have_a_flat_curve():
    ((_, b, _),) = fit(np.array([0.25, 0.5, 1]), np.array([[0.1, 0.11, 0.12]]), np.ones(3))
    assert b == 0


def test_variances_are_those_of_small_and_of_all_trainings():
    images = np.array([50.0, 100, 200, 400, 800])
    found = variance_model(images, 1e-5 + 0.02 / images, np.array([50.0, 1600]))
    assert found == pytest.approx([1e-5 + 0.02 / 50, 1e-5 + 0.02 / 1600], rel=0.01)


def test_all_images_are_one_training_set_however_many_seeds():
    cells = cells_of(curve(0.05, 0.5, spread=0.1).measured)
    assert cells.images.tolist() == [50, 100, 200, 400, 800, 1600]
    assert cells.degrees == 10
    own = variance_model(cells.images[:5], cells.variances[:5], cells.images)
    assert cells.variances[-1] > 1.5 * own[-1]


def test_sizes_that_are_hardly_better_than_a_constant_answer_are_left_out():
    law = 0.3 * (IMAGES / 1600) ** -0.35
    early = np.where(IMAGES < 150, 0.88, law)
    assert LearningCurve(measured(early)).cells.images.tolist() == [200, 400, 800, 1600]
    assert LearningCurve(measured(early)).formula[2] == pytest.approx(0.35, rel=0.05)
    everything = LearningCurve(measured(np.full(18, 0.89)))
    assert len(everything.cells.images) == 4  # whatever they are


def test_heads_that_no_seed_changes_are_not_certain():
    same = LearningCurve(measured(0.3 * (IMAGES / 1600) ** -0.5))
    low, high = same.interval(1600)
    assert high - low > 0.02  # other validation images


def test_intervals_hold_the_truth_as_often_as_stated(monkeypatch):
    """90% of 200 cases, and 60 of them here."""
    monkeypatch.setattr(learning_curve, "DRAWS", 200)
    monkeypatch.setattr(learning_curve, "EXPONENTS", learning_curve.EXPONENTS[::2])
    found = learning_covered(60)
    assert min(found["now"], found["twice"], found["needed"]) >= 0.9
    assert found["order"] <= 0.15


def test_the_number_of_images_for_an_error_is_where_the_curve_has_it():
    one = curve(0.05, 0.5, share=0.2)
    images, (low, high) = one.needed(0.1)
    assert one.at(np.array([images]))[0] == pytest.approx(0.1)
    assert low < images < high
    assert 100 < images < 1600


@pytest.mark.parametrize(
    ("accuracy", "words"),
    [(0.2, "fewer than 50"), (0.9, "to"), (0.97, "not stated"), (0.9999, "not stated")],
)
def test_nothing_is_stated_beyond_twice_the_images(accuracy, words):
    assert words in needed_words(curve(0.05, 0.5), accuracy)


def test_an_upper_end_beyond_twice_the_images_is_no_number():
    one = curve(0.05, 0.5)
    assert "to more than 3,200)" in needed_words(one, 1 - 0.0385)


def test_the_model_that_needs_fewer_images_is_found_on_both_sides_of_the_crossing():
    own, pretrained = curve(0.05, 0.7, seed=0), curve(0.1, 0.25, seed=1)
    found = order_of(own, pretrained, 0.5)
    (crossing,) = found.crossings
    assert 250 < crossing < 480  # 0.05 x^-0.7 = 0.1 x^-0.25 at x = 0.21 of 1,600
    assert found.word[0] == 1
    assert found.word[-1] == -1
    text = order_words("the CNN", "the ResNet", found)
    assert text.startswith("the ResNet has the lower error up to ")
    assert "and the CNN has the lower error from" in text
    assert "elsewhere their order is undecided" in text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([0, 0, 0], "their order is undecided from 10 to 1,000 images"),
        ([-1, -1, -1], "a has the lower error at every number of images from 10 to 1,000"),
        ([1, 1, 0], "b has the lower error up to 100 images; elsewhere their order is undecided"),
        ([0, 0, -1], "a has the lower error from 1,000 images on; elsewhere"),
    ],
)
def test_an_order_is_said_in_words(words, text):
    found = Order(np.array([10.0, 100.0, 1000.0]), np.array(words), [])
    assert order_words("a", "b", found).startswith(text)


def test_the_verdict_says_which_model_needs_fewer_images_and_what_more_would_bring():
    comparison = with_learning_curves(make_comparison(), [(0.05, 0.7), (0.1, 0.25)])
    first, second = sentences(comparison)
    assert "pretrained ResNet18 has the lower error up to" in first
    assert second.startswith("With twice the 1,600 training images, the validation error of")
    assert sentences(make_comparison()) == []


def test_the_table_has_every_training_and_twice_the_images():
    comparison = with_learning_curves(make_comparison(), [(0.05, 0.7), (0.1, 0.25)])
    frame = learning_curve_frame(comparison)
    assert len(frame) == 2 * (18 + 1)
    one = frame[frame["model"] == comparison.chosen.name]
    assert one["train_images"].max() == 3200
    assert one["seed"].isna().sum() == 1
    expected = one["a"] + one["b"] * one["train_images"] ** -one["c"]
    assert one["fitted"].tolist() == pytest.approx(expected.tolist())
    assert (one["fitted/low"] <= one["fitted"]).all()
    assert (one["fitted"] <= one["fitted/high"]).all()
    assert learning_curve_frame(make_comparison()).empty


def test_measured_errors_share_their_validation_images():
    generator = np.random.default_rng(0)
    found = [
        learning_measured(generator, np.array([0.1, 0.0, 0.5]), 1000, 200, 0.01).errors
        for _ in range(50)
    ]
    assert np.corrcoef(np.array(found).T)[0, -1] > 0.3
