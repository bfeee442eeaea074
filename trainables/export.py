"""Export of a trained model to ONNX or TorchScript, with a check that the logits agree.

Shape letters: N images, S height and width, C classes.
"""

from __future__ import annotations

import importlib.util
import io
import json
import warnings
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from trainables.data import Images
from trainables.errors import InputError, first_line
from trainables.saved_model import Classifier

Format: TypeAlias = Literal["onnx", "torchscript"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torchscript": ".pt"}
TOLERANCE = 1e-4
"""Largest allowed absolute difference between a logit of the export and of the model."""
OPSET = 20
CHECKED = (1, 33)
"""Batch sizes of the check; two, to detect an export with a fixed batch size."""


class FromBytes(nn.Module):
    """Model with its preprocessing, from decoded images to logits."""

    def __init__(self, classifier: Classifier):
        super().__init__()
        self.model, self.prepare = classifier.model, classifier.prepare

    def forward(self, images: Tensor) -> Tensor:
        """Preprocess and classify images.

        Args:
            images: Images, N×S×S×3, uint8.

        Returns:
            Logits, N×C, float32.
        """
        logits: Tensor = self.model(self.prepare(images))
        return logits


def export(classifier: Classifier, kind: Format) -> bytes:
    """Export a model, and check on random images that its logits agree within TOLERANCE.

    The exported model takes `images`, N×S×S×3, uint8, with S = `classifier.view.size`, and
    returns `logits`, N×C, float32. It contains the class names as JSON: in the metadata of an ONNX
    file under `classes`, and in a TorchScript file as the extra file `classes.json`.

    Args:
        classifier: Model on the CPU.
        kind: File format.

    Returns:
        Content of the exported file.

    Raises:
        InputError: A required package is not installed, the model cannot be exported, or the
            logits of the export differ.
    """
    assert classifier.device.type == "cpu"
    generator = np.random.default_rng(0)
    size = classifier.view.size
    batches: list[Images] = [
        generator.integers(0, 256, (count, size, size, 3), dtype=np.uint8) for count in CHECKED
    ]
    if kind == "onnx":
        content = _onnx(classifier, batches[-1])
        compute = _onnx_runtime(content)
    else:
        content = _torchscript(classifier, batches[-1])
        compute = _torchscript_runtime(content)
    for images in batches:
        difference = float(np.abs(compute(images) - classifier.logits(images).numpy()).max())
        if not difference <= TOLERANCE:  # NaN compares false
            raise InputError(
                f"the exported {kind} differs from the model by {difference:.2g} in a logit, but "
                f"at most {TOLERANCE:g} is allowed: try the other format"
            )
    return content


def _onnx(classifier: Classifier, images: Images) -> bytes:
    for package in ("onnx", "onnxruntime", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise InputError(
                f"--export onnx needs the package {package}, which is not installed: run "
                "pip install onnx onnxruntime onnxscript"
            )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations within the exporter
            program = torch.onnx.export(
                FromBytes(classifier).eval(),
                (torch.from_numpy(images),),
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("n")},),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise _export_error("ONNX", error) from error
    assert program is not None
    model = program.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = "classes", json.dumps(classifier.classes)
    content: bytes = model.SerializeToString()
    return content


def _onnx_runtime(content: bytes) -> Callable[[Images], np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"images": images})[0]


def _torchscript(classifier: Classifier, images: Images) -> bytes:
    buffer = io.BytesIO()
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated, but requested
            traced = torch.jit.trace(FromBytes(classifier).eval(), torch.from_numpy(images))
            torch.jit.save(traced, buffer, {"classes.json": json.dumps(classifier.classes)})
    except RuntimeError as error:
        raise _export_error("TorchScript", error) from error
    return buffer.getvalue()


def _torchscript_runtime(content: bytes) -> Callable[[Images], np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.jit.load(io.BytesIO(content))

    def compute(images: Images) -> np.ndarray:
        with torch.inference_mode():
            logits: np.ndarray = model(torch.from_numpy(images)).numpy()
        return logits

    return compute


def _export_error(kind: str, error: Exception) -> InputError:
    reason = first_line(error)
    return InputError(f"the model cannot be exported as {kind} ({reason}): try the other format")
