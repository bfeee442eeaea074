import dataclasses
import math

import numpy as np
import pytest

from tests.tune_jobs.analysis.comparisons import (
    CIFAR10,
    IMAGES,
    make_comparison,
    with_learning_curves,
)
from trainables.config import TrialConfig
from tune_jobs.analysis.comparison import in_use
from tune_jobs.analysis.comparison.robustness import CorruptionErrors
from tune_jobs.analysis.comparison.student_report import LAYERS, NETWORKS, RATES, published
from tune_jobs.analysis.comparison.verdict import summary
from tune_jobs.analysis.report.blocks import Fold, Table, Text
from tune_jobs.analysis.report.sections import (
    calibration,
    costs,
    data_efficiency,
    equal_budget,
    error_analysis,
    label_check,
    method,
    overtuning,
    rejection,
    robustness,
    scores,
    seeds,
    significance,
    student_report,
    trade_offs,
    training,
)
from tune_jobs.analysis.report.summary import cards
from tune_jobs.analysis.style import MODEL_COLOURS, model_styles, zoom

CNN = "custom CNN, 32 px"


@pytest.fixture(scope="module")
def comparison():
    models = (("cnn", "none", 0.9, 0), ("resnet18", "default", 0.7, 0),
              ("densenet121", "default", 0.9, 4))  # fmt: skip
    latencies = (1.0, 10.0, 0.5)
    made = make_comparison(models, seeds=3, trials=True, latencies=latencies, robustness=True)
    return with_learning_curves(made, [(0.05, 0.7), (0.1, 0.25)])


def tables(section):
    def inside(blocks):
        for block in blocks:
            if isinstance(block, Table):
                yield block
            elif isinstance(block, Fold):
                yield from inside(block.blocks)

    return list(inside(section.blocks))


@pytest.mark.parametrize(
    "module",
    [
        scores,
        significance,
        seeds,
        costs,
        calibration,
        equal_budget,
        data_efficiency,
        rejection,
        robustness,
        error_analysis,
        label_check,
        training,
        student_report,
        trade_offs,
        method,
        overtuning,
    ],
)
def test_every_row_of_a_table_has_a_cell_a_column(module, comparison):
    section = module.section(comparison)
    assert section.title
    assert section.anchor
    for table in tables(section):
        assert {len(row) for row in table.rows} == {len(table.header)}


def test_accuracies_and_their_intervals_are_drawn(comparison):
    info = scores.accuracy_info(comparison)
    assert info.accuracies == [0.9, 0.7, 0.9]
    lines = scores.plot_accuracy(info).axes[0].lines
    for i, (low, high) in enumerate(info.intervals):
        assert lines[2 * i].get_xdata().tolist() == pytest.approx([100 * low, 100 * high])
        assert lines[2 * i + 1].get_xdata() == pytest.approx([100 * info.accuracies[i]])


def test_confusion_is_fractions_of_each_class(comparison):
    winner = comparison.chosen.winner
    fractions = scores.confusion_info([winner], CIFAR10).panels[winner.name]
    np.testing.assert_allclose(fractions.sum(axis=1), 1)
    wrong = 1 - np.diag(fractions)
    following = fractions[np.arange(10), (np.arange(10) + 1) % 10]
    np.testing.assert_allclose(wrong, following, atol=1e-12)
    assert np.diag(fractions).mean() == pytest.approx(0.9)


def test_other_trials_are_in_a_fold_of_their_own(comparison):
    folds = [block for block in scores.section(comparison).blocks if isinstance(block, Fold)]
    fold = next(each for each in folds if each.title.startswith("All other trials"))
    assert [row[0] for row in fold.blocks[0].rows] == [s.name for s in comparison.trials]


def test_every_pair_has_a_verdict_and_mcnemars_test(comparison):
    info = significance.differences_info(comparison)
    assert info.differences == pytest.approx([0.2, 0, -0.2])
    assert info.words == ["better", "undecided", "worse"]
    decided, mcnemar = tables(significance.section(comparison))
    assert [row[1] for row in decided.rows] == info.words
    assert [row[-1] for row in decided.rows] == ["", "50 seeds with about 1,800 test images", ""]
    assert [row[2:4] for row in mcnemar.rows] == [("80", "0"), ("4", "4"), ("4", "84")]
    assert significance.section(make_comparison([("cnn", "none", 0.9, 0)])) is None


