"""Code that classifies an image with an exported model, without this package."""

from __future__ import annotations

from trainables.views import View

SQUARE = {
    "crop": """\
lengths = [int({shorter} * side / min(image.size)) for side in image.size]
starts = [round((length - {size}) / 2) for length in lengths]
edges = [[at * side / length for at in (start, start + {size})]
         for start, side, length in zip(starts, image.size, lengths)]
(left, right), (upper, lower) = edges
image = image.resize(({size}, {size}), {filter}, (left, upper, right, lower))
""",
    "letterbox": "image = ImageOps.pad(image, ({size}, {size}), {filter}, color={colour!r})\n",
    "squash": "image = image.resize(({size}, {size}), {filter})\n",
}
"""Lines that make a square of an image with Pillow, by the `resize` of a View."""
CODE = """\
import json
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession("model.onnx")
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
image = ImageOps.exif_transpose(Image.open("image.jpg")).convert("RGB")
{square}images = np.asarray(image)[None]  # N×{size}×{size}×3, uint8
(logits,) = session.run(["logits"], {{"images": images}})
scaled = np.exp((logits[0] - logits[0].max()) / {temperature:.4f})
probabilities = dict(zip(classes, (scaled / scaled.sum()).tolist()))
print(max(probabilities, key=probabilities.get), probabilities)
"""


def onnx_usage(view: View, background: str, temperature: float) -> str:
    """Return Python code that classifies image.jpg with model.onnx, by onnxruntime and Pillow.

    Squares are those of `trainables.decoding.render` but for rounding, and that large JPEG files
    are decoded in full here.

    Args:
        view: Geometry of the model's images.
        background: Name or hexadecimal code of the colour that a letterbox is padded with.
        temperature: Temperature of the softmax.
    """
    square = SQUARE[view.resize].format(
        size=view.size, shorter=view.shorter_side, colour=background,
        filter=f"Image.{view.interpolation.upper()}",
    )  # fmt: skip
    return CODE.format(square=square, size=view.size, temperature=temperature)
