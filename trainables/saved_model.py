"""Trained model files: weights, and the description needed to classify images with them.

Shape letters: N images, H height, W width, C classes.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from trainables.arrays import Images
from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.device_images import on_device
from trainables.errors import InputError, first_line
from trainables.image_rows import ImageRows
from trainables.model_file import MODEL_FORMAT, Rejection, parse_description
from trainables.models import build_model, is_registered
from trainables.precision import Autocast, tf32_disabled
from trainables.prediction import predict
from trainables.preparation import Preparation, input_statistics
from trainables.storage import open_folder
from trainables.views import Decoding, View

MODEL_FILE = "model.json"
MODEL_WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Classifier:
    """A trained model with its preprocessing."""

    model: nn.Module
    """Network in evaluation mode, on `device`."""
    prepare: Preparation
    """Preprocessing of image batches."""
    classes: tuple[str, ...]
    """Class name of each logit."""
    view: View
    """View in which it classifies images."""
    how: Decoding
    """How it decodes images."""
    device: torch.device
    """Device that it computes on."""
    temperature: float = 1.0
    """Number that logits are divided by before the softmax; 1 for the model of a run."""
    rejections: tuple[Rejection, ...] | None = None
    """Thresholds by risk, chosen on validation images; None for the model of a run."""

    @property
    def input_size(self) -> int:
        """Height and width in pixels of the input of the network, after preprocessing."""
        return self.prepare.size or self.view.size

    def logits(self, images: ImageRows | Images) -> Tensor:
        """Classify images in fp32, with TF32 disabled.

        Args:
            images: Images, N×S×S×3, uint8, in `view`.

        Returns:
            Logits, N×C, float32, on the CPU.
        """
        with tf32_disabled():
            return predict(
                self.model,
                on_device(
                    images if isinstance(images, ImageRows) else ImageRows(images), self.device
                ),
                self.prepare,
                Autocast("fp32", self.device),
            ).cpu()

    def probabilities(self, images: ImageRows | Images) -> Tensor:
        """Return the probability of each class, N×C, float64.

        Args:
            images: Images, N×S×S×3, uint8, in `view`.
        """
        return (self.logits(images).double() / self.temperature).softmax(1)

    def rejection(self, risk: float) -> Rejection:
        """Return the threshold of the highest risk at or below a limit.

        Args:
            risk: Largest fraction of the answered images that are misclassified, in 0..1.

        Raises:
            InputError: The model has no thresholds, or none for so low a risk.
        """
        if self.rejections is None:
            raise InputError(
                "it has no thresholds, which a comparison adds: give the folder of a "
                "comparison, and compare the runs again if an earlier version wrote it"
            )
        low_enough = [each for each in self.rejections if each.risk <= risk]
        if not low_enough:
            known = ", ".join(f"{100 * each.risk:g}" for each in self.rejections) or "none"
            raise InputError(
                f"its validation images are too few, or its mistakes too confident, to guarantee a "
                f"risk of {100 * risk:g}%; risks with a threshold, in percent: {known}. Accept a "
                "higher risk, or compare runs with more validation images"
            )
        return max(low_enough, key=lambda each: each.risk)


def describe_model(
    config: TrialConfig, data: TrainingData, weights: bytes, how: Decoding
) -> dict[str, Any]:
    """Return the content of model.json, which suffices to rebuild the model without its run.

    Args:
        config: Configuration of the trial that trained the model.
        data: Data that the model was trained on.
        weights: Content of MODEL_WEIGHTS.
        how: How the images were decoded.
    """
    mean, std = input_statistics(config, data)
    view = config.view or View(data.image_size, "squash")  # that of earlier versions
    return {
        "format": MODEL_FORMAT,
        "model": config.model,
        "model_args": config.build_args,
        "classes": list(data.classes),
        "view": dataclasses.asdict(view),
        "decoding": dataclasses.asdict(how),
        "input_size": config.input_size,
        "mean": mean,
        "std": std,
        "sha256": hashlib.sha256(weights).hexdigest(),
    }


def rebuild(
    about: dict[str, Any], weights: bytes, device: torch.device, *, finite: bool = False
) -> Classifier:
    """Rebuild a model from its description and weights.

    Args:
        about: Content of model.json.
        weights: Content of MODEL_WEIGHTS.
        device: Device that it computes on.
        finite: Whether weights that are infinite or NaN are refused.

    Raises:
        InputError: The weights were altered, or the model cannot be built.
    """
    if hashlib.sha256(weights).hexdigest() != about["sha256"]:
        raise InputError(
            f"the weights of {about['model']} were altered after they were written, as their "
            "SHA-256 differs: restore them from a backup, or train again"
        )
    view, how = view_of(about)
    size = about["input_size"] or view.size
    arguments = about["model"], len(about["classes"]), size
    if is_registered(about["model"]):  # before memory is taken for sizes that the file made up
        with torch.device("meta"):
            needed = build_model(*arguments, **about["model_args"]).state_dict().values()
        if sum(value.nbytes for value in needed) > len(weights):
            raise RuntimeError("the network needs more weights than there are")
    state = safetensors.torch.load(weights)
    if finite:
        for name, value in state.items():
            if value.is_floating_point() and not value.isfinite().all():
                raise InputError(
                    f"the weights {name} are not finite, so that every prediction would be "
                    "meaningless: use a model whose training did not diverge"
                )
    model = build_model(*arguments, **about["model_args"])
    model.load_state_dict(state)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Classifier(
        model=model.eval(),
        prepare=Preparation(about["mean"], about["std"], device, about["input_size"]),
        classes=tuple(about["classes"]),
        view=view,
        how=how,
        device=device,
        temperature=about.get("temperature", 1.0),
        rejections=tuple(Rejection(**each) for each in about["rejection"])
        if "rejection" in about
        else None,
    )


def view_of(about: dict[str, Any]) -> tuple[View, Decoding]:
    """Return the view and the decoding of a model from its description."""
    if about["format"] < 2:  # images were squashed, and transparent pixels kept their hidden colour
        return View(about["image_size"], "squash"), Decoding()
    how = about["decoding"]
    return View(**about["view"]), Decoding(tuple(how["background"]), how["white_level"])


def load_model(folder: str | Path, device: torch.device | None = None) -> Classifier:
    """Load the model from the folder `best/` of a run or `model/` of a comparison.

    Args:
        folder: Folder with MODEL_FILE and MODEL_WEIGHTS: a local path, s3://… or gs://….
        device: Device that it computes on, the CPU by default.

    Raises:
        InputError: There is no model, a newer version wrote it, or it was altered.
    """
    described, weights = (_read(str(folder), name) for name in (MODEL_FILE, MODEL_WEIGHTS))
    file = f"{folder}/{MODEL_FILE}"
    try:
        return rebuild(
            parse_description(described), weights, device or torch.device("cpu"), finite=True
        )
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    except (RuntimeError, SafetensorError) as error:
        raise InputError(
            f"{file} is damaged, or its weights are of another network ({first_line(error)}): "
            "restore the folder from a backup, or train again"
        ) from error


def _read(folder: str, name: str) -> bytes:
    try:
        fs, path = open_folder(folder)
        with fs.open_input_file(f"{path}/{name}") as file:
            content: bytes = file.read()
    except (pa.ArrowException, OSError) as error:
        reason = "" if isinstance(error, FileNotFoundError) else f" ({error})"
        raise InputError(
            f"{folder} holds no {name}{reason}: give the folder of a run or of a comparison that "
            "has a model"
        ) from error
    return content
