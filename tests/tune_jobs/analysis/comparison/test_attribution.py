import numpy as np
import pytest

from tests.tune_jobs.analysis.comparisons import make_attributions, make_comparison
from tune_jobs.analysis.comparison.attribution import (
    SAMPLE,
    mapped_images,
    rank_correlation,
)
from tune_jobs.analysis.comparison.further_tables import attribution_table
from tune_jobs.analysis.report.sections import attribution, trade_offs


def test_images_are_chosen_by_a_fixed_rule():
    labels = np.arange(400) % 10
    correct = labels != 3
    correct[::7] = False
    found = mapped_images(correct, labels)
    assert len(found.sample) == SAMPLE
    assert correct[found.correct].all()
    assert not correct[found.mistakes].any()
    assert len(set(labels[found.correct])) == len(set(labels[found.mistakes])) == 3
    assert found.every.tolist() == mapped_images(correct, labels).every.tolist()
    assert len(mapped_images(labels >= 0, labels).mistakes) == 0


def test_correlations_are_of_absolute_values():
    values = np.random.default_rng(0).normal(size=(8, 8))
    assert rank_correlation(values, -values) == pytest.approx(1)
    assert rank_correlation(values, np.zeros((8, 8))) == 0


@pytest.mark.parametrize(
    ("covered", "alike", "outcome", "words"),
    [
        (0.2, False, "passed", "passed the check"),
        (0.2, True, "alike", "most of what they show is the image"),
        (0.9, False, "failed", "explain nothing"),
        (0.9, True, "failed", "explain nothing"),
    ],
)
def test_the_check_decides_what_the_page_says(covered, alike, outcome, words):
    comparison = make_comparison(attribution=(covered, alike))
    assert comparison.chosen.attributions.check.outcome == outcome
    assert words in str(attribution.section(comparison).blocks)
    assert "rank correlation" in trade_offs.attribution_maps(comparison.chosen)
    images = len(comparison.chosen.attributions.images.every)
    assert attribution_table(comparison).num_rows == 2 * images


def test_a_comparison_without_maps_has_no_section():
    comparison = make_comparison()
    assert attribution.section(comparison) is None
    assert trade_offs.attribution_maps(comparison.chosen) == "–"


def test_maps_that_are_noise_seldom_pass():
    generator = np.random.default_rng(0)
    images = mapped_images(np.arange(400) % 3 > 0, np.arange(400) % 10)
    outcomes = [
        make_attributions(images, 0.9, False, generator, spread=0.3).check.outcome
        for _ in range(100)
    ]
    assert outcomes.count("failed") >= 95
