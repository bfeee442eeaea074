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
                f"Chosen on validation images: {CNN}. It is right on 90.00% of the 400 sealed",
                f"It is better than {RESNET} (+20.00 points",
                f"Custom or pretrained: {CNN}, by 20.00 points (p < 0.001).",
            ],
        ),
        (
            [("resnet18", "default", 0.9, 0), ("cnn", "none", 0.9, 4)],
            f"Use the {RESNET}; {CNN} cannot be told apart from it",
            [
                f"It is not separable from {CNN} (+0.00 points",
                "a true difference below",
                f"Custom or pretrained: not separable, {RESNET} and {CNN} differ by 0.00 points",
            ],
        ),
        (
            [("cnn", "none", 0.7, 0), ("resnet18", "default", 0.9, 0)],
            f"{CNN} was chosen, but {RESNET} did better on the test images",
            [
                f"On the test images {RESNET} (+20.00 points",
                "confirm it on new ones",
                f"Custom or pretrained: {RESNET}, by 20.00 points",
            ],
        ),
        (
            [("cnn", "none", 0.9, 0)],
            f"{CNN} was the only kind of model compared",
            ["stays open, as no pretrained model was compared"],
        ),
        (
            [("cnn", "none", 0.9, 0), ("resnet18", "none", 0.7, 0)],
            f"Use the {CNN}",
            ["better than resnet18 from scratch", "stays open, as no pretrained model"],
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


def test_seeds_openings_and_copies_are_told():
    plain = verdict(make_comparison())
    for words in ("retrainings", "looked at", "byte by byte"):
        assert words not in plain
    full = verdict(make_comparison(seeds=3, openings=3, duplicates=7))
    assert "Over 3 retrainings with other seeds it has 89.00% on average" in full
    assert f"beats {RESNET} in 100%" in full
    assert "looked at 2 times before" in full
    assert "7 of the test images are in the training or validation part too" in full


def test_of_many_models_a_few_are_named():
    models = [("cnn", "none", 0.95, 0)] + [(f"resnet{i}", "none", 0.5, 0) for i in range(6)]
    assert "and 3 more" in verdict(make_comparison(models))
