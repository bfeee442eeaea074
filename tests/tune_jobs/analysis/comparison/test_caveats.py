import dataclasses

import pytest

from tests.tune_jobs.analysis.comparisons import make_comparison
from tune_jobs.analysis.comparison.caveats import warnings

CNN, RESNET = "custom CNN", "pretrained ResNet18"
SAME = (("cnn", "none", 0.9, 0), ("resnet18", "default", 0.9, 4))


def titles(comparison):
    return {each.title: each.text for each in warnings(comparison)}


def changed(comparison, number, tried=2, **values):
    """A comparison in which the winner of a contestant has other values in its row or settings."""
    contestants = list(comparison.contestants)
    contestant = contestants[number]
    candidate = contestant.winner.candidate
    settings = {k: values.pop(k) for k in ("epochs", "lr", "mode", "penalty") if k in values}
    candidate = dataclasses.replace(
        candidate,
        row=candidate.row | values | {f: v for f, v in settings.items() if f == "epochs"},
        config=dataclasses.replace(candidate.config, **settings),
    )
    winner = dataclasses.replace(contestant.winner, candidate=candidate)
    contestants[number] = dataclasses.replace(contestant, winner=winner, tried=tried)
    return dataclasses.replace(comparison, contestants=contestants)


def test_openings_copies_and_unfair_sizes_are_told_with_a_remedy():
    plain = titles(make_comparison())
    for title in ("Test images used before", "Copies in the test set", "Images too small"):
        assert title not in plain
    full = titles(make_comparison(openings=3, duplicates=7, pretrained_size=32))
    assert "had scored 2 models before, the last time on" in full["Test images used before"]
    assert "7 of the test images show the same picture" in full["Copies in the test set"]
    assert "--duplicates drop" in full["Copies in the test set"]
    assert "(32 pixels; its weights know 224)" in full["Images too small"]


def test_a_model_with_less_effort_that_still_improved_is_named():
    comparison = changed(make_comparison(), 0, tried=13, **{"best/epoch": 12, "epochs": 20})
    rising = changed(comparison, 1, tried=3, **{"best/epoch": 2, "epochs": 2})
    text = titles(rising)["Unequal effort"]
    assert f"{CNN[1:]} had 13 trials, 20 epochs; {RESNET} (3 trials, 2 epochs) had less" in text
    assert "--epochs 20" in text
    assert "Training may be too short" not in titles(rising)  # said once
    fallen = changed(comparison, 1, tried=3, **{"best/epoch": 1, "epochs": 2})
    assert "Unequal effort" not in titles(fallen)
    assert f"{RESNET} (2 epochs)" in titles(fallen)["Training may be too short"]


def test_a_linear_probe_has_no_epochs_to_compare_with():
    models = (SAME[1], SAME[0])  # of which the pretrained one is chosen
    settings = {"mode": "probe", "lr": None, "penalty": 0.1, "epochs": 1}
    probe = changed(make_comparison(models), 0, tried=10, **settings, **{"best/epoch": 1})
    tried_less = changed(probe, 1, tried=2, **{"best/epoch": 8, "epochs": 8})
    text = titles(tried_less)["Unequal effort"]
    assert "had 10 trials, head only" in text
    assert "--epochs 16" in text  # never shorter than it was
    as_often = changed(probe, 1, tried=10, **{"best/epoch": 2, "epochs": 4})
    assert "Unequal effort" not in titles(as_often)


def test_models_at_their_best_in_the_last_epoch_may_be_trained_longer():
    long = changed(make_comparison(), 1, **{"best/epoch": 5, "epochs": 9})
    last = changed(long, 0, **{"best/epoch": 8, "epochs": 8})
    assert titles(last)["Training may be too short"] == (
        f"Longer training may improve {CNN} (8 epochs): try --epochs 16."
    )


def test_a_model_at_chance_level_is_no_evidence():
    models = (("cnn", "none", 0.9, 0), ("resnet18", "default", 0.1, 0))
    text = titles(make_comparison(models))["At chance level"]
    assert text.startswith(f"P{RESNET[1:]} is not better than always answering 'airplane' (10.00%)")
    assert "At chance level" not in titles(make_comparison())
    comparison = changed(make_comparison(models), 1, lr=1e-2)
    comparison.runs[1].record["options"] = {"lr": [1e-4, 1e-3, 1e-2]}
    # Lower rates and a higher one would be advised in one breath.
    assert "Best setting at the edge of the grid" not in titles(comparison)


def test_a_smoke_test_is_no_contest():
    comparison = make_comparison()
    comparison.runs[1].record["options"] = {"run": {"smoke_test": True}}
    title, text = next(iter(titles(comparison).items()))
    assert title == "Smoke test"
    assert f"{comparison.runs[1].name} trained two epochs on a few images".capitalize() in text


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"lr": 1e-2}, f"0.01, the highest learning rate, for {RESNET} (try --lr 0.1)"),
        ({"lr": 1e-3}, None),
        (
            {"mode": "probe", "penalty": 0.1},
            f"0.1, the lowest penalty, for {RESNET} (try --penalty 0.01)",
        ),
        ({"mode": "probe", "penalty": 1.0}, None),
    ],
)
def test_the_best_setting_at_the_edge_of_a_grid_is_told(settings, told):
    comparison = changed(make_comparison(), 1, **settings)
    options = {"lr": [1e-4, 1e-3, 1e-2], "penalty": [10.0, 1.0, 0.1]}
    comparison.runs[1].record["options"] = options
    text = titles(comparison).get("Best setting at the edge of the grid")
    assert text == (told and f"{told}: the best may lie beyond.")


def test_a_tie_on_validation_is_told_unless_seeds_or_the_test_set_decide():
    tie = {"best/val_accuracy": 0.89}
    text = titles(changed(make_comparison(SAME), 1, **tie))["Tie on validation"]
    assert f"500 validation images do not tell {RESNET} (89.00%) from {CNN} (90.00%)" in text
    assert "--seeds 5" in text
    assert "Tie on validation" not in titles(changed(make_comparison(), 1, **tie))
    assert "Tie on validation" not in titles(changed(make_comparison(SAME, seeds=3), 1, **tie))


def test_choosing_by_the_test_set_is_warned_of():
    models = (("cnn", "none", 0.7, 0), ("resnet18", "default", 0.9, 0))
    text = titles(make_comparison(models))["Better on the test set"]
    assert "confirm the difference on new images" in text
    assert "Better on the test set" not in titles(make_comparison())


def test_of_many_models_a_few_are_named():
    models = [("cnn", "none", 0.5, 0)] + [(f"resnet{i}", "none", 0.95, 0) for i in range(6)]
    assert "and 3 more" in titles(make_comparison(models))["Better on the test set"]
