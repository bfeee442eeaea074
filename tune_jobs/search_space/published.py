"""Published settings for fine-tuning each family of networks, which a search tries first.

Learning rates are those of the source, at its batch size; they are scaled linearly to the batch
size of a trial, as the sources do. What a source has and a trial has not is left out: its number of
epochs, its image size, and schedules in steps, which are a cosine here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any

from trainables.config import TrialConfig
from tune_jobs.search_space.space import Space, contains

SHARE = 5
"""One in so many trials of a search may have published settings."""
USUAL_BATCH = 64
"""Batch size of trials with published settings, where it is searched."""
NO_DECAY = 1e-8
"""Weight decay where a source has none: that of ConvNeXt and Swin, which has no effect."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """Settings from a paper or from the code that was published with it."""

    source: str
    """Paper or file that has them."""
    lr: float
    """Learning rate at `batch`."""
    batch: int
    """Batch size of the source, in images."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Other settings, by parameter name."""

    def at(self, batch_size: int) -> dict[str, Any]:
        """Return the settings of a trial with another batch size, by parameter name."""
        lr = self.lr * batch_size / self.batch
        return {"mode": "full", **self.settings, "batch_size": batch_size, "lr": lr}


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "resnet": (
        Published(
            source="Kolesnikov et al. 2020, Big Transfer (BiT), section 3.3, BiT-HyperRule",
            lr=0.003,
            batch=512,
            settings={"optimizer": "sgd", "momentum": 0.9, "weight_decay": NO_DECAY,
                      "schedule": "cosine", "augment": "flip_crop", "label_smoothing": 0.0},
        ),
        Published(
            source="Li et al. 2020, Rethinking the Hyperparameters for Fine-tuning, section 1, on "
            "the usual setting of ResNets",
            lr=0.01,
            batch=256,
            settings={"optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-4,
                      "schedule": "cosine", "augment": "photo", "label_smoothing": 0.0},
        ),
    ),
    "efficientnet": (
        Published(
            # With RMSProp there, which Adam extends by momentum and a correction of its start.
            source="Tan & Le 2021, EfficientNetV2, section on transfer learning",
            lr=0.001,
            batch=512,
            settings={"optimizer": "adam", "weight_decay": NO_DECAY, "schedule": "cosine",
                      "augment": "photo"},
        ),
    ),
    "convnext": (
        Published(
            source="Liu et al. 2022, A ConvNet for the 2020s; facebookresearch/ConvNeXt, "
            "TRAINING.md, fine-tuning from ImageNet-22K",
            lr=5e-5,
            batch=512,
            settings={"optimizer": "adamw", "weight_decay": 1e-8, "schedule": "cosine",
                      "layer_decay": 0.8, "label_smoothing": 0.1, "augment": "photo"},
        ),
    ),
    "vit": (
        Published(
            source="He et al. 2022, Masked Autoencoders; facebookresearch/mae, FINETUNE.md, "
            "ViT-Base",
            lr=5e-4,
            batch=256,
            settings={"optimizer": "adamw", "weight_decay": 0.05, "schedule": "cosine",
                      "layer_decay": 0.65, "label_smoothing": 0.1, "augment": "photo"},
        ),
        Published(
            source="Steiner et al. 2022, How to train your ViT; "
            "google-research/vision_transformer, configs/augreg.py",
            lr=0.01,
            batch=512,
            settings={"optimizer": "sgd", "momentum": 0.9, "weight_decay": NO_DECAY,
                      "schedule": "cosine", "layer_decay": 1.0, "label_smoothing": 0.0,
                      "augment": "photo"},
        ),
    ),
    "swin": (
        Published(
            source="Liu et al. 2021, Swin Transformer; microsoft/Swin-Transformer, "
            "configs/swin/swin_base_patch4_window7_224_22kto1k_finetune.yaml",
            lr=2e-5,
            batch=512,
            settings={"optimizer": "adamw", "weight_decay": 1e-8, "schedule": "cosine",
                      "layer_decay": 1.0, "label_smoothing": 0.1, "augment": "photo"},
        ),
    ),
}  # fmt: skip
"""Published settings by family of networks, the most usual first."""

FAMILIES = (
    ("convnext", r"(^|_)convnext"),
    ("swin", r"(^|_)swin"),
    ("vit", r"(^|_)(vit|deit|beit|eva|cait)"),
    ("efficientnet", r"efficientnet|mobilenet|mnasnet|mixnet|fbnet|lcnet"),
    ("resnet", r"resnet|resnext|res2net|resnest|regnet|densenet|googlenet|inception"),
)
"""Families and the pattern of the names of their networks; the first that matches."""


def family_of(model: str) -> str | None:
    """Return the family of a network of torchvision or timm by its name; None if it has none."""
    package, _, name = model.rpartition(":")
    if package not in ("", "timm"):  # one's own function, whatever its name
        return None
    architecture = name.split("/")[-1].split(".")[0].lower()
    return next((family for family, pattern in FAMILIES if re.search(pattern, architecture)), None)


def published_settings(
    space: Space, bases: dict[str, TrialConfig], trials: int
) -> list[dict[str, Any]]:
    """Return the settings that a search tries first, at most one in SHARE of its trials.

    Each network gets its most usual settings before any gets a second one. Settings whose
    optimiser, learning rate or mode a trial cannot have are left out, as they mean nothing without.

    Args:
        space: search space.
        bases: configuration of the parameters that are not searched, by model.
        trials: number of trials of the search.
    """
    of_models = []
    for model, base in bases.items():
        known = PUBLISHED.get(family_of(model) or "", ()) if base.weights != "none" else ()
        settings = ({**each.at(_batch_size(space, base)), "model": model} for each in known)
        of_models.append([each for each in settings if _fits(each, space, base)])
    in_turn = chain.from_iterable(zip_longest(*of_models))
    return [each for each in in_turn if each is not None][: trials // SHARE]


def _batch_size(space: Space, base: TrialConfig) -> int:
    searched = "batch_size" in space and contains(space["batch_size"], USUAL_BATCH)
    return USUAL_BATCH if searched else base.batch_size


def _fits(settings: dict[str, Any], space: Space, base: TrialConfig) -> bool:
    """Return whether trials of a search may have what published settings depend on."""

    def holds(name: str) -> bool:
        if name in space:
            return contains(space[name], settings[name])
        return bool(getattr(base, name) == settings[name])

    return "lr" in space and all(map(holds, ("lr", "optimizer", "mode", "model")))
