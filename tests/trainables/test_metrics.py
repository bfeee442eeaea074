from typing import get_args

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

from trainables.metrics import EPOCH_METRICS, classification_scores
from trainables.target import TARGETS, MetricName

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
    "one class in the images": (torch.randn(9, 3, generator=GENERATOR), torch.ones(9).long()),
    "ties": (
        torch.randint(0, 2, (60, 4), generator=GENERATOR).float(),
        torch.randint(0, 4, (60,), generator=GENERATOR),
    ),
    "two classes": (torch.randn(30, 2, generator=GENERATOR), torch.arange(30) % 2),
}


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("case", CASES)
def test_scores_equal_those_of_scikit_learn(case):
    logits, labels = CASES[case]
    predicted, probabilities = logits.argmax(1), logits.double().softmax(1).numpy()
    precision, recall, _, _ = precision_recall_fscore_support(
        labels, predicted, average="weighted", zero_division=0
    )
    present = labels.unique().tolist()
    rounded = probabilities.astype(np.float32)  # else ties depend on the order of summation
    areas = [
        roc_auc_score(labels.numpy() == label, rounded[:, label])
        for label in (present if len(present) > 1 else [])
    ]
    expected = {
        "accuracy": accuracy_score(labels, predicted),
        "precision": precision,
        "recall": recall,
        "balanced_accuracy": balanced_accuracy_score(labels, predicted),
        "macro_f1": f1_score(labels, predicted, average="macro", zero_division=0),
        "log_loss": log_loss(labels, probabilities, labels=range(logits.shape[1])),
        "auroc": np.mean(areas) if areas else 0.5,
    }
    assert classification_scores(logits, labels) == pytest.approx(expected, abs=1e-6)
    if len(present) == logits.shape[1] > 2:
        whole = roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
        assert classification_scores(logits, labels)["auroc"] == pytest.approx(whole, abs=1e-12)


def test_a_constant_answer_scores_no_better_for_a_frequent_class():
    labels = torch.tensor([0] * 99 + [1])
    scores = classification_scores(torch.eye(2)[[0] * 100], labels)
    assert scores["accuracy"] == 0.99
    assert (scores["balanced_accuracy"], scores["auroc"]) == (0.5, 0.5)


def test_most_scores_look_at_the_order_of_logits_only():
    logits, labels = CASES["random"]
    ours, theirs = (classification_scores(each, labels) for each in (logits.softmax(1), logits))
    for name in ("accuracy", "precision", "recall", "balanced_accuracy", "macro_f1"):
        assert ours[name] == theirs[name]
    assert ours["log_loss"] != theirs["log_loss"]


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_metric_to_select_by_is_a_metric_of_each_epoch(target):
    assert EPOCH_METRICS[target.column].mode == target.mode
    good, bad = (0.1, 0.2) if target.mode == "min" else (0.2, 0.1)
    assert target.merit(good) > target.merit(bad)


def test_metrics_are_those_that_the_option_takes():
    assert tuple(TARGETS) == get_args(MetricName)
