import json
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from trainables.errors import InputError
from trainables.status import TrialStatus
from tune_jobs.analysis.results import search_frame
from tune_jobs.analysis.search_figures.axes import parameter_axes
from tune_jobs.analysis.search_figures.history import (
    SCORE,
    STATUS_STYLES,
    axis_label,
    history_info,
    plot_history,
    plot_pruning,
    pruning_info,
    trial_numbers,
)
from tune_jobs.analysis.search_figures.importance import importance_info, plot_importance
from tune_jobs.analysis.search_figures.limits import at_edge, outside, score_limits
from tune_jobs.analysis.search_figures.parameters import (
    parallel_info,
    plot_parallel,
    plot_slices,
    slices_info,
)
from tune_jobs.analysis.search_figures.pareto import pareto_front, pareto_info, plot_pareto
from tune_jobs.search_space.space import Parameter


def ranges(**log):
    """A space of ranges by name, logarithmic or not."""
    return {
        name: Parameter(name=name, kind="float", low=0.1, high=1.0, log=log[name]) for name in log
    }


SPACE = ranges(lr=True, batch_size=True, optimizer=False)
SPACE["momentum"] = Parameter(
    name="momentum", kind="float", low=0, high=1, when={"optimizer": ("sgd",)}
)
SPACE |= ranges(**{"model.widths": False})
WIDTHS = ([8], [16], [8, 16])


def trials_of(count, seed=0):
    """Trials whose score depends on their learning rate; some stopped, one failed, one diverged."""
    random = np.random.default_rng(seed)
    status = ["stopped" if i % 3 == 1 else "finished" for i in range(count)]
    status[5:7] = ["failed", "diverged"][: len(status[5:7])]
    lr = 10 ** random.uniform(-4, -1, count)
    score = 0.8 - 0.1 * (np.log10(lr) + 3) ** 2 + random.normal(0, 0.005, count)
    score[6:7] = np.nan
    return pd.DataFrame(
        {
            "trial": [f"trial-{i:03d}" for i in range(count)],
            "status": status,
            "config/lr": lr,
            "config/batch_size": random.choice([32, 64, 128], count),
            "config/optimizer": random.choice(["adam", "sgd"], count),
            "config/momentum": 0.9,
            "config/model.widths": [json.dumps(WIDTHS[i % 3]) for i in range(count)],
            "epochs": [{"finished": 5, "stopped": 2, "failed": 1}.get(s, 0) for s in status],
            "parameters": (10 ** random.uniform(3, 6, count)).astype(int),
            "seconds": random.uniform(0, 9, count),
            SCORE: score,
        }
    )


def epochs_of(trials):
    rows = [
        {
            "trial": trial.trial,
            "epoch": epoch,
            "val_accuracy": trial.score * (1 - 0.5**epoch),
            "val_loss": 2.0 - epoch / 10,
        }
        for trial in trials.rename(columns={SCORE: "score"}).itertuples()
        for epoch in range(1, trial.epochs + 1)
    ]
    return pd.DataFrame(rows, columns=["trial", "epoch", "val_accuracy", "val_loss"])


OBJECTIVES = {SCORE: "max", "parameters": "min"}
FIGURES = {
    "history": lambda trials: plot_history(history_info(trials)),
    "pruning": lambda trials: plot_pruning(pruning_info(trials, epochs_of(trials))),
    "parallel": lambda trials: plot_parallel(parallel_info(trials, SPACE)),
    "slices": lambda trials: plot_slices(slices_info(trials, SPACE)),
    "importance": lambda trials: plot_importance(importance_info(trials, SPACE)),
    "pareto": lambda trials: plot_pareto(pareto_info(trials, OBJECTIVES)),
}


@pytest.mark.parametrize("count", [0, 1, 40])
@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_draws_without_a_warning(figure, count):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = FIGURES[figure](trials_of(count))
        drawn.draw_without_rendering()
    # Without data a text says why.
    assert drawn.axes or drawn.texts


