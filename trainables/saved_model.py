"""A trained model as files: its weights, and all that is needed to use them on images.

Shape letters: N images, H height, W width, C classes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from trainables.config import TrialConfig
from trainables.data import Images, TrainingData
from trainables.errors import InputError
from trainables.models import build_model
from trainables.precision import Autocast, exact_convolutions
from trainables.prediction import predict, to_device
from trainables.preparation import Preparation, input_statistics

MODEL_FILE = "model.json"
MODEL_WEIGHTS = "model.safetensors"
MODEL_FORMAT = 1
"""Of model.json; a reader refuses what is newer than it knows."""


@dataclass(frozen=True)
class Classifier:
    """A trained model and how images are prepared for it."""

    model: nn.Module
    """In evaluation mode."""
    prepare: Preparation
    classes: tuple[str, ...]
    image_size: int
    """Pixels of height and width that it is given images in."""
    device: torch.device

    @property
    def input_size(self) -> int:
        """Pixels of height and width that reach the network."""
        return self.prepare.size or self.image_size

    def logits(self, images: Images) -> Tensor:
        """Logits N×C of N×H×W×3 bytes, in fp32 on every device and on the CPU in the end."""
        with exact_convolutions():
            return predict(
                self.model,
                to_device(images, self.device),
                self.prepare,
                Autocast("fp32", self.device),
            ).cpu()


def describe_model(config: TrialConfig, data: TrainingData, weights: bytes) -> dict[str, Any]:
    """What model.json says: enough to rebuild the model without the run.

    Args:
        config: it was trained with.
        data: it was trained on.
        weights: content of MODEL_WEIGHTS.
    """
    mean, std = input_statistics(config, data)
    return {
        "format": MODEL_FORMAT,
        "model": config.model,
        "model_args": config.build_args,
        "classes": list(data.classes),
        "image_size": data.image_size,
        "input_size": config.input_size,
        "mean": mean,
        "std": std,
        "sha256": hashlib.sha256(weights).hexdigest(),
    }


def rebuild(about: dict[str, Any], weights: bytes, device: torch.device) -> Classifier:
    """The model that a model.json describes.

    Args:
        about: content of model.json.
        weights: content of MODEL_WEIGHTS.
        device: that it computes on.

    Raises:
        InputError: the weights are not those described, or do not fit the model.
    """
    if hashlib.sha256(weights).hexdigest() != about["sha256"]:
        raise InputError(
            f"the weights of {about['model']} were altered since they were written, their SHA-256 "
            "is another: take them from a backup, or train again"
        )
    size = about["input_size"] or about["image_size"]
    model = build_model(about["model"], len(about["classes"]), size, **about["model_args"])
    model.load_state_dict(safetensors.torch.load(weights))
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Classifier(
        model=model.eval(),
        prepare=Preparation(about["mean"], about["std"], device, about["input_size"]),
        classes=tuple(about["classes"]),
        image_size=about["image_size"],
        device=device,
    )


def load_model(folder: str | Path, device: torch.device | None = None) -> Classifier:
    """The model in a folder that a run (`best/`) or a comparison (`model/`) has written.

    Args:
        folder: with MODEL_FILE and MODEL_WEIGHTS, local or s3://… or gs://….
        device: that it computes on, the CPU where none is given.

    Raises:
        InputError: there is no model, a newer version wrote it, or it was altered.
    """
    described, weights = (_read(str(folder), name) for name in (MODEL_FILE, MODEL_WEIGHTS))
    file = f"{folder}/{MODEL_FILE}"
    try:
        about = json.loads(described)
        if about["format"] > MODEL_FORMAT:
            raise InputError(
                f"{file} has format {about['format']}, and this version reads up to "
                f"{MODEL_FORMAT}: upgrade bakeoff"
            )
        return rebuild(about, weights, device or torch.device("cpu"))
    except (json.JSONDecodeError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"{file} is damaged ({error!r}): take it from a backup, or train again"
        ) from error


def _read(folder: str, name: str) -> bytes:
    address = folder if "://" in folder else str(Path(folder).expanduser().absolute())
    try:
        fs, path = pyarrow.fs.FileSystem.from_uri(address)
        with fs.open_input_file(f"{path}/{name}") as file:
            content: bytes = file.read()
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{folder} holds no {name} ({error}): give the folder best of a run, or model of a "
            "comparison"
        ) from error
    return content
