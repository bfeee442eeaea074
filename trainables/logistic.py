"""Multinomial logistic regression with an L2 penalty, fitted by L-BFGS.

Shape letters: N images, F features, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TOLERANCE = 1e-4
"""Largest absolute value of the gradient at which a fit has converged, as scikit-learn's."""
MAX_ITERATIONS = 1000
HISTORY = 10
"""Number of past gradients that L-BFGS approximates the curvature from."""


@dataclass(frozen=True)
class Logistic:
    """Weights of a logistic regression."""

    weight: Tensor
    """Coefficients, C×F, float32."""
    bias: Tensor
    """Intercepts, C, float32."""

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits, N×C, of features, N×F, both float32."""
        return torch.addmm(self.bias, features, self.weight.T)


def fit_logistic(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    penalty: float,
    class_weights: Tensor | None = None,
    start: Logistic | None = None,
) -> Logistic:
    """Minimise mean(weight of the class · cross-entropy) + penalty / 2 · ‖coefficients‖².

    Intercepts are not penalised. scikit-learn's LogisticRegression minimises the same at
    C = 1 / (penalty · N). The result depends on the device and its number of threads only by
    rounding.

    Args:
        features: Features, N×F, float32; of unit variance, or convergence is slow.
        labels: Labels, N, int64, on the same device.
        num_classes: Number of classes C.
        penalty: L2 penalty, above 0.
        class_weights: Weight of each class, C, float32; None if all weigh the same.
        start: Solution at another penalty, from which fewer iterations are needed.
    """
    n = len(features)
    by_class = torch.ones(num_classes, device=labels.device)
    weights = (by_class if class_weights is None else class_weights)[labels] / n
    # Classes come first: products with a few long rows are several times as fast as with columns.
    targets = torch.zeros(num_classes, n, device=features.device)
    targets[labels, torch.arange(n, device=labels.device)] = weights
    shape = num_classes, features.shape[1]
    weight = torch.zeros(shape, device=features.device) if start is None else start.weight.clone()
    bias = torch.zeros(num_classes, device=features.device) if start is None else start.bias.clone()
    optimizer = torch.optim.LBFGS(
        [weight.requires_grad_(), bias.requires_grad_()],
        max_iter=MAX_ITERATIONS,
        history_size=HISTORY,
        tolerance_grad=TOLERANCE,
        tolerance_change=0,  # a small step alone is no convergence
        line_search_fn="strong_wolfe",
    )

    @torch.no_grad()
    def loss() -> Tensor:
        """Compute the loss, and its gradient without the overhead of autograd."""
        log_p = torch.addmm(bias[:, None], weight, features.T).log_softmax(0)  # C×N
        error = log_p.exp() * weights - targets
        weight.grad = torch.addmm(weight, error, features, beta=penalty)
        bias.grad = error.sum(1)
        return penalty / 2 * weight.square().sum() - (log_p * targets).sum()

    optimizer.step(loss)
    return Logistic(weight.detach(), bias.detach())