def test_every_status_has_a_colour_and_a_marker_of_its_own():
    assert set(STATUS_STYLES) == set(TrialStatus)
    assert len({*STATUS_STYLES.values()}) == len(TrialStatus)


def test_the_best_so_far_never_gets_worse_and_ends_at_the_best():
    trials = trials_of(40)
    highest, lowest = history_info(trials).best.y, history_info(trials, mode="min").best.y
    assert (np.diff(highest) >= 0).all()
    assert highest[-1] == trials[SCORE].max()
    assert (np.diff(lowest) <= 0).all()
    assert lowest[-1] == trials[SCORE].min()


def test_history_shows_every_score_by_its_status_and_leaves_out_what_has_none():
    info = history_info(trials_of(8))
    assert {status: points.x for status, points in info.points.items()} == {
        "finished": [0, 2, 3],
        "stopped": [1, 4, 7],
        "failed": [5],
    }
    assert info.unscored == 1
    assert info.ylabel == "best validation accuracy (fraction)"


def test_a_trial_that_failed_at_once_is_not_the_fastest():
    trials = trials_of(4)
    trials.loc[3, ["status", "seconds", "epochs"]] = ["failed", 0.0, 0]
    assert "failed" not in history_info(trials, "seconds", "min").points


@pytest.mark.parametrize(
    ("names", "numbers"),
    [(["trial-003", "trial-012"], [3, 12]), (["lr=0.1", "lr=0.01"], [1, 2]), ([], [])],
)
def test_trials_have_the_number_in_their_name_or_else_are_counted(names, numbers):
    assert trial_numbers(pd.DataFrame({"trial": names})).tolist() == numbers


@pytest.mark.parametrize(
    ("column", "label"),
    [
        ("best/val_loss", "validation loss of the best epoch (nats)"),
        ("seconds", "training time (s)"),
        ("mine", "mine"),
    ],
)
def test_axes_have_units(column, label):
    assert axis_label(column) == label


def test_a_cross_is_at_the_last_epoch_of_each_stopped_trial():
    trials = trials_of(8)
    epochs = epochs_of(trials)
    info = pruning_info(trials, epochs)
    last = epochs[epochs["epoch"] == 2].set_index("trial")["val_accuracy"]
    assert info.crosses.x == [2, 2, 2]
    assert info.crosses.y == last[["trial-001", "trial-004", "trial-007"]].tolist()
    assert {status: len(curves) for status, curves in info.curves.items()} == {
        "finished": 3,
        "stopped": 3,
        "failed": 1,
    }


def test_the_best_curve_is_the_highest_and_of_equals_that_with_the_lower_loss():
    trials = pd.DataFrame({"trial": ["a", "b", "c"], "status": "finished"})
    epochs = pd.DataFrame(
        {
            "trial": ["a", "b", "c"],
            "epoch": 1,
            "val_accuracy": [0.9, 0.9, np.nan],
            "val_loss": [2.0, 1.0, np.nan],
        }
    )
    info = pruning_info(trials, epochs)
    assert info.best.label == "b"
    assert [curve.label for curve in info.curves["finished"]] == ["a", "b"]


def test_numbers_and_categories_become_axes():
    lr, batch_size, optimizer, _, widths = parameter_axes(trials_of(12), SPACE)
    assert (lr.log, lr.labels, lr.notes) == (True, [], "(log)")
    assert batch_size.ticks(0.1) == {32: "32", 64: "64", 128: "128"}
    assert batch_size.heights([32, 64, 128]).tolist() == pytest.approx([0, 0.5, 1])
    assert batch_size.notes == "(images, log)"
    assert optimizer.labels == ["adam", "sgd"]
    assert widths.labels == ["[8]", "[8, 16]", "[16]"]
    assert widths.positions[:3] == [0, 2, 1]


@pytest.mark.parametrize("values", [[1e-5, 0.1], [0.011, 0.02, 0.03], [1, 2, 3, 1000], [7.5], [0]])
def test_ticks_are_apart_and_within_the_values(values):
    frame = pd.DataFrame({"config/x": values})
    (axis,) = parameter_axes(frame, ranges(x=True))
    ticks = axis.ticks(0.1)
    heights = axis.heights(list(ticks))
    assert ticks
    assert ((heights >= 0) & (heights <= 1)).all()
    assert (np.diff(heights) >= 0.1).all()


