"""Configuration of a trial: training recipe, model, learning rate and seed.

Imports no large package, because --help of every job imports this module.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from trainables.class_weights import check_class_weights
from trainables.errors import InputError
from trainables.recipe import (
    AUGMENTATIONS_OFF,
    RECIPES,
    Recipe,
    check_lr,
    check_positive,
    check_range,
    check_split,
)
from trainables.views import Interpolation, Resize, View

__all__ = [
    "AUGMENTATIONS_OFF", "CROPPED_SHARE", "GRADUAL_DECAY", "MUTABLE_SETTINGS", "PENALTIES",
    "RECIPES", "Recipe", "TrialConfig", "check_lr", "check_penalty", "check_positive",
    "check_range", "check_split", "earlier_decay", "file_stem",
]  # fmt: skip

GRADUAL_DECAY = 0.7
"""Layer-wise learning-rate decay of mode gradual, unless another one is given."""
PENALTIES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
"""L2 penalties of heads in mode probe: a regularisation path, strongest first."""
CROPPED_SHARE = 0.875
"""Height and width of network inputs relative to the training images that they are cropped from."""
MUTABLE_SETTINGS = ("lr", "weight_decay", "momentum", "label_smoothing", "dropout")
"""Settings that may change between epochs of a trial, as in population-based training: neither the
tensors of the training state nor the number of steps per epoch depend on them."""


def file_stem(model: str) -> str:
    """Return the name of a model as part of a file name."""
    return model.replace(":", ".").replace("/", "_")


def check_penalty(penalty: float) -> None:
    """Raise InputError unless `penalty` is a finite number above zero."""
    if not 0 < penalty < float("inf"):
        raise InputError(f"penalty {penalty} must be a finite number above 0, e.g. 0.1")


def earlier_decay(layer_decay: float, mode: str) -> float | None:
    """Return the `layer_decay` of an earlier version as it is given today.

    There it was 0.7 by default, and applied to mode gradual only.
    """
    return layer_decay if mode == "gradual" and layer_decay != GRADUAL_DECAY else None


@dataclass(frozen=True, kw_only=True)
class TrialConfig(Recipe):
    """Complete configuration of a trial, except its data."""

    lr: float | None
    """Learning rate, above 0; None in mode probe, which has none."""
    seed: int = 0
    """Random seed of the initial weights, the shuffling of images, dropout and augmentation."""
    model: str = "cnn"
    """Model name: one of `trainables.models.list_models()`, a classifier of torchvision,
    `timm:NAME` or `package.module:function`."""
    model_args: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the model other than `num_classes` and `image_size`."""
    weights: str = "none"
    """Initial weights: none is random initialisation, default is the pretrained weights that are
    published with the model, and any other value is the path of a weights file."""
    mode: Literal["full", "probe", "gradual", "lora"] = "full"
    """Fine-tuning mode. full trains all layers. probe fits only the head, as a logistic regression
    on features of the frozen backbone (linear probing). gradual trains only the head in the first
    `head_epochs`, then all layers (gradual unfreezing) with layer-wise learning-rate decay. lora
    trains the head, and low-rank adapters of the linear and convolutional layers of the frozen
    backbone (LoRA)."""
    penalty: float | None = None
    """L2 penalty of the head (mode probe only), above 0, in units of the mean loss per image and
    for standardised features; None: the best of PENALTIES on the validation images."""
    head_epochs: int = 1
    """Number of epochs that train only the head (mode gradual only), 0 or more."""
    layer_decay: float | None = None
    """Layer-wise learning-rate decay, above 0 and at most 1: the ratio of the learning rate of each
    stage of the network to that of the next stage towards the head. None is 0.7 in mode gradual
    and 1, which is off, in the others."""
    lora_rank: int = 8
    """Rank of the adapters (mode lora only), 1 or more."""
    freeze_batch_norm: bool = False
    """Keep the running statistics of batch normalisation at their initial values."""
    image_size: int | None = None
    """Height and width in pixels of the images as they are read; None: those of the dataset, as in
    runs of earlier versions."""
    resize: Resize = "crop"
    """How images become squares of `image_size`: crop, letterbox or squash, as in `View`."""
    resize_to: int | None = None
    """Length in pixels to which crop resizes the shorter side; None: `image_size`."""
    interpolation: Interpolation = "bilinear"
    """Interpolation of the resizing."""
    input_size: int | None = None
    """Height and width in pixels that batches are resized to on the device; None: no resizing."""
    train_size: int | None = None
    """Number of training images: a stratified subset, drawn by `seed`, which smaller ones of that
    seed are parts of; None: all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode != "probe":
            if self.lr is None:
                raise InputError(f"mode {self.mode} needs a learning rate, e.g. 0.001")
            check_lr(self.lr)
        if self.penalty is not None:
            check_penalty(self.penalty)
        if self.image_size is not None:
            check_positive("image_size", self.image_size)
        if self.resize_to is not None and self.resize_to < (self.image_size or 0):
            raise InputError(
                f"resize_to is {self.resize_to} but must be at least the image size "
                f"{self.image_size}, which is cut out of it"
            )
        check_class_weights(self.class_weights)  # a recipe may still name a file, as an option does
        if self.train_size is not None:
            check_positive("train_size", self.train_size)
        check_range("head_epochs", self.head_epochs, 0, float("inf"))
        check_positive("lora_rank", self.lora_rank)
        if self.layer_decay is not None and not 0 < self.layer_decay <= 1:
            raise InputError(f"layer_decay is {self.layer_decay} but must be above 0 and at most 1")
        if self.mode != "full" and self.weights == "none":
            raise InputError(
                f"mode {self.mode} needs pretrained weights, but weights is none: use weights "
                "default or a file, or mode full"
            )
        if self.mode == "probe":
            for name, off in AUGMENTATIONS_OFF.items():
                if (value := getattr(self, name)) != off:
                    raise InputError(
                        f"{name} {value} changes the images in every epoch, but mode probe "
                        f"computes the features of each image once: use {name} {off}, or mode full"
                    )

    @property
    def stage_decay(self) -> float:
        """Ratio of the learning rate of each stage to that of the next one towards the head."""
        if self.layer_decay is not None:
            return self.layer_decay
        return GRADUAL_DECAY if self.mode == "gradual" else 1.0

    @property
    def needs_head(self) -> bool:
        """Whether the training depends on which layer is the head of the network."""
        return self.mode in ("gradual", "lora") or (self.mode == "full" and self.stage_decay != 1)

    def replaced(self, **changes: Any) -> TrialConfig:
        """Return a copy with changed settings, without those that the changed ones exclude.

        Mode probe excludes augmentation, and the schedule one_cycle a warm-up, which may be part of
        a recipe.
        """
        values = vars(self) | changes
        if values["mode"] == "probe":
            values |= AUGMENTATIONS_OFF
        if values["schedule"] == "one_cycle":
            values["warmup"] = 0.0
        return TrialConfig(**values)

    def as_probe(self, penalty: float | None = None) -> TrialConfig:
        """Return the configuration in mode probe, without what concerns training steps alone."""
        return self.replaced(mode="probe", penalty=penalty, lr=None, epochs=1)

    @property
    def build_args(self) -> dict[str, Any]:
        """Keyword arguments for `build_model` other than `num_classes` and `image_size`."""
        dropout = {} if self.dropout is None else {"dropout": self.dropout}
        return {**dropout, **self.model_args}

    @property
    def view(self) -> View | None:
        """View in which the images are read; None without an `image_size`."""
        if self.image_size is None:
            return None
        return View(self.image_size, self.resize, self.resize_to, self.interpolation)

    @property
    def train_view(self) -> View | None:
        """View of the training images: larger than `view` where the augmentation crops them."""
        view = self.view
        if view is None or self.augment in ("none", "flip_crop"):
            return view
        size = round(view.size / CROPPED_SHARE)
        return View(size, view.resize, max(size, view.shorter_side), view.interpolation)

    def network_size(self, image_size: int) -> int:
        """Return the height and width in pixels of network inputs.

        Args:
            image_size: Height and width of the images, for configurations without a size.
        """
        return self.input_size or self.image_size or image_size

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrialConfig:
        """Create a configuration from the result of `to_dict`.

        Raises:
            InputError: A key is not a field of TrialConfig.
        """
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise InputError(
                    f"{key!r} is not a setting of a trial: use one of {', '.join(known)}"
                )
        split = values.get("split")
        values = {**values, "split": None if split is None else tuple(split)}
        if "mode" in values and "warmup" not in values:  # of an earlier version
            values["layer_decay"] = earlier_decay(values["layer_decay"], values["mode"])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as a dict of JSON-serialisable values."""
        return asdict(self)
