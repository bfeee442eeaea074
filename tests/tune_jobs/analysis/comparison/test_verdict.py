import dataclasses

import pytest

from tests.tune_jobs.analysis.comparisons import make_comparison
from tune_jobs.analysis.comparison.verdict import headline, verdict

CNN, RESNET = "custom CNN", "pretrained resnet18"


@pytest.mark.parametrize(
    ("models", "title", "sentences"),
    [
        (
            [("cnn", "none", 0.9, 0), ("resnet18", "default", 0.7, 0)],
            f"Use the {CNN}: better than {RESNET}; these are 2 trained models, and --seeds 3 would "
            "settle which model family is better",
            [
                "One training of each model family was compared, so this is about these trained "
                "models",
                f"Chosen by validation accuracy: {CNN}. Its accuracy on the 400 sealed test "
                "images is 90.00% (95% confidence interval ",
                f"It is better than {RESNET} (+20.00 percentage points, 95% CI",
                f"Custom or pretrained: {CNN}, by 20.00 percentage points (adjusted p < 0.001).",
            ],
        ),
        (
            [("resnet18", "default", 0.9, 0), ("cnn", "none", 0.9, 4)],
            f"Use the {RESNET}: undecided against {CNN}; these are 2 trained models, and --seeds 3 "
            "with about 6,200 test images would settle which model family is better",
            [
                f"It is undecided against {CNN} (+0.00 percentage points",
                "which may be better, worse or equivalent within 1 percentage point; it would be "
                "decided by about 2,200 test images.",
                f"Custom or pretrained: undecided, {RESNET} and {CNN} differ by 0.00 percentage "
                "points",
            ],
        ),
        (
            [("cnn", "none", 0.7, 0), ("resnet18", "default", 0.9, 0)],
            f"{CNN} was chosen by validation accuracy, but {RESNET} is better on the test set; "
            "these are 2 trained models, and --seeds 3 would settle which model family is better",
            [
                f"On the test set, {RESNET} (+20.00 percentage points",
                "confirm the difference on new images",
                f"Custom or pretrained: {RESNET}, by 20.00 percentage points",
            ],
        ),
        (
            [("cnn", "none", 0.9, 0)],
            f"{CNN} was the only model family compared",
            ["undecided, because no pretrained model was compared"],
        ),
        (
            [("cnn", "none", 0.9, 0), ("resnet18", "none", 0.7, 0)],
            f"Use the {CNN}: better than resnet18 from scratch; these are 2 trained models, and "
            "--seeds 3 would settle which model family is better",
            ["better than resnet18 from scratch", "undecided, because no pretrained model"],
        ),
    ],
)
def test_the_verdict_says_what_the_test_images_say(models, title, sentences):
    comparison = make_comparison(models)
    assert headline(comparison) == title
    for sentence in sentences:
        assert sentence in verdict(comparison)


def test_a_cheaper_model_is_named_if_equivalent_or_with_its_expected_regret():
    models = [("resnet18", "default", 0.9, 0), ("cnn", "none", 0.9, 4)]
    slow = make_comparison(models, latencies=(12.0, 1.0))
    open_ = verdict(slow)
    assert f"{CNN} is 12 times as fast, with 390,634 parameters; whether it is worse is" in open_
    assert "the expected regret of using it instead, E[max(0, loss of accuracy)], is 0.3" in open_
    equivalent = verdict(dataclasses.replace(slow, margin=0.05))
    assert f"It is equivalent to {CNN}" in equivalent
    assert "with 390,634 parameters, and equivalent." in equivalent
    worse = [("resnet18", "default", 0.9, 0), ("cnn", "none", 0.7, 0)]
    assert "times as fast" not in verdict(make_comparison(worse, latencies=(12.0, 1.0)))
    assert "times as fast" not in verdict(make_comparison(models, latencies=(1.0, 12.0)))


def test_seeds_openings_and_copies_are_reported():
    plain = verdict(make_comparison())
    for words in ("runs with different random seeds", "scored", "same picture"):
        assert words not in plain
    full = verdict(make_comparison(seeds=3, openings=3, duplicates=7))
    assert "Over 3 runs with different random seeds its mean test accuracy is 89.00%" in full
    assert "scores higher" not in full  # of three seeds
    five = verdict(make_comparison(seeds=5))
    assert f"on these test images it scores higher than {RESNET} in 100%" in five
    assert "These test images had scored 2 models before" in full
    assert "7 of the test images show the same picture as a training or validation image" in full
    assert "--duplicates drop" in full


def test_a_pretrained_network_on_images_too_small_for_it_was_not_tested_fairly():
    comparison = make_comparison(pretrained_size=32)
    assert "but pretrained resnet18 got images too small for a fair test;" in headline(comparison)
    assert "was given images of 32 pixels, but its weights know 224" in verdict(comparison)
    assert "fair test" not in headline(make_comparison()) + verdict(make_comparison())


def test_of_many_models_a_few_are_named():
    models = [("cnn", "none", 0.95, 0)] + [(f"resnet{i}", "none", 0.5, 0) for i in range(6)]
    assert "and 3 more" in verdict(make_comparison(models))


def test_with_three_seeds_the_verdict_is_about_model_families():
    comparison = make_comparison(seeds=3)
    assert headline(comparison) == f"Use the {CNN}: better than {RESNET}"
    assert "trained models" not in verdict(comparison)
    two = make_comparison(seeds=2)
    assert "these are 2 trained models" in headline(two)
    assert verdict(two).startswith("One training of each model family was compared")


def test_a_family_without_seeds_is_compared_as_a_trained_model():
    models = (("cnn", "none", 0.9, 0), ("resnet18", "default", 0.7, 0),
              ("densenet121", "default", 0.6, 0))  # fmt: skip
    comparison = make_comparison(models, seeds=3)
    bare = dataclasses.replace(comparison.contestants[1], seeds=[])
    mixed = dataclasses.replace(
        comparison, contestants=[comparison.chosen, bare, comparison.contestants[2]]
    )
    assert headline(mixed).endswith(f"compared with {RESNET} as trained models only")