def test_a_zero_makes_an_axis_linear():
    (axis,) = parameter_axes(pd.DataFrame({"config/x": [0.0, 0.1]}), ranges(x=True))
    assert not axis.log


def test_parallel_shows_finished_and_stopped_trials_and_where_a_parameter_is_not_used():
    trials = trials_of(40)
    info = parallel_info(trials, SPACE)
    shown = trials[trials["status"].isin(["finished", "stopped"])]
    assert info.scores == shown[SCORE].tolist()
    momentum = info.axes[list(SPACE).index("momentum")]
    unused = (shown["config/optimizer"] != "sgd").tolist()
    assert np.isnan(momentum.positions).tolist() == unused
    texts = [text.get_text() for text in plot_parallel(info).axes[0].texts]
    assert texts.count("not used") == 1


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_worst_lines_of_parallel_coordinates_are_visible_on_white(mode):
    trials = trials_of(40)
    trials.loc[0, SCORE] = 0.001 if mode == "max" else 99.0  # far beyond the axis of scores
    figure = plot_parallel(parallel_info(trials, SPACE, mode=mode))
    (lines,) = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    assert lines.get_colors()[:, 0].max() < 0.8


def test_a_parameter_that_no_trial_has_is_no_axis():
    axes = parameter_axes(trials_of(3), ranges(**{"lr": True, "model.kernel_size": False}))
    assert [axis.name for axis in axes] == ["lr"]


def test_slices_spread_categories_but_not_numbers_and_always_alike():
    trials = trials_of(40)
    info = slices_info(trials, SPACE)
    scored = trials[trials[SCORE].notna()]
    lr, _, optimizer, *_ = info.axes
    assert lr.positions == scored["config/lr"].tolist()
    places = (scored["config/optimizer"] == "sgd").to_numpy(int)
    assert len(set(optimizer.positions)) == len(scored)
    assert np.abs(optimizer.positions - places).max() <= 0.2
    assert repr(slices_info(trials, SPACE)) == repr(info)  # NaN is not equal to itself
    labels = [ax.get_xlabel() for ax in plot_slices(info).axes if ax.get_visible()]
    assert labels[0] == "lr (log)"
    assert labels[3] == f"momentum in {places.sum()} of 39 trials"


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_bad_trials_lie_at_the_edge_of_an_axis_of_scores(mode, sign):
    values = sign * np.array([0.1, 0.8, 0.81, np.nan, 0.82, 0.79, 0.83])
    limits = score_limits(values, mode)
    assert 0.7 < min(map(abs, limits)) < 0.79
    assert max(map(abs, limits)) < 0.9
    assert outside(values[[0, 1]], limits) == 1
    low, high = limits
    assert all(low < value < high for value in at_edge(values[[0, 1]], limits))
    assert score_limits(np.array([np.nan]), mode) is None


def test_what_two_trials_have_is_no_panel():
    trials = trials_of(12)
    trials["config/optimizer"] = ["sgd"] * 2 + ["adam"] * 10
    info = slices_info(trials, SPACE)
    assert info.few == ["momentum"]
    assert "momentum" not in [axis.name for axis in info.axes]
    assert "too few trials have momentum" in plot_slices(info).get_supxlabel()


def test_importance_ranks_the_parameter_first_that_made_the_score():
    info = importance_info(trials_of(40), SPACE)
    assert next(iter(info.fractions)) == "lr"
    assert info.fractions["lr"] > 0.7
    assert sum(info.fractions.values()) == pytest.approx(1)
    assert info.finished == 25
    assert info.left_out == ["momentum"]
    assert "momentum" in plot_importance(info).get_supxlabel()


