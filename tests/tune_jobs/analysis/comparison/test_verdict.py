import dataclasses

import pytest

from tests.tune_jobs.analysis.comparisons import make_comparison
from tune_jobs.analysis.comparison.verdict import headline, summary

CNN, RESNET = "custom CNN", "pretrained ResNet18"
SETTLES = "One training of each model family was compared, and --seeds 3 would settle which"
DIFFERS = f"Use the {CNN}: 20.00 percentage points better than"


@pytest.mark.parametrize(
    ("models", "title", "sentences"),
    [
        (
            [("cnn", "none", 0.9, 0), ("resnet18", "default", 0.7, 0)],
            f"{DIFFERS} {RESNET} (one training of each)",
            [SETTLES],
        ),
        (
            [("resnet18", "default", 0.9, 0), ("cnn", "none", 0.9, 4)],
            f"Use the {RESNET}: undecided against {CNN} (one training of each)",
            [
                "--seeds 3 with about 6,200 test images would settle which model family is better",
                f"As trained, against {CNN} it may be better, worse or equivalent within 1 "
                "percentage point: about 2,200 test images would decide.",
            ],
        ),
        (
            [("cnn", "none", 0.7, 0), ("resnet18", "default", 0.9, 0)],
            f"Custom CNN was chosen by validation accuracy, but {RESNET} is better on the test set "
            "(one training of each)",
            [SETTLES],
        ),
        (
            [("cnn", "none", 0.9, 0)],
            "Custom CNN was the only model family compared",
            ["undecided, because no pretrained model was compared"],
        ),
        (
            [("cnn", "none", 0.9, 0), ("resnet18", "none", 0.7, 0)],
            f"{DIFFERS} ResNet18 from scratch (one training of each)",
            [SETTLES, "undecided, because no pretrained model was compared"],
        ),
        (  # the runner-up is of the same kind
            [("resnet18", "default", 0.9, 0), ("densenet121", "default", 0.9, 4),
             ("cnn", "none", 0.5, 0)],
            f"Use the {RESNET}: 40.00 percentage points better than {CNN} (one training of each)",
            ["As trained, against pretrained DenseNet121 it may be better, worse or equivalent"],
        ),
    ],
)  # fmt: skip
def test_the_headline_answers_custom_or_pretrained(models, title, sentences):
    comparison = make_comparison(models)
    assert headline(comparison) == title
    for sentence in sentences:
        assert sentence in " ".join(summary(comparison))


def test_a_cheaper_model_is_named_if_equivalent_or_with_its_expected_regret():
    models = [("resnet18", "default", 0.9, 0), ("cnn", "none", 0.9, 4)]
    slow = make_comparison(models, latencies=(12.0, 1.0))
    open_ = summary(slow)[-1]
    assert f"{CNN} is 12 times as fast (390,634 parameters); whether it is worse is" in open_
    assert "with an expected regret of 0.3" in open_
    wide = dataclasses.replace(slow, margin=0.05)
    assert "(390,634 parameters) and equivalent." in summary(wide)[-1]
    assert f": equivalent within 5 percentage points to {CNN}" in headline(wide)
    worse = [("resnet18", "default", 0.9, 0), ("cnn", "none", 0.7, 0)]
    for others in (worse, models):
        latencies = (12.0, 1.0) if others is worse else (1.0, 12.0)
        told = " ".join(summary(make_comparison(others, latencies=latencies)))
        assert "times as fast" not in told


def test_a_pretrained_network_on_images_too_small_for_it_was_not_tested_fairly():
    small = headline(make_comparison(pretrained_size=32))
    assert f"{RESNET}, which got images too small for a fair test (one" in small
    assert "fair test" not in headline(make_comparison())


def test_with_three_seeds_the_verdict_is_about_model_families():
    comparison = make_comparison(seeds=3)
    assert headline(comparison) == f"{DIFFERS} {RESNET}"
    assert summary(comparison)[0].startswith("The verdict is about the model families")
    two = make_comparison(seeds=2)
    assert headline(two).endswith("(one training of each)")
    assert summary(two)[0].startswith("One training of each model family was compared")


def test_a_family_without_seeds_is_compared_as_a_trained_model():
    models = (("cnn", "none", 0.9, 0), ("resnet18", "default", 0.7, 0),
              ("densenet121", "default", 0.6, 0))  # fmt: skip
    comparison = make_comparison(models, seeds=3)
    bare = dataclasses.replace(comparison.contestants[1], seeds=[])
    mixed = dataclasses.replace(
        comparison, contestants=[comparison.chosen, bare, comparison.contestants[2]]
    )
    assert headline(mixed).endswith(f"(one training of {RESNET})")
