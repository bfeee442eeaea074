"""What one trial is told: a frozen recipe, a learning rate and a seed. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from trainables.errors import InputError


def check_lr(lr: float) -> None:
    """Raise InputError unless `lr` is a finite number above zero."""
    if not 0 < lr < float("inf"):  # NaN compares false
        raise InputError(f"learning rate {lr} must be a finite number above 0, e.g. 0.001")


def check_positive(name: str, value: int) -> None:
    """Raise InputError unless `value` is at least 1."""
    if value < 1:
        raise InputError(f"{name} is {value} and must be 1 or more")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise InputError unless low <= value < high."""
    if not low <= value < high:
        raise InputError(f"{name} is {value} and must be at least {low} and below {high}")


def check_choices(config: Recipe) -> None:
    """Raise InputError unless every setting with a fixed set of values has one of them."""
    for name, hint in get_type_hints(type(config)).items():
        if get_origin(hint) is Literal and getattr(config, name) not in get_args(hint):
            raise InputError(
                f"{name} {getattr(config, name)!r} must be one of {', '.join(get_args(hint))}"
            )


def check_split(split: tuple[float, float, float]) -> None:
    """Raise InputError unless `split` is three shares above zero that sum to one."""
    shares = len(split) == 3 and all(share > 0 for share in split)
    if not (shares and abs(sum(split) - 1) <= 1e-6):
        raise InputError(
            f"split {' '.join(map(str, split))} must be three shares above 0 that sum to 1, "
            "e.g. 0.6 0.2 0.2"
        )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained. The defaults are the recipe `standard`."""

    epochs: int = 20
    """Passes over the training part."""
    batch_size: int = 64
    """Images an optimiser step."""
    loss: Literal["cross_entropy", "softmax_cross_entropy"] = "cross_entropy"
    """Cross-entropy of the logits, or of their softmax as in the report."""
    label_smoothing: float = 0.0
    """Share of the target spread over all classes, in training only."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """SGD is with Nesterov momentum."""
    momentum: float = 0.9
    """Of SGD; Adam and AdamW do not use it."""
    weight_decay: float = 0.0
    """L2 penalty of Adam and SGD, decoupled decay of AdamW."""
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    """Course of the learning rate, step by step; the rate given is its highest."""
    dropout: float | None = None
    """Share of units silenced in training; the model's own where none is given, 0.5 in the CNN."""
    augment: Literal["none", "flip_crop"] = "none"
    """Random mirror image and shift by up to an eighth of the size, in training only."""
    normalize: Literal["half", "dataset", "weights"] = "half"
    """Mean and std of 0.5 as in the report, those of the training pixels, or those that the
    pretrained weights were trained with."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of the arithmetic; auto is bf16 where the device computes it natively, else fp32."""
    split: tuple[float, float, float] | None = None
    """Cut the training part alone into train, validation and test, e.g. 0.6 0.2 0.2. Without it
    the source's own test part is the test part; a source that has none is cut 60/20/20."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_positive("epochs", self.epochs)
        check_positive("batch_size", self.batch_size)
        check_range("label_smoothing", self.label_smoothing, 0, 1)
        check_range("momentum", self.momentum, 0, 1)
        if self.dropout is not None:
            check_range("dropout", self.dropout, 0, 1)
        check_range("weight_decay", self.weight_decay, 0, float("inf"))
        if self.optimizer == "sgd" and self.momentum == 0:
            raise InputError("momentum is 0, and Nesterov momentum must be above 0: try 0.9")
        if self.split is not None:
            check_split(self.split)


RECIPES: dict[str, Recipe] = {
    # The report feeds the softmax output to a loss that applies softmax again.
    "report": Recipe(loss="softmax_cross_entropy", split=(0.6, 0.2, 0.2)),
    "standard": Recipe(),
    # A rate that rises and falls once, over as few epochs as reach the report's accuracy. So short
    # a training does not overfit, and dropout of 0.5 only slows it.
    "fast": Recipe(
        epochs=3,
        dropout=0.1,
        schedule="one_cycle",
        normalize="dataset",
        optimizer="adamw",
        weight_decay=0.01,
    ),
}


CHANGEABLE = ("lr", "weight_decay", "momentum", "label_smoothing", "dropout")
"""Settings that may change while a trial runs: neither the tensors of its state nor the number of
steps in an epoch depend on them."""


@dataclass(frozen=True, kw_only=True)
class TrialConfig(Recipe):
    """Everything one trial is told beside its images."""

    lr: float
    """Learning rate."""
    seed: int = 0
    """Of the initial weights, the order of the images, dropout and augmentation."""
    model: str = "cnn"
    """What `trainables.models.build_model` knows: a name of `list_models()`, a network of
    torchvision, `timm:NAME` or `package.module:function`."""
    model_args: dict[str, Any] = field(default_factory=dict)
    """Arguments of the model beside `num_classes` and `image_size`."""
    weights: str = "none"
    """What training starts from: none is random, default the pretrained weights that the network
    comes with, and everything else a file."""
    mode: Literal["full", "probe", "gradual"] = "full"
    """full trains all layers, probe the head alone, on features of a network that stays as it is,
    gradual the head first and then all, the slower the further from the head."""
    head_epochs: int = 1
    """Of mode gradual, in which the head alone is trained."""
    layer_decay: float = 0.7
    """Of mode gradual: the rate of a stage of the network over that of the stage after it."""
    freeze_batch_norm: bool = False
    """Keep the statistics of batch normalisation as the weights have them."""
    input_size: int | None = None
    """Pixels that whole batches are resized to on the device; as the images are without it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_lr(self.lr)
        check_range("head_epochs", self.head_epochs, 0, float("inf"))
        if not 0 < self.layer_decay <= 1:
            raise InputError(f"layer_decay is {self.layer_decay} and must be above 0, at most 1")
        if self.mode != "full" and self.weights == "none":
            raise InputError(
                f"mode {self.mode} goes on from pretrained weights: take weights default or a "
                "file, or mode full"
            )
        if self.mode == "probe" and self.augment != "none":
            raise InputError(
                f"augment {self.augment} changes the images in every epoch, and mode probe looks "
                "at each once: take augment none, or mode full"
            )

    @property
    def build_args(self) -> dict[str, Any]:
        """What `build_model` is given beside `num_classes` and `image_size`."""
        dropout = {} if self.dropout is None else {"dropout": self.dropout}
        return {**dropout, **self.model_args}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrialConfig:
        """The inverse of `to_dict`.

        Raises:
            InputError: a key is not a field of TrialConfig.
        """
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise InputError(f"{key!r} is not a setting of a trial; they are {known}")
        split = values.get("split")
        return cls(**{**values, "split": None if split is None else tuple(split)})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return asdict(self)