def test_seeds_are_drawn_by_training(comparison):
    info = seeds.seeds_info(comparison)
    assert info.accuracies[CNN] == pytest.approx([0.9, 0.89, 0.88], abs=0.0026)
    assert info.means[CNN] == pytest.approx(np.mean(info.accuracies[CNN]))
    ax = seeds.plot_seeds(info).axes[0]
    assert len(ax.lines) == 3 * len(info.means)
    assert seeds.section(make_comparison()) is None


def test_the_chance_to_score_higher_is_stated_from_five_seeds_on(comparison):
    def words(section):
        return " ".join(block.text for block in section.blocks if isinstance(block, Text))

    assert "use --seeds 5" in words(seeds.section(comparison))
    five = seeds.section(make_comparison(seeds=5))
    assert tables(five)[-1].rows[0][2:] == ("100%", "64 to 100%", "meaningful")
    assert "Only the seeds vary here" in words(five)
    assert seeds.meaning(0.4, 0.9) == "not shown"
    assert seeds.meaning(0.3, 0.4) == "small"


def test_a_front_is_of_what_no_other_beats_in_accuracy_and_cost(comparison):
    info = costs.cost_info(comparison)
    latency = next(axis for axis in info.costs if axis.startswith("latency"))
    # The fastest is as accurate as the chosen one, so nothing else is on the front.
    assert info.fronts[latency] == ["DenseNet121, ImageNet weights, 224 px"]
    assert info.costs[latency] == [1.0, 10.0, 0.5]
    assert info.fronts["parameters"] == [CNN]


def test_dollars_have_a_column_where_a_price_was_given(comparison):
    def header(comparison):
        return tables(costs.section(comparison))[1].header

    assert "cost" not in header(comparison)
    priced = [dataclasses.replace(c, dollars=1.5) for c in comparison.contestants]
    assert "cost" in header(dataclasses.replace(comparison, contestants=priced))


def test_times_that_a_busy_machine_has_spoilt_are_not_stated():
    comparison = make_comparison()
    busy = [
        dataclasses.replace(c, costs=dataclasses.replace(c.costs, others=0.5).stated())
        for c in comparison.contestants
    ]
    spoilt = dataclasses.replace(comparison, contestants=busy)
    section = costs.section(spoilt)
    words = " ".join(block.text for block in section.blocks if isinstance(block, Text))
    assert "not stated, as other processes used 50% of the CPU" in words
    assert [row[5] for row in tables(section)[0].rows] == ["not stated"] * 2
    assert not any(axis.startswith("latency") for axis in costs.cost_info(spoilt).costs)
    shown = str([summary(spoilt), cards(spoilt), [table.rows for table in tables(section)]])
    assert "latency is not stated, as other processes used 50% of the CPU" in shown
    assert "nan" not in shown


def test_whole_runs_have_their_wall_time_and_its_cost():
    comparison = make_comparison(seeds=2)
    run = comparison.runs[0]
    run.record.update({"ended": "2030-01-02T04:04:05+00:00", "hardware": {"nodes": 2}})
    table = costs.wall_times(dataclasses.replace(comparison, price_per_hour=1.5))
    assert [row[0] for row in table.rows] == ["lr-grid", "finetune", "lr-grid-seeds",
                                              "finetune-seeds"]  # fmt: skip
    assert (table.rows[0][1], table.rows[0][-1]) == ("60 min", "$3.00")
    assert (table.rows[1][1], table.rows[1][-1]) == ("unknown", "unknown")
    run.record["resumed"] = ["2030-01-02T03:30:00+00:00"]
    assert costs.wall_times(comparison).rows[0][1] == "unknown"  # its driver was killed
    run.record["paused"] = ["2030-01-02T03:10:00+00:00"]
    assert costs.wall_times(comparison).rows[0][1] == "40 min"


