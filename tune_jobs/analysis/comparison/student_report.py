"""Published results of the student report that this project grew from.

EN3150 Assignment 03, "Simple convolutional neural network to perform classification", University of
Moratuwa, December 2023: https://github.com/Pattern-Recog/Simple-convolutional-neural-network-to-perform-classification
At a learning rate of 2.5e-4 the output stored in its notebook is 70.78%, not 74.14%.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainables.config import TrialConfig

CLASSES = frozenset(
    {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}
)
"""Classes of CIFAR-10, the dataset of the published results."""


@dataclass(frozen=True)
class Published:
    """Published results of one training run."""

    accuracy: float
    """Accuracy on the report's 10,000 held-out images, in 0..1."""
    train_losses: tuple[float, ...]
    """Training loss of each epoch in nats, mean over batches."""
    val_losses: tuple[float, ...]
    """Validation loss of each epoch in nats; for fine-tuned networks on the test images."""
    precision: float | None = None
    """Weighted precision, in 0..1; not published for fine-tuned networks."""
    recall: float | None = None
    """Weighted recall, in 0..1; not published for fine-tuned networks."""


# fmt: off
RATES = {
    2.5e-4: Published(
        accuracy=0.7414,
        precision=0.7443,
        recall=0.7414,
        train_losses=(
            2.1260, 2.0183, 1.9661, 1.9346, 1.9090, 1.8906, 1.8769, 1.8577, 1.8496, 1.8391,
            1.8295, 1.8184, 1.8093, 1.7844, 1.7556, 1.7397, 1.7295, 1.7189, 1.7137, 1.7022,
        ),
        val_losses=(
            2.0696, 1.9992, 1.9558, 1.9042, 1.8885, 1.8713, 1.8681, 1.8607, 1.8459, 1.8395,
            1.8444, 1.8229, 1.8274, 1.7717, 1.7551, 1.7530, 1.7400, 1.7623, 1.7300, 1.7288,
        ),
    ),
    1e-4: Published(
        accuracy=0.6156,
        precision=0.5488,
        recall=0.6156,
        train_losses=(
            2.1414, 2.0397, 1.9904, 1.9612, 1.9418, 1.9230, 1.9100, 1.8992, 1.8876, 1.8795,
            1.8703, 1.8608, 1.8543, 1.8466, 1.8403, 1.8335, 1.8270, 1.8227, 1.8148, 1.8056,
        ),
        val_losses=(
            2.0453, 1.9957, 1.9483, 1.9320, 1.9386, 1.9152, 1.8972, 1.8978, 1.8827, 1.8833,
            1.8726, 1.8703, 1.8604, 1.8581, 1.8671, 1.8585, 1.8608, 1.8647, 1.8725, 1.8354,
        ),
    ),
    1e-3: Published(
        accuracy=0.6619,
        precision=0.6897,
        recall=0.6619,
        train_losses=(
            2.1142, 2.0214, 1.9765, 1.9406, 1.9148, 1.8987, 1.8817, 1.8686, 1.8594, 1.8438,
            1.8294, 1.8178, 1.8133, 1.8106, 1.7955, 1.7933, 1.7782, 1.7779, 1.7633, 1.7640,
        ),
        val_losses=(
            2.0252, 2.0007, 1.9206, 1.9146, 1.8874, 1.8651, 1.8734, 1.8349, 1.8238, 1.8416,
            1.8165, 1.7982, 1.8006, 1.7779, 1.8065, 1.8063, 1.7702, 1.7605, 1.7581, 1.7982,
        ),
    ),
    1e-2: Published(
        accuracy=0.2149,
        precision=0.1335,
        recall=0.2149,
        train_losses=(
            2.2400, 2.2799, 2.2736, 2.2555, 2.2567, 2.2398, 2.2505, 2.2670, 2.2737, 2.2646,
            2.2719, 2.2991, 2.3253, 2.2723, 2.2526, 2.2562, 2.2857, 2.2712, 2.2638, 2.2492,
        ),
        val_losses=(
            2.2680, 2.3015, 2.2646, 2.2531, 2.2228, 2.2294, 2.2904, 2.2874, 2.2598, 2.2767,
            2.2606, 2.3621, 2.2942, 2.2484, 2.2373, 2.2816, 2.2888, 2.2490, 2.2667, 2.2446,
        ),
    ),
    1e-1: Published(
        accuracy=0.1054,
        precision=0.0111,
        recall=0.1054,
        train_losses=(
            2.3631, 2.3633, 2.3633, 2.3633, 2.3633, 2.3632, 2.3633, 2.3632, 2.3632, 2.3633,
            2.3633, 2.3633, 2.3632, 2.3633, 2.3632, 2.3632, 2.3633, 2.3633, 2.3632, 2.3632,
        ),
        val_losses=(
            2.3598, 2.3598, 2.3598, 2.3598, 2.3598, 2.3598, 2.3598, 2.3598, 2.3598, 2.3598,
            2.3598, 2.3598, 2.3598, 2.3598, 2.3598, 2.3598, 2.3598, 2.3598, 2.3598, 2.3598,
        ),
    ),
}
"""Learning rate -> results of the custom CNN trained at it for 20 epochs."""

NETWORKS = {
    "resnet18": Published(
        accuracy=0.7305,
        train_losses=(
            1.9670, 1.3195, 1.0668, 0.9195, 0.8176, 0.7332, 0.6557, 0.5988, 0.5359, 0.4894,
        ),
        val_losses=(
            1.5417, 1.2165, 1.0656, 0.9780, 0.9205, 0.8883, 0.8559, 0.8381, 0.8269, 0.8164,
        ),
    ),
    "densenet121": Published(
        accuracy=0.7618,
        train_losses=(
            2.0702, 1.4715, 1.1412, 0.9537, 0.8283, 0.7306, 0.6536, 0.5801, 0.5241, 0.4624,
        ),
        val_losses=(
            1.7553, 1.3200, 1.0943, 0.9678, 0.8782, 0.8204, 0.7752, 0.7476, 0.7241, 0.7092,
        ),
    ),
    "googlenet": Published(
        accuracy=0.6647,
        train_losses=(
            2.2113, 1.9084, 1.5993, 1.3717, 1.2173, 1.1105, 1.0273, 0.9520, 0.8919, 0.8432,
        ),
        val_losses=(
            2.0716, 1.7561, 1.4925, 1.3184, 1.2069, 1.1289, 1.0739, 1.0286, 1.0011, 0.9722,
        ),
    ),
}
"""Network -> results fine-tuned from ImageNet weights, all layers, 10 epochs, Adam at 1e-5."""
# fmt: on
NETWORK_LR = 1e-5
"""Learning rate of all NETWORKS."""

LAYERS = {
    "features.0": 2464, "features.1": 51_328, "features.2": 205_056,
    "classifier.1": 131_136, "classifier.4": 650,
}  # fmt: skip
"""Trainable parameters of the custom CNN by layer, with our layer names; 390,634 in total."""
STATED_TOTAL = 390_630
"""Total that the report states; its own layers sum to 390,634."""


def published(config: TrialConfig, classes: Sequence[str]) -> Published | None:
    """Return the published results for a configuration, or None if the report has none.

    Args:
        config: configuration of a trial.
        classes: class names of the dataset.
    """
    if frozenset(classes) != CLASSES:
        return None
    if config.model == "cnn":
        return RATES.get(config.lr or 0) if not config.model_args else None
    fine_tuned = config.weights != "none" and config.mode == "full"
    return NETWORKS.get(config.model) if fine_tuned and config.lr == NETWORK_LR else None
