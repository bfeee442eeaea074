import pytest

from tests.tune_jobs.analysis.comparisons import make_comparison
from tune_jobs.analysis.comparison.verdict import headline, verdict

CNN, RESNET = "custom CNN", "pretrained resnet18"


@pytest.mark.parametrize(
    ("models", "title", "sentences"),
    [
        (
            [("cnn", "none", 0.9, 0), ("resnet18", "default", 0.7, 0)],
            f"Use the {CNN}",
            [
                f"Chosen by validation accuracy: {CNN}. Its accuracy on the 400 sealed test "
                "images is 90.00% (95% confidence interval ",
                f"It is significantly better than {RESNET} (+20.00 percentage points, 95% CI",
                f"Custom or pretrained: {CNN}, by 20.00 percentage points (adjusted p < 0.001).",
            ],
        ),
        (
            [("resnet18", "default", 0.9, 0), ("cnn", "none", 0.9, 4)],
            f"Use the {RESNET}; its test accuracy does not differ significantly from that of {CNN}",
            [
                f"Its accuracy does not differ significantly from that of {CNN} (+0.00 percentage "
                "points",
                "the power to detect a true difference below",
                f"Custom or pretrained: no significant difference, {RESNET} and {CNN} differ by "
                "0.00 percentage points",
            ],
        ),
        (
            [("cnn", "none", 0.7, 0), ("resnet18", "default", 0.9, 0)],
            f"{CNN} was chosen by validation accuracy, but {RESNET} is significantly better on the "
            "test set",
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
            f"Use the {CNN}",
            ["better than resnet18 from scratch", "undecided, because no pretrained model"],
        ),
    ],
)
def test_the_verdict_says_what_the_test_images_say(models, title, sentences):
    comparison = make_comparison(models)
    assert headline(comparison) == title
    for sentence in sentences:
        assert sentence in verdict(comparison)


def test_a_cheaper_model_that_is_as_good_is_named():
    models = [("resnet18", "default", 0.9, 0), ("cnn", "none", 0.9, 4)]
    slow = verdict(make_comparison(models, latencies=(12.0, 1.0)))
    assert f"{CNN} is 12 times as fast, with 390,634 parameters" in slow
    assert "times as fast" not in verdict(make_comparison(models, latencies=(1.0, 12.0)))


def test_seeds_openings_and_copies_are_reported():
    plain = verdict(make_comparison())
    for words in ("random seeds", "opened", "same picture"):
        assert words not in plain
    full = verdict(make_comparison(seeds=3, openings=3, duplicates=7))
    assert "Over 3 runs with different random seeds its mean test accuracy is 89.00%" in full
    assert f"scores higher than {RESNET} in 100%" in full
    assert "opened 2 times before" in full
    assert "7 of the test images show the same picture as a training or validation image" in full
    assert "--duplicates drop" in full


def test_a_pretrained_network_on_images_too_small_for_it_was_not_tested_fairly():
    comparison = make_comparison(pretrained_size=32)
    assert headline(comparison).endswith("got images too small for a fair test")
    assert "was given images of 32 pixels, but its weights know 224" in verdict(comparison)
    assert "fair test" not in headline(make_comparison()) + verdict(make_comparison())


def test_of_many_models_a_few_are_named():
    models = [("cnn", "none", 0.95, 0)] + [(f"resnet{i}", "none", 0.5, 0) for i in range(6)]
    assert "and 3 more" in verdict(make_comparison(models))