def test_a_model_has_its_colour_in_every_figure():
    names = [f"model {i}" for i in range(9)]
    styles = model_styles(names)
    assert len(set(styles.values())) == len(names)
    assert [styles[name][0] for name in names[:6]] == list(MODEL_COLOURS)
    assert model_styles(names[:3]) == {name: styles[name] for name in names[:3]}


def test_mistakes_are_the_surest_ones(comparison):
    winner = comparison.chosen.winner
    mistakes = error_analysis.mistakes_info(winner, comparison.test_set)
    assert len(mistakes) == error_analysis.MISTAKES
    sure = [mistake.confidence for mistake in mistakes]
    assert sure == sorted(sure, reverse=True)
    assert sure[0] == pytest.approx(winner.confidence[~winner.correct].max())
    for mistake in mistakes:
        image = comparison.test_set.files.index(mistake.file)
        assert not winner.correct[image]
        assert (mistake.image == comparison.test_set.images.read()[image]).all()
        follower = (CIFAR10.index(mistake.label) + 1) % 10
        assert mistake.predicted == CIFAR10[follower]


def test_errors_overlap_as_counted(comparison):
    first = error_analysis.overlap_rows(comparison)[0]
    # The second has all that the first has wrong, and 80 more.
    assert first[2:5] == ("40", "0", "80")
    assert first[5] == "33.33%"


def test_the_most_confused_pairs_come_first(comparison):
    rows = error_analysis.confused_rows(comparison.chosen.winner, CIFAR10)
    counts = [int(row[3]) + int(row[4]) for row in rows]
    assert counts == sorted(counts, reverse=True)
    for _, first, second, *_ in rows:
        assert abs(CIFAR10.index(first) - CIFAR10.index(second)) in (1, 9)


def test_thresholds_stand_beside_what_became_of_them(comparison):
    info = rejection.risk_info(comparison)
    assert info.thresholds.x == pytest.approx([0.5, 1.0])
    assert info.thresholds.y[1] == pytest.approx(0.1)
    assert info.curves[comparison.chosen.name].y[-1] == pytest.approx(0.1)
    areas, thresholds, *others = tables(rejection.section(comparison))
    assert areas.rows[0][-1] == "chosen"
    assert thresholds.rows[1][:4] == ("20%", "0.00%", "100.00%", "100.00% (99.05 to 100.00)")
    assert len(others) == 2
    assert "bakeoff predict --reject-above 5" in " ".join(in_use.sentences(comparison))
    none = dataclasses.replace(comparison.chosen, rejections=[])
    without = dataclasses.replace(comparison, contestants=[none])
    assert "too few" in str(rejection.section(without).blocks)
    assert "--reject-above" not in " ".join(in_use.sentences(without))


def test_robustness_is_relative_to_the_custom_network(comparison):
    info = robustness.severity_info(comparison)
    # The spoilt images are spread evenly over the correctly classified ones.
    assert info.accuracies["blur"][0] == pytest.approx([0.9, 0.81, 0.72, 0.63, 0.54, 0.45])
    summary, by_corruption = tables(robustness.section(comparison))
    assert [row[2][:6] for row in summary.rows] == ["63.00%", "49.00%", "63.00%"]
    assert [row[4][:4] for row in summary.rows] == ["1 (b", "1.38", "1.00"]
    assert summary.rows[1][5].startswith("−14.00 (")
    assert len(by_corruption.rows) == 18
    assert "mean accuracy is 63.00%" in " ".join(in_use.sentences(comparison))
    assert "higher than pretrained ResNet18 by 14.00 percentage points" in " ".join(
        in_use.sentences(comparison)
    )
    assert robustness.section(make_comparison()) is None
    endless = CorruptionErrors([4.8], 4.76, (2.54, math.inf))
    assert robustness.ratio(endless) == "4.76 (2.54 or more)"
    assert robustness.ratio(dataclasses.replace(endless, interval=None)) == "not estimable"


