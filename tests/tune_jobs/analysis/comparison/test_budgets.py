import dataclasses
import itertools

import numpy as np
import pytest

from benchmarks.statistics import random_covered, searches_covered
from tests.tune_jobs.analysis.comparisons import make_comparison, make_run
from trainables.config import TrialConfig
from trainables.target import ACCURACY, TARGETS
from tune_jobs.analysis.comparison.budgets import (
    TrialCourse,
    budget_curve,
    crossings,
    most_to_gain,
    random_band,
)
from tune_jobs.analysis.comparison.effort import (
    Effort,
    effort_of,
    lead_words,
    method_of,
    sentences,
)

UNIT = (0.0, 1.0)


def course(*scores, seconds=1.0, features_s=0.0):
    count = len(scores)
    costs = {"seconds": np.full(count, seconds), "epochs": np.ones(count)}
    return TrialCourse(costs, np.array(scores), features_s)


def effort(name, *trials, method="orders"):
    return Effort(name, ACCURACY, method, [list(trials)], None)


def test_a_grid_has_the_median_and_the_range_of_all_orders():
    trials = [course(0.1, 0.5), course(0.3, 0.9, 0.6), course(0.7)]
    curve = budget_curve([trials], "orders", "epochs", UNIT)
    for budget in range(1, 7):
        best = [
            max([score for i in order for score in trials[i].scores][:budget])
            for order in itertools.permutations(range(3))
        ]
        line, low, high = curve.at(budget)
        assert line == pytest.approx(np.median(best))
        assert low == pytest.approx(np.quantile(best, 0.025))
        assert high == pytest.approx(np.quantile(best, 0.975))
    assert curve.at(6) == (0.9, 0.9, 0.9)  # all that was spent, in any order
    assert curve.at(0.5) is None


def test_more_orders_than_can_be_counted_are_drawn():
    trials = [course(score) for score in np.linspace(0, 1, 9)]
    curve = budget_curve([trials], "orders", "epochs", UNIT)
    assert curve.at(1)[0] == pytest.approx(0.5, abs=0.13)
    assert curve.at(5)[0] == pytest.approx(7 / 8, abs=0.13)


def test_trials_that_may_not_be_chosen_cost_their_time_only():
    curve = budget_curve([[course(-np.inf, -np.inf), course(0.5)]], "observed", "seconds", UNIT)
    assert curve.budgets[0] == 3
    assert budget_curve([[course(-np.inf)]], "orders", "seconds", UNIT) is None
    assert budget_curve([[]], "orders", "seconds", UNIT) is None


def test_an_adaptive_search_has_its_observed_course_and_no_band():
    curve = budget_curve([[course(0.2), course(0.6), course(0.4)]], "observed", "epochs", UNIT)
    assert [curve.at(budget)[0] for budget in (1, 2, 3)] == [0.2, 0.6, 0.6]
    assert np.isnan(curve.low).all()


def test_several_searches_are_units_of_the_interval_of_their_mean():
    searches = [[course(0.2), course(0.6)], [course(0.58), course(0.5), course(0.9)]]
    curve = budget_curve(searches, "searches", "epochs", UNIT)
    assert curve.budgets[-1] == 2  # what the shorter one spent
    line, low, high = curve.at(2)
    assert line == pytest.approx(0.59)
    assert (low, high) == pytest.approx((0.59 - 12.706 * 0.01, 0.59 + 12.706 * 0.01), rel=1e-3)


def test_the_interval_of_several_searches_holds_possible_scores_alone():
    searches = [[course(0.05)], [course(0.95)]]
    assert budget_curve(searches, "searches", "epochs", UNIT).at(1) == (0.5, 0.0, 1.0)
    losses = [[course(-0.05)], [course(-0.95)]]
    _, low, high = budget_curve(losses, "searches", "epochs", (-np.inf, 0.0)).at(1)
    assert (low < -1, high) == (True, 0.0)


def test_searches_with_the_same_score_do_not_make_it_certain():
    curve = budget_curve([[course(0.9)], [course(0.9)]], "searches", "epochs", UNIT)
    line, low, high = curve.at(1)
    assert line == 0.9
    assert np.isnan([low, high]).all()


def test_the_interval_of_several_searches_covers_better_than_percentiles():
    student, percentiles, _, _ = searches_covered((8.0, 2.0), 5, 20, 300)
    assert student >= 0.9 > percentiles


def test_the_band_of_a_random_search_holds_the_truth_as_often_as_stated():
    held, gain, bound = random_covered(12, 200)
    assert held >= 0.92
    assert gain < bound < 3 * gain


def test_the_band_says_nothing_of_less_than_a_trial_and_ties_are_no_error():
    low, high = random_band(np.array([0.5] * 6), np.array([0.5, 1, 3]), UNIT)
    assert np.isnan([low[0], high[0]]).all()
    assert low[1] <= 0.5 <= high[1]


def test_what_a_further_trial_brings_is_estimated_without_bias():
    generator = np.random.default_rng(0)
    scores = generator.random((4000, 8))
    # n times the mean of what the last trial brought over the seven others.
    last = 8 * np.maximum(0, scores[:, -1] - scores[:, :-1].max(axis=1)).mean()
    assert np.mean([most_to_gain(row) for row in scores]) == pytest.approx(last, rel=0.15)


