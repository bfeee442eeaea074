import dataclasses

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from trainables.config import PENALTIES
from trainables.logistic import TOLERANCE, fit_logistic

CLASSES = 4


@pytest.fixture(scope="module")
def samples():
    features, labels = make_classification(
        300, 40, n_informative=10, n_redundant=20, n_classes=CLASSES, random_state=0
    )
    features = (features - features.mean(0)) / features.std(0)
    return features.astype(np.float32), labels.astype(np.int64)


def gradient(found, features, labels, penalty, weights=None):
    """Largest entry of the gradient of the loss, in float64."""
    by_class = np.ones(CLASSES) if weights is None else np.array(weights)
    logits = features @ found.weight.double().numpy().T + found.bias.double().numpy()
    error = np.exp(logits - logits.max(1, keepdims=True))
    error = error / error.sum(1, keepdims=True) - np.eye(CLASSES)[labels]
    error *= by_class[labels][:, None] / len(labels)
    return max(
        abs(error.T @ features + penalty * found.weight.numpy()).max(), abs(error.sum(0)).max()
    )


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5, 4.0]])
@pytest.mark.parametrize("penalty", [1.0, 0.1, 0.01])
def test_coefficients_are_those_of_scikit_learn(samples, penalty, weights):
    features, labels = samples
    found = fit_logistic(
        torch.from_numpy(features), torch.from_numpy(labels), CLASSES, penalty,
        None if weights is None else torch.tensor(weights),
    )  # fmt: skip
    reference = LogisticRegression(
        C=1 / (penalty * len(labels)), tol=1e-9, max_iter=10_000,
        class_weight=None if weights is None else dict(enumerate(weights)),
    ).fit(features.astype(np.float64), labels)  # fmt: skip
    # A gradient of at most g allows coefficients that differ by ‖g‖ / penalty.
    allowed = TOLERANCE * np.sqrt(found.weight.numel()) / penalty
    assert np.linalg.norm(found.weight.numpy() - reference.coef_) < allowed
    probabilities = found.logits(torch.from_numpy(features)).softmax(1).numpy()
    assert np.abs(probabilities - reference.predict_proba(features)).max() < 0.02


def test_a_path_converges_at_every_penalty_and_a_start_changes_nothing_else(samples):
    features, labels = samples
    head = None
    for penalty in PENALTIES:
        head = fit_logistic(
            torch.from_numpy(features), torch.from_numpy(labels), CLASSES, penalty, start=head
        )
        # In fp64; the fit sees that of fp32, whose rounding depends on the processor.
        assert gradient(head, features, labels, penalty) < 2 * TOLERANCE
    assert head is not None


def test_the_start_is_left_as_it_is(samples):
    features, labels = map(torch.from_numpy, samples)
    start = fit_logistic(features, labels, CLASSES, 1.0)
    before = dataclasses.replace(start, weight=start.weight.clone(), bias=start.bias.clone())
    fit_logistic(features, labels, CLASSES, 0.1, start=start)
    assert torch.equal(start.weight, before.weight)
    assert torch.equal(start.bias, before.bias)


def test_two_fits_are_equal_to_the_bit(samples):
    features, labels = map(torch.from_numpy, samples)
    first, second = (fit_logistic(features, labels, CLASSES, 0.01) for _ in range(2))
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)
