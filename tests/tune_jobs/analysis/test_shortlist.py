import math

import numpy as np
import pytest
from scipy import stats

from trainables.target import ACCURACY, TARGETS
from tune_jobs.analysis.shortlist import Judged, plot_shortlist, rank, resampled_interval


def judged(model, resampled, score=0.8, **changes) -> Judged:
    row: Judged = {
        "model": model, "run": None, "trial": model, "status": "finished", "error": None,
        "image_size": 224, "penalty": 0.1, "score": score, "score_low": score - 0.05,
        "score_high": score + 0.05, "resampled": list(resampled), "parameters": 10**6,
        "macs": 1e9, "latency_ms": 5.0, "features_s": 20.0, "weights": None, "licence": "mit",
        "source": None,
    }  # fmt: skip
    return {**row, **changes}


def test_the_interval_covers_the_mean_of_new_images_as_often_as_it_says():
    """With splits that share images; the uncorrected interval covers it far less often."""
    rng = np.random.default_rng(0)
    images, held, splits, truth = 200, 40, 10, 0.8
    covered = naive = 0
    for _ in range(400):
        hits = rng.random(images) < truth
        # A classifier that does not depend on what it is fitted to: splits only share images.
        values = np.array([hits[rng.permutation(images)[:held]].mean() for _ in range(splits)])
        low, high = resampled_interval(values, held / (images - held))
        covered += low <= truth <= high
        half = stats.t.ppf(0.975, splits - 1) * values.std(ddof=1) / math.sqrt(splits)
        naive += abs(values.mean() - truth) <= half
    assert covered / 400 > 0.93
    assert naive / 400 < 0.85


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_networks_are_ranked_by_their_mean_and_ties_are_named(metric):
    base = np.linspace(0.80, 0.84, 10)
    noise = np.array([0.001, -0.001] * 5)
    worse = -1 if metric == "accuracy" else 1
    rows = [
        judged("far", base + worse * 0.2 + noise),
        judged("best", base),
        judged("near", base + worse * 0.0001 + noise),
    ]
    ranked = rank(rows, TARGETS[metric], 0.25)
    assert [(row["model"], row["rank"], row["tied"]) for row in ranked] == [
        ("best", 1, True), ("near", 2, True), ("far", 3, False),
    ]  # fmt: skip
    assert ranked[2]["behind"] == pytest.approx(0.2)
    assert ranked[2]["behind_low"] < 0.2 < ranked[2]["behind_high"]
    assert ranked[0]["behind"] == 0


def test_trials_of_other_runs_and_failures_come_last_without_a_rank():
    rows = [
        judged("failed", [], math.nan, status="failed", error="no weights"),
        judged("cnn", [], 0.9, run="runs/lr-grid"),
        judged("network", [0.7] * 10),
    ]
    ranked = rank(rows, ACCURACY, 0.25)
    assert [row["model"] for row in ranked] == ["network", "cnn", "failed"]
    assert [row["rank"] for row in ranked] == [1, None, None]
    assert math.isnan(ranked[1]["mean"])


def test_the_figure_shows_every_network_with_a_score(tmp_path):
    rows = rank(
        [judged(f"n{i}", [0.7 + i / 100] * 10, macs=10.0 ** (8 + i)) for i in range(3)]
        + [judged("cnn", [], 0.6, run="runs/lr-grid"), judged("none", [], math.nan)],
        ACCURACY,
        0.25,
    )
    figure = plot_shortlist(rows, ACCURACY)
    (ax,) = figure.axes
    texts = {text.get_text() for text in ax.texts}
    assert {"1", "2", "3", "4"} <= texts
    assert any("n2" in text and "cnn" in text and "none" not in text for text in texts)
    assert plot_shortlist([], ACCURACY).axes == []
