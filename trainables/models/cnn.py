"""The custom CNN of the student report, with 390,634 trainable parameters at its defaults."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from trainables.errors import InputError
from trainables.models.layers import BatchNormMaxPool2d
from trainables.models.registry import register_model


@register_model("cnn")
class SimpleCNN(nn.Module):
    """Blocks of convolution, batch normalisation, ReLU and 2×2 max pooling, then two linear layers.

    The convolutions have no bias, because batch normalisation would subtract it.

    Args:
        num_classes: Number of classes.
        image_size: Height and width of the input in pixels, at least 2 to the number of blocks.
        widths: Number of filters of each block.
        kernel_size: Kernel size of the convolutions, odd, so that padding preserves the size.
        hidden_units: Number of outputs of the first linear layer.
        dropout: Dropout probability of the hidden units.

    Raises:
        InputError: The kernel size is even, or the image is too small for the pooling layers.
    """

    def __init__(
        self,
        num_classes: int,
        image_size: int = 32,
        widths: Sequence[int] = (32, 64, 128),
        kernel_size: int = 5,
        hidden_units: int = 64,
        dropout: float = 0.5,
    ):
        super().__init__()
        if kernel_size % 2 == 0:
            raise InputError(
                f"kernel size {kernel_size} must be odd, so that padding preserves the image size: "
                f"try {kernel_size + 1}"
            )
        side = image_size // 2 ** len(widths)
        if side == 0:
            raise InputError(
                f"image size {image_size} is too small for {len(widths)} blocks that each halve "
                f"it: use {2 ** len(widths)} or more"
            )
        blocks = [
            nn.Sequential(
                nn.Conv2d(c_in, c_out, kernel_size, padding=kernel_size // 2, bias=False),
                # ReLU and max pooling commute; pooling first reduces the work of ReLU to a quarter.
                BatchNormMaxPool2d(c_out),
                nn.ReLU(inplace=True),
            )
            for c_in, c_out in pairwise((3, *widths))
        ]
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(widths[-1] * side**2, hidden_units),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden_units, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits, B×num_classes, from normalised images, B×3×H×W, float32."""
        logits: Tensor = self.classifier(self.features(x))
        return logits
