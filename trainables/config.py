"""Configuration of a trial: training recipe, model, learning rate and seed.

Imports no large package, because --help of every job imports this module.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from trainables.class_weights import check_class_weights
from trainables.errors import InputError
from trainables.target import MetricName
from trainables.views import Interpolation, Resize, View


def file_stem(model: str) -> str:
    """Return the name of a model as part of a file name."""
    return model.replace(":", ".").replace("/", "_")


def check_lr(lr: float) -> None:
    """Raise InputError unless `lr` is a finite number above zero."""
    if not 0 < lr < float("inf"):  # NaN compares false
        raise InputError(f"learning rate {lr} must be a finite number above 0, e.g. 0.001")


def check_penalty(penalty: float) -> None:
    """Raise InputError unless `penalty` is a finite number above zero."""
    if not 0 < penalty < float("inf"):
        raise InputError(f"penalty {penalty} must be a finite number above 0, e.g. 0.1")


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
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """Optimiser; sgd uses Nesterov momentum."""
    momentum: float = 0.9
    """Momentum (SGD only), above 0 and below 1."""
    weight_decay: float = 0.0
    """Weight decay, 0 or more: an L2 penalty in adam and sgd, decoupled in adamw."""
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    """Learning-rate schedule, updated every step. Its maximum is the learning rate given."""
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
        check_range("momentum", self.momentum, 0, 1)
        if self.dropout is not None:
            check_range("dropout", self.dropout, 0, 1)
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
}
"""Presets of the training settings, by the name that --recipe takes."""


PENALTIES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
"""L2 penalties of heads in mode probe: a regularisation path, strongest first."""
CROPPED_SHARE = 0.875
"""Height and width of network inputs relative to the training images that they are cropped from."""
AUGMENTATIONS_OFF: dict[str, Any] = {
    "augment": "none",
    "vertical_flip": False,
    "rotation": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
}
"""Settings that augment training images, and their values that change no image."""


MUTABLE_SETTINGS = ("lr", "weight_decay", "momentum", "label_smoothing", "dropout")
"""Settings that may change between epochs of a trial, as in population-based training: neither the
tensors of the training state nor the number of steps per epoch depend on them."""


@dataclass(frozen=True, kw_only=True)
class TrialConfig(Recipe):
    """Complete configuration of a trial, except its data."""

    lr: float | None
    """Learning rate, above 0; None in mode probe, which has none."""
    seed: int = 0
    """Random seed of the initial weights, the shuffling of images, dropout and augmentation."""
    model: str = "cnn"
    """Model name: one of `trainables.models.list_models()`, a classifier of torchvision,
    `timm:NAME`, `timm:hf_hub:ORG/NAME` or `package.module:function`."""
    model_args: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the model other than `num_classes` and `image_size`."""
    weights: str = "none"
    """Initial weights: none is random initialisation, default is the pretrained weights that are
    published with the model, and any other value is the path of a weights file."""
    mode: Literal["full", "probe", "gradual"] = "full"
    """Fine-tuning mode. full trains all layers. probe fits only the head, as a logistic regression
    on features of the frozen backbone (linear probing). gradual trains only the head in the first
    `head_epochs`, then all layers (gradual unfreezing) with layer-wise learning-rate decay."""
    penalty: float | None = None
    """L2 penalty of the head (mode probe only), above 0, in units of the mean loss per image and
    for standardised features; None: the best of PENALTIES on the validation images."""
    head_epochs: int = 1
    """Number of epochs that train only the head (mode gradual only), 0 or more."""
    layer_decay: float = 0.7
    """Layer-wise learning-rate decay (mode gradual only), above 0 and at most 1: the ratio of the
    learning rate of each stage of the network to that of the next stage towards the head."""
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
        check_range("head_epochs", self.head_epochs, 0, float("inf"))
        if not 0 < self.layer_decay <= 1:
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

    def as_probe(self, penalty: float | None = None) -> TrialConfig:
        """Return the configuration in mode probe, without what concerns training steps alone."""
        return replace(self, mode="probe", penalty=penalty, lr=None, epochs=1, **AUGMENTATIONS_OFF)

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
        return cls(**{**values, "split": None if split is None else tuple(split)})

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as a dict of JSON-serialisable values."""
        return asdict(self)