def test_curves_are_compared_where_both_have_a_score():
    slow, quick = course(0.9, seconds=10.0), course(0.5, 0.6, seconds=1.0)
    assert "never at equal time: quick had 2 s, in which slow has no score yet" in lead_words(
        effort("slow", slow), effort("quick", quick)
    )
    late = effort("late", course(0.1, 0.2, 0.8, 0.9))
    early = effort("early", course(0.4, 0.5, 0.5, 0.6))
    assert lead_words(late, early) == (
        "early is ahead from 1 s to 3 s, where the curves cross; from there to 4 s late is"
    )
    assert lead_words(late, late) == "equal at every time"
    both = (
        effort("longer", course(0.8, 0.9, seconds=76.9)),
        effort("other", course(0.7, seconds=77.1)),
    )
    assert lead_words(*both) == "longer is ahead at 77 s, the one common time"
    budgets, difference = crossings(late.curves["epochs"], early.curves["epochs"])
    assert difference[budgets < 3].max() < 0 < difference[budgets >= 3].min()


def test_twice_the_budget_is_stated_for_random_searches_alone():
    trials = [course(score) for score in (0.5, 0.9, 0.7, 0.88, 0.3)]
    said = {m: effort("a", *trials, method=m).twice() for m in ("orders", "observed", "random")}
    assert said["random"] == "at most 2.00 points"
    assert said["orders"].startswith("not known: a grid")
    assert said["observed"].startswith("not known: later trials depend")
    assert "not known from fewer" in effort("a", *trials[:3], method="random").twice()


@pytest.mark.parametrize(
    ("changes", "method"),
    [
        ({}, "orders"),
        ({"scheduler": "asha"}, "observed"),
        ({"search": {"algorithm": "optuna", "sampler": "tpe", "enqueued": []}}, "observed"),
        ({"search": {"algorithm": "optuna", "sampler": "random", "enqueued": []}}, "random"),
        ({"search": {"algorithm": "optuna", "sampler": "random"}}, "observed"),
        ({"search": {"algorithm": "optuna", "sampler": "random", "enqueued": []},
          "scheduler": "asha"}, "observed"),
    ],
)  # fmt: skip
def test_what_is_said_depends_on_how_trials_were_proposed(changes, method):
    run = make_run("run", {"a": (TrialConfig(lr=1.0), 0.5)})
    assert method_of(dataclasses.replace(run, record=run.record | changes)) == method


def random_runs(*names, sampler="random", enqueued=()):
    record = {"search": {"algorithm": "optuna", "sampler": sampler, "enqueued": list(enqueued)}}
    trials = {f"trial-{i}": (TrialConfig(lr=1.0 + i), 0.5 + 0.05 * i) for i in range(6)}
    runs = [make_run(name, trials) for name in names]
    return [
        dataclasses.replace(run, record=run.record | record | {"job": "search", "options": {}})
        for run in runs
    ]


def test_settings_that_a_random_search_was_given_are_no_draws():
    found = effort_of("the CNN", "custom CNN", random_runs("a", enqueued=["trial-5"]), None)
    assert found.method == "random"
    assert len(found.trials) == 5


def test_adaptive_searches_of_one_kind_are_replicates_and_others_are_not():
    same = random_runs("a", "b", sampler="tpe")
    assert effort_of("the CNN", "custom CNN", same, None).method == "searches"
    other = dataclasses.replace(same[1], record=same[1].record | {"options": {"trials": 3}})
    assert effort_of("the CNN", "custom CNN", [same[0], other], None).method == "observed"


def test_losses_are_drawn_as_they_are_read():
    trials = [course(-0.9), course(-0.2), course(-0.4)]
    found = Effort("a", TARGETS["log_loss"], "orders", [trials], None)
    line, low, high = found.curves["epochs"].at(3)
    assert (line, low, high) == (-0.2, -0.2, -0.2)
    assert found.curves["epochs"].at(1)[0] == -0.4


def test_the_verdict_compares_at_equal_effort_where_effort_was_unequal():
    little, much = effort("b", course(0.6)), effort("a", course(0.3), course(0.5), course(0.9))
    (text,) = sentences([much, little])
    assert "all that b had), b had the best validation accuracy, 60.00%, and a 50.00%" in text
    assert "its lead is also one of effort" in text
    (text,) = sentences([effort("a", course(0.7), course(0.9)), little])
    assert text.endswith("a had the best validation accuracy, 80.00%, too.")
    assert sentences([little, effort("c", course(0.5))]) == []
    assert sentences([much]) == []


def test_every_contestant_has_its_effort():
    comparison = make_comparison()
    assert [each.name for each in comparison.efforts] == ["custom CNN", "pretrained ResNet18"]
    assert [each.spent("seconds") for each in comparison.efforts] == [12, 12]


def test_probes_pay_once_for_the_features_they_share():
    probes = [course(score, features_s=45.0) for score in (0.6, 0.8, 0.7)]
    found = effort("a", *probes, course(0.5, features_s=20.0))
    assert found.spent("seconds") == 4 + 45 + 20
    assert found.spent("epochs") == 4
    curve = effort("a", *probes).curves["seconds"]
    assert curve.at(45.9) is None
    assert [curve.at(budget)[0] for budget in (46, 48)] == [pytest.approx(0.7), 0.8]


def test_nothing_is_said_at_equal_time_where_no_other_model_had_a_score():
    slow = effort("b", course(0.6, seconds=60.0))
    assert sentences([effort("a", course(0.7)), slow]) == []
    (text,) = sentences([slow, effort("a", course(0.7))])
    assert "b had no score yet" in text
