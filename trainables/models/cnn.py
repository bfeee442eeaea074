"""The custom CNN of the report, with 390,634 learnable parameters at its defaults."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from trainables.errors import InputError
from trainables.models import register_model
from trainables.models.layers import BatchNormMaxPool2d


@register_model("cnn")
class SimpleCNN(nn.Module):
    """Blocks of convolution, batch normalisation, ReLU and 2×2 max pooling, then two linear layers.

    The convolutions have no bias: batch normalisation subtracts it again.

    Args:
        num_classes: outputs.
        image_size: pixels of height and width.
        widths: filters of each block.
        kernel_size: of the convolutions, odd, so that padding keeps the size.
        hidden_units: of the first linear layer.
        dropout: share of the hidden units silenced in training.

    Raises:
        InputError: the kernel is even, or the image is smaller than the poolings need.
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
            raise InputError(f"kernel size {kernel_size} must be odd, to keep the image's size")
        side = image_size // 2 ** len(widths)
        if side == 0:
            raise InputError(
                f"image size {image_size} is too small for {len(widths)} blocks that halve it: "
                f"it must be {2 ** len(widths)} or more"
            )
        blocks = [
            nn.Sequential(
                nn.Conv2d(c_in, c_out, kernel_size, padding=kernel_size // 2, bias=False),
                # The maximum of ReLUs is the ReLU of the maximum, so pooling goes first and
                # leaves ReLU a quarter of the work.
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
        """B×3×H×W -> B×num_classes logits."""
        logits: Tensor = self.classifier(self.features(x))
        return logits
