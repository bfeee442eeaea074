"""A trained model for use without bakeoff: ONNX or TorchScript, checked to compute the same.

Shape letters: N images, S height and width, C classes.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from trainables.data import Images
from trainables.errors import InputError
from trainables.saved_model import Classifier

Format: TypeAlias = Literal["onnx", "torchscript"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torchscript": ".pt"}
TOLERANCE = 1e-4
"""Largest difference of a logit from the model's."""
OPSET = 20
CHECKED = (1, 33)
"""Batches that are compared; two, so that the size of a batch is not built in."""


class FromBytes(nn.Module):
    """N×S×S×3 bytes, as an image library decodes them, to N×C logits."""

    def __init__(self, classifier: Classifier):
        super().__init__()
        self.model, self.prepare = classifier.model, classifier.prepare

    def forward(self, images: Tensor) -> Tensor:
        """Normalise, resize where the model wants that, and classify."""
        logits: Tensor = self.model(self.prepare(images))
        return logits


def export(classifier: Classifier, kind: Format) -> bytes:
    """A file whose logits equal the model's within 1e-4, as was checked on noise.

    It takes `images`, N×S×S×3 bytes with S of `image_size`, and returns `logits`, N×C. The class
    names are inside: in the metadata of ONNX, and in the file `classes.json` of TorchScript.

    Raises:
        InputError: the packages for it are missing, the network cannot be exported, or its
            outputs would differ.
    """
    assert classifier.device.type == "cpu"
    generator = np.random.default_rng(0)
    size = classifier.image_size
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
                f"the exported {kind} differs from the model by {difference:.2g} in a logit, and "
                f"{TOLERANCE:g} is allowed: try the other format"
            )
    return content


def _onnx(classifier: Classifier, images: Images) -> bytes:
    for package in ("onnx", "onnxruntime", "onnxscript"):
        if find_spec(package) is None:
            raise InputError(
                f"--export onnx needs {package}, which is not installed: "
                "pip install 'bakeoff[export]'"
            )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, on its own future
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
        raise _cannot("ONNX", error) from error
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
            warnings.simplefilter("ignore")  # TorchScript is deprecated, and was asked for
            traced = torch.jit.trace(FromBytes(classifier).eval(), torch.from_numpy(images))
            torch.jit.save(traced, buffer, {"classes.json": json.dumps(classifier.classes)})
    except RuntimeError as error:
        raise _cannot("TorchScript", error) from error
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


def _cannot(kind: str, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()[0]
    return InputError(f"the network cannot be exported as {kind} ({reason}): try the other format")
