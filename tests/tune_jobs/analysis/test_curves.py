import pandas as pd
import pytest

from tune_jobs.analysis.curves import curves_info, plot_curves


def epochs_of(*trials, count=3):
    return pd.DataFrame(
        {"trial": name, "epoch": epoch, "train_loss": 2 / epoch, "val_loss": 3 / epoch}
        for name in trials
        for epoch in range(1, count + 1)
    )


def test_every_trial_has_a_panel_with_both_losses_in_the_order_of_the_run():
    info = curves_info(epochs_of("lr=0.1", "lr=0.001"))
    assert list(info.panels) == ["lr=0.1", "lr=0.001"]
    training, validation = info.panels["lr=0.1"]
    assert (training.label, validation.label) == ("training", "validation")
    assert training.epochs == validation.epochs == [1, 2, 3]
    assert training.values == pytest.approx([2, 1, 2 / 3])
    assert validation.values == pytest.approx([3, 1.5, 1])


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_the_figure_shows_what_the_info_holds(count):
    info = curves_info(epochs_of(*(f"trial {i}" for i in range(count))))
    panels = [ax for ax in plot_curves(info).axes if ax.get_visible()]
    assert [ax.get_title() for ax in panels] == list(info.panels)
    for ax, curves in zip(panels, info.panels.values(), strict=True):
        assert [line.get_ydata().tolist() for line in ax.lines] == [c.values for c in curves]


def test_a_single_epoch_is_visible():
    (ax,) = plot_curves(curves_info(epochs_of("a", count=1))).axes
    assert all(line.get_marker() == "o" for line in ax.lines)


def test_one_axis_compares_trials_and_is_not_flattened_by_a_diverged_one():
    epochs = epochs_of("a", "b", "diverged")
    epochs.loc[epochs["trial"] == "diverged", ["train_loss", "val_loss"]] = 1e6
    axes = plot_curves(curves_info(epochs)).axes
    (limits,) = {ax.get_ylim() for ax in axes}
    assert limits[0] < 2 / 3
    assert 3 < limits[1] < 4
    assert [text.get_text() for text in axes[2].texts] == [f"above {limits[1]:.3g}"]


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_a_loss_that_stays_the_same_is_a_flat_line(value):
    (ax,) = plot_curves(curves_info(epochs_of("a").assign(train_loss=value, val_loss=value))).axes
    low, high = ax.get_ylim()
    assert high - low >= 0.02