@pytest.mark.parametrize(
    ("trials", "parameters"),
    [
        (trials_of(4), SPACE),  # three of them finished
        (trials_of(40), ranges(lr=True)),
        (trials_of(40).assign(**{SCORE: 0.5}), SPACE),
    ],
)
def test_importance_is_empty_where_nothing_can_be_said(trials, parameters):
    info = importance_info(trials, parameters)
    assert info.fractions == {}
    assert "not enough finished trials" in [text.get_text() for text in plot_importance(info).texts]


def brute_force_front(rows, signs):
    """The rows that no other row is as good as in everything and better than in something."""
    costs = [[value * sign for value, sign in zip(row, signs, strict=True)] for row in rows]
    return sorted(
        row
        for row, own in zip(rows, costs, strict=True)
        if not any(
            all(a <= b for a, b in zip(other, own, strict=True)) and other != own for other in costs
        )
    )


@pytest.mark.parametrize("modes", [("min", "min"), ("min", "max"), ("max", "min"), ("max",) * 3])
@pytest.mark.parametrize("seed", range(3))
def test_the_pareto_front_is_that_of_a_brute_force(modes, seed):
    # Few values, so that there are ties and duplicates.
    rows = np.random.default_rng(seed).integers(0, 8, (60, len(modes))).tolist()
    names = [f"objective {i}" for i in range(len(modes))]
    front = pareto_front(pd.DataFrame(rows, columns=names), dict(zip(names, modes, strict=True)))
    signs = [1 if mode == "min" else -1 for mode in modes]
    assert front.to_numpy().tolist() == brute_force_front(rows, signs)


def test_the_pareto_front_keeps_duplicates_and_leaves_out_what_lacks_a_score():
    trials = pd.DataFrame({"a": [2, 1, 1, np.nan, 0], "b": [0, 1, 1, 9, np.inf]}, index=[7] * 5)
    front = pareto_front(trials, {"a": "min", "b": "max"})
    assert front.to_numpy().tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("first", ["min", "max"])
def test_the_step_line_of_the_front_has_no_trial_beyond_it(first):
    trials = trials_of(40).assign(status="finished")
    info = pareto_info(trials, {"seconds": first, SCORE: "max"})
    x, y = np.array(info.front.x), np.array(info.front.y)
    assert len(info.names) == len(x) > 1
    assert len(x) + len(info.others.x) == 39
    assert info.step == ("post" if first == "min" else "pre")
    for px, py in zip(info.others.x, info.others.y, strict=True):
        reached = y[x <= px] if first == "min" else y[x >= px]
        assert py <= reached.max()


def test_the_pareto_figure_names_the_trials_of_the_front():
    info = pareto_info(trials_of(40), OBJECTIVES)
    figure = plot_pareto(info)
    key = figure.axes[0].texts[-1].get_text()
    assert [line.split()[-1] for line in key.splitlines()] == info.names
    assert figure.axes[0].get_yscale() == "log"
    assert figure.axes[0].get_xscale() == "linear"
    few = pareto_info(trials_of(40).assign(parameters=range(300_000, 300_040)), OBJECTIVES)
    ticks = plot_pareto(few).axes[0].yaxis.get_major_formatter()
    assert ticks(300_010) == "300,010"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda t: history_info(t, mode="up"), "'up' and must be"),
        (lambda t: history_info(t, "accuracy"), "'accuracy' is not a column"),
        (lambda t: parallel_info(t, ranges(rate=True)), "'rate' is not a setting"),
        (lambda t: pareto_front(t, {SCORE: "most"}), "'most' and must be"),
        (lambda t: pareto_info(t, {SCORE: "max"}), "must be two, one per axis"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call(trials_of(3))


def test_the_momentum_counts_only_where_sgd_uses_it():
    trials = pd.DataFrame({"config/optimizer": ["sgd", "adam"], "config/momentum": [0.8, 0.9]})
    space = {name: SPACE[name] for name in ("optimizer", "momentum")}
    searched = search_frame(trials, space | ranges(**{"model.depth": False}))
    assert searched["momentum"].tolist()[0] == 0.8
    assert searched["momentum"].isna().tolist() == [False, True]
    assert searched["model.depth"].isna().all()
