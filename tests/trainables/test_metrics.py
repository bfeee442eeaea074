import pytest
import torch
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from torch.nn import functional as F

from trainables.metrics import EPOCH_METRICS, TARGET, weighted_scores

GENERATOR = torch.Generator().manual_seed(0)
CASES = {
    "random": (torch.randn(200, 7, generator=GENERATOR), torch.arange(200) % 7),
    "unbalanced": (
        torch.randn(100, 3, generator=GENERATOR),
        torch.tensor([0] * 90 + [1] * 9 + [2]),
    ),
    "perfect": (torch.eye(4), torch.arange(4)),
    "all wrong": (torch.eye(4), torch.arange(4).roll(1)),
    "one class predicted": (torch.eye(4)[[2] * 8], torch.arange(8) % 4),
    "class without images": (torch.randn(50, 5, generator=GENERATOR), torch.arange(50) % 3),
    "one image": (torch.eye(3)[:1], torch.tensor([1])),
    "two classes": (torch.randn(30, 2, generator=GENERATOR), torch.arange(30) % 2),
}


@pytest.mark.parametrize("case", CASES)
def test_scores_equal_those_of_scikit_learn(case):
    logits, labels = CASES[case]
    predicted = logits.argmax(1)
    precision, recall, _, _ = precision_recall_fscore_support(
        labels, predicted, average="weighted", zero_division=0
    )
    assert weighted_scores(logits, labels) == pytest.approx(
        {
            "accuracy": accuracy_score(labels, predicted),
            "precision": precision,
            "recall": recall,
        },
        abs=1e-12,
    )


def test_scores_look_at_the_order_of_logits_only():
    logits, labels = CASES["random"]
    assert weighted_scores(F.softmax(logits, 1), labels) == weighted_scores(logits, labels)


def test_models_are_chosen_by_the_highest_validation_accuracy():
    assert TARGET == "val_accuracy"
    assert EPOCH_METRICS[TARGET].mode == "max"
