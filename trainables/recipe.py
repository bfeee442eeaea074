"""Training settings, their presets, and the checks of their values.

Imports no large package, because --help of every job imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from trainables.errors import InputError
from trainables.target import MetricName


def check_lr(lr: float) -> None:
    """Raise InputError unless `lr` is a finite number above zero."""
    if not 0 < lr < float("inf"):  # NaN compares false
        raise InputError(f"learning rate {lr} must be a finite number above 0, e.g. 0.001")


def check_positive(name: str, value: int) -> None:
    """Raise InputError unless `value` is at least 1."""
    if value < 1:
        raise InputError(f"{name} is {value} but must be 1 or more")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise InputError unless low <= value < high."""
    if not low <= value < high:
        raise InputError(f"{name} is {value} but must be at least {low} and below {high}")


def check_choices(config: Recipe) -> None:
    """Raise InputError unless every setting of a Literal type has one of its values."""
    for name, hint in get_type_hints(type(config)).items():
        if get_origin(hint) is Literal and getattr(config, name) not in get_args(hint):
            raise InputError(
                f"{name} {getattr(config, name)!r} must be one of {', '.join(get_args(hint))}"
            )


def check_split(split: tuple[float, float, float]) -> None:
    """Raise InputError unless `split` is three fractions above zero that sum to one."""
    positive = len(split) == 3 and all(fraction > 0 for fraction in split)
    if not (positive and abs(sum(split) - 1) <= 1e-6):
        raise InputError(
            f"split {' '.join(map(str, split))} must be three fractions above 0 that sum to 1, "
            "e.g. 0.6 0.2 0.2"
        )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Training settings. The defaults are those of the recipe `standard`."""

    epochs: int = 20
    """Number of passes over the training split, 1 or more."""
    batch_size: int = 64
    """Images per optimiser step, 1 or more."""
    loss: Literal["cross_entropy", "softmax_cross_entropy"] = "cross_entropy"
    """Loss function. cross_entropy takes the logits.
    softmax_cross_entropy takes their softmax, so that softmax is applied twice."""
    label_smoothing: float = 0.0
    """Label smoothing of the training loss, at least 0 and below 1."""
    class_weights: str = "none"
    """Weights of the classes in the training loss: none; balanced, where classes have the same
    weight, however many images they have; or a JSON file that maps each class name to its weight.
    Only the ratios of weights matter."""
    metric: MetricName = "accuracy"
    """Metric of the validation images that epochs and trials are stopped, chosen and compared by.
    The tables always have all of them."""
    patience: int | None = None
    """Number of epochs without a better value of the metric after which a trial ends early, 1 or
    more; None trains all epochs."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """Optimiser; sgd uses Nesterov momentum."""
    momentum: float = 0.9
    """Momentum (SGD only), above 0 and below 1."""
    weight_decay: float = 0.0
    """Weight decay, 0 or more: an L2 penalty in adam and sgd, decoupled in adamw."""
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    """Learning-rate schedule, updated every step. Its maximum is the learning rate given."""
    warmup: float = 0.0
    """Share of all steps in which the learning rate rises linearly to its maximum, at least 0 and
    below 1; not with one_cycle, which has a warm-up of its own."""
    clip_norm: float | None = None
    """Maximum norm of the gradient of a step, above 0; longer gradients are scaled down to it.
    None clips none."""
    ema: float = 0.0
    """Decay of an exponential moving average of the weights, e.g. 0.9998; 0 is off. The averaged
    weights are those that are evaluated and saved. After t steps the decay is at most
    (1 + t) / (10 + t), so that the average forgets the first weights in short trainings too."""
    drop_path: float | None = None
    """Stochastic depth: probability that the last block of the network is skipped in training,
    at least 0 and below 1; it falls linearly to 0 at the first block.
    None keeps the network's own."""
    dropout: float | None = None
    """Dropout probability, at least 0 and below 1; None keeps the model's own (CNN: 0.5)."""
    augment: Literal["none", "flip_crop", "photo", "strong"] = "none"
    """Augmentation of the training images, drawn anew for each image in every epoch.
    flip_crop: random horizontal flip, and random shift by up to 1/8 of the image size.
    photo: random crop of 35% to 100% of the area, resized; horizontal flip; mild changes of
    brightness, contrast and saturation.
    strong: crop and flip as photo, one random operation on shape or colour as in TrivialAugment,
    and a rectangle erased from every fourth image."""
    horizontal_flip: bool | None = None
    """Whether flip_crop, photo and strong mirror every second image.
    Turn it off where a mirrored image is of another class or of none, as with text.
    None: yes, but photo and strong mirror nothing where classes are digits or letters."""
    vertical_flip: bool = False
    """Turn every second training image upside down, as suits images without an up and down."""
    rotation: float = 0.0
    """Rotate training images by random angles of up to so many degrees, in 0..180, either way."""
    mixup: float = 0.0
    """Blend each training image and its label with another one's, at a ratio drawn from a beta
    distribution with both parameters equal to this number, e.g. 0.2; 0 is off."""
    cutmix: float = 0.0
    """Paste a rectangle of another image into each training image and weight both labels by area,
    drawn from a beta distribution as in mixup, e.g. 1; 0 is off.
    Together with mixup, each image gets one of the two at random."""
    normalize: Literal["half", "dataset", "weights"] = "half"
    """Mean and standard deviation per channel that images are normalised with.
    half: 0.5 for both. dataset: those of the training images.
    weights: those that the pretrained weights were trained with."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Numeric precision. bf16 and fp16 are mixed precision.
    auto: bf16 on devices with fast native bf16 arithmetic, otherwise fp32."""
    split: tuple[float, float, float] | None = None
    """Fractions of the training, validation and test splits, e.g. 0.6 0.2 0.2.
    All three are taken from the source's training split; its other splits are not used.
    None: the source's own splits; one that it lacks is 20% of its training split."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_positive("epochs", self.epochs)
        check_positive("batch_size", self.batch_size)
        check_range("label_smoothing", self.label_smoothing, 0, 1)
        for name in ("momentum", "warmup", "ema"):
            check_range(name, getattr(self, name), 0, 1)
        for name in ("dropout", "drop_path"):
            if (value := getattr(self, name)) is not None:
                check_range(name, value, 0, 1)
        if self.patience is not None:
            check_positive("patience", self.patience)
        if self.clip_norm is not None and not 0 < self.clip_norm < float("inf"):
            raise InputError(
                f"clip_norm is {self.clip_norm} but must be a finite number above 0, e.g. 1"
            )
        if self.warmup and self.schedule == "one_cycle":
            raise InputError(
                f"warmup is {self.warmup}, but schedule one_cycle has a warm-up of its own: use "
                "warmup 0, or schedule cosine"
            )
        for name in ("weight_decay", "mixup", "cutmix"):
            check_range(name, getattr(self, name), 0, float("inf"))
        if not 0 <= self.rotation <= 180:
            raise InputError(f"rotation is {self.rotation} but must be 0 to 180 degrees")
        if self.optimizer == "sgd" and self.momentum == 0:
            raise InputError("momentum is 0 but must be above 0 for Nesterov momentum: try 0.9")
        if self.split is not None:
            check_split(self.split)


RECIPES: dict[str, Recipe] = {
    # The student report feeds the softmax output to a loss that applies softmax again.
    "report": Recipe(loss="softmax_cross_entropy", split=(0.6, 0.2, 0.2)),
    "standard": Recipe(),
    # One-cycle schedule over as few epochs as reach the accuracy of the student report. Training
    # this short does not overfit, so a dropout probability of 0.5 would only slow it down.
    "fast": Recipe(
        epochs=3,
        dropout=0.1,
        schedule="one_cycle",
        normalize="dataset",
        optimizer="adamw",
        weight_decay=0.01,
    ),
    # Without augmentation, which needs more epochs than these to pay off, and which one suits
    # depends on the images.
    "modern": Recipe(
        optimizer="adamw",
        weight_decay=0.05,
        schedule="cosine",
        warmup=0.1,
        clip_norm=1.0,
        ema=0.9998,
        label_smoothing=0.1,
        normalize="dataset",
    ),
}
"""Presets of the training settings, by the name that --recipe takes."""


AUGMENTATIONS_OFF: dict[str, Any] = {
    "augment": "none",
    "vertical_flip": False,
    "rotation": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
}
"""Settings that augment training images, and their values that change no image."""