def test_doubtful_labels_are_shown_with_their_files(comparison):
    section = label_check.section(comparison)
    (table,) = tables(section)
    assert table.rows[1] == (
        "photos/10.jpg", "test", "airplane", "1.0%", "automobile", "98.0%"
    )  # fmt: skip
    assert "contradict the labels of 2 of 400 validation and test images" in " ".join(
        in_use.sentences(comparison)
    )
    assert "training images were not judged" in str(section.blocks)
    assert label_check.section(dataclasses.replace(comparison, label_checks=[])) is None


def test_what_the_report_published_is_what_it_says():
    assert sum(LAYERS.values()) == 390_634
    assert RATES[2.5e-4].accuracy == 0.7414
    assert {len(known.train_losses) for known in RATES.values()} == {20}
    assert {len(known.val_losses) for known in NETWORKS.values()} == {10}
    assert RATES[1e-1].val_losses[-1] == 2.3598
    assert NETWORKS["googlenet"].train_losses[-1] == 0.8432


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"lr": 1e-3}, RATES[1e-3]),
        ({"lr": 3e-3}, None),
        ({"lr": 1e-3, "model_args": {"widths": [8]}}, None),
        ({"lr": 1e-5, "model": "resnet18", "weights": "default"}, NETWORKS["resnet18"]),
        ({"lr": 1e-5, "model": "resnet18"}, None),
        ({"lr": 1e-4, "model": "resnet18", "weights": "default"}, None),
        ({"lr": 1e-5, "model": "resnet18", "weights": "default", "mode": "probe"}, None),
    ],
)
def test_only_trainings_like_the_reports_stand_beside_it(settings, expected):
    assert published(TrialConfig(**settings), CIFAR10) is expected
    assert published(TrialConfig(**settings), ("cat", "dog")) is None


def test_our_figures_stand_beside_the_reports_with_the_difference(comparison):
    table = next(
        table
        for table in tables(student_report.section(comparison))
        if table.header[0] == "run" and table.header[-2:] == ("student report", "difference")
    )
    mine = {row[2]: row[3:] for row in table.rows if row[:2] == ("lr-grid", "best")}
    assert mine["test accuracy"] == ("90.00%", "74.14%", "+15.86 pp")
    assert mine["final training loss"] == ("0.6667", "1.7022", "−1.0355")
    assert set(mine) == {"final training loss", "final validation loss", "test accuracy",
                         "weighted precision", "weighted recall"}  # fmt: skip
    layers = next(t for t in tables(student_report.section(comparison)) if "layer" in t.header[0])
    assert layers.rows[-1] == ("total", "390,634", "390,634 (stated: 390,630)", "+0")


def test_the_student_report_is_left_out_unless_it_is_asked_for():
    comparison = make_comparison(student_report=False)
    assert student_report.section(comparison) is None
    assert trade_offs.section(comparison) is None
    assert "student report" not in str(training.section(comparison).blocks)


def test_the_reports_curves_are_drawn_beside_ours(comparison):
    panels = training.run_curves(comparison.runs[0], ["best"], CIFAR10).panels
    ours, _, theirs, _ = panels["best"]
    assert ours.values == pytest.approx([2, 1, 2 / 3])
    assert theirs.values == list(RATES[2.5e-4].train_losses)
    assert len(training.run_curves(comparison.runs[0], ["best"], ("a", "b")).panels["best"]) == 2


def test_what_was_not_opened_is_sealed():
    (table, *_) = tables(training.section(make_comparison()))
    assert [row[5] for row in table.rows] == ["90.00%", "sealed"]


def test_all_ten_rows_of_the_discussion_are_settled_or_say_why_not(comparison):
    (table,) = tables(trade_offs.section(comparison))
    assert len(table.rows) == 10
    for _, _, _, custom, pretrained, how in table.rows:
        assert (custom == "–") == (pretrained == "–") == how.startswith("not measured: ")
    measured = {row[0]: row[3] for row in table.rows if row[3] != "–"}
    assert measured["Generalization"] == (
        "training accuracy 95.00%, test accuracy 90.00%: −5.00 percentage points"
    )
    assert measured["Domain specificity"].startswith("mean accuracy 63.00% on corrupted")
    assert table.rows[0][5].endswith("as a training or validation image: 0 of 400")
    assert measured["Time efficiency"] == "90.00% validation accuracy after 6 s of training"
    only = tables(trade_offs.section(make_comparison([("cnn", "none", 0.9, 0)])))[0]
    assert all(row[5].startswith(("not measured: ", "one kind only: ")) for row in only.rows)


def test_the_method_counts_openings_and_copies():
    section = method.section(make_comparison(openings=3, duplicates=2))
    text = " ".join(block.text for block in section.blocks if isinstance(block, Text))
    assert "opened 3 times" in text
    assert "2 of the test images show the same picture as a training or validation image" in text
    assert "3 different models have been scored on them" not in text  # the intervals are given
    assert f"{IMAGES} sealed test images" in text
    assert len(tables(section)[0].rows) == 3


def test_one_bad_model_does_not_flatten_the_others():
    models = (("cnn", "none", 0.9, 0), ("resnet18", "default", 0.91, 0),
              ("densenet121", "default", 0.1, 0))  # fmt: skip
    info = scores.accuracy_info(make_comparison(models))
    ax = scores.plot_accuracy(info).axes[0]
    low, high = ax.get_xlim()
    assert 80 < low < 90 < high
    assert [text.get_text() for text in ax.texts] == ["10.00%"]
    assert ax.lines[-1].get_xdata() == [low]  # its mark, at the edge
    assert zoom([(10, 20), (80, 90)], [1, 0])[0] < 10  # one of two is no outlier


def test_learning_curves_are_drawn_dashed_beyond_the_images_trained_on(comparison):
    info = data_efficiency.data_efficiency_info(comparison)
    assert list(info.curves) == [c.name for c in comparison.contestants[:2]]  # the third has none
    curve = info.curves[comparison.chosen.name]
    assert (curve.along[0], curve.along[-1]) == pytest.approx((50, 3200))
    (ax,) = data_efficiency.plot_data_efficiency(info).axes
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert len(dashed) == 2
    assert all(line.get_xdata()[0] <= 1600 < line.get_xdata()[1] for line in dashed)
    needed = tables(data_efficiency.section(comparison))[2]
    assert needed.header[0] == "model"
    assert any("not stated" in row for row in needed.rows)
    assert data_efficiency.section(make_comparison()) is None


def test_scores_are_drawn_against_every_unit_of_effort(comparison):
    info = equal_budget.budget_info(comparison)
    assert list(info.panels) == ["training time (s)", "epochs"]  # no price was given
    line = info.panels["epochs"]["custom CNN"]
    assert line.x[-1] == 6
    assert line.y[-1] == pytest.approx(90)
    priced = dataclasses.replace(comparison.contestants[0], dollars=3.0)
    info = equal_budget.budget_info(dataclasses.replace(comparison, contestants=[priced]))
    assert info.panels["dollars"]["custom CNN"].x[-1] == pytest.approx(12 * 3 / 60)


def test_names_of_models_stand_whole_in_legends(comparison):
    figures = (
        robustness.plot_severity(robustness.severity_info(comparison)),
        rejection.plot_risk(rejection.risk_info(comparison)),
        equal_budget.plot_budgets(equal_budget.budget_info(comparison)),
    )
    for figure in figures:
        (legend,) = figure.legends
        texts = [text.get_text() for text in legend.get_texts()]
        assert texts
        assert not [text for text in texts if "…" in text]


def test_a_long_label_of_the_scores_fits_beside_its_panel(comparison):
    info = equal_budget.budget_info(comparison)
    long = dataclasses.replace(info, ylabel="best validation accuracy in training (bf16/fp32) (%)")
    figure = equal_budget.plot_budgets(long)
    figure.draw_without_rendering()
    ax = figure.axes[0]
    assert ax.yaxis.label.get_window_extent().height <= 1.1 * ax.get_window_extent().height


def test_a_grid_after_all_its_trials_has_no_band_without_width(comparison):
    (table, *_) = tables(equal_budget.section(comparison))
    assert [row[5] for row in table.rows] == ["90.00%", "85.00%", "80.00%"]
