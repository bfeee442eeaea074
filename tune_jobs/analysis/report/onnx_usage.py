"""Code that classifies an image with an exported model, without this package."""

from __future__ import annotations

from trainables.views import View

FITTED = {
    "crop": "ImageOps.fit(image, {size}, {filter})",
    "letterbox": "ImageOps.pad(image, {size}, {filter}, color={colour!r})",
    "squash": "image.resize({size}, {filter})",
}
"""Expressions of Pillow that make a square of an image, by the `resize` of a View."""
CODE = """\
import json
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession("model.onnx")
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
image = ImageOps.exif_transpose(Image.open("image.jpg")).convert("RGB")
image = {fitted}
images = np.asarray(image)[None]  # N×{size}×{size}×3, uint8
(logits,) = session.run(["logits"], {{"images": images}})
scaled = np.exp((logits[0] - logits[0].max()) / {temperature:.4f})
probabilities = dict(zip(classes, scaled / scaled.sum()))
print(max(probabilities, key=probabilities.get), probabilities)
"""


def onnx_usage(view: View, background: str, temperature: float) -> str:
    """Return Python code that classifies image.jpg with model.onnx, by onnxruntime and Pillow.

    Squares may differ from those of `bakeoff predict` by a rounding of pixels.

    Args:
        view: Geometry of the model's images.
        background: Name or hexadecimal code of the colour that a letterbox is padded with.
        temperature: Temperature of the softmax.
    """
    side = view.shorter_side
    fitted = FITTED[view.resize].format(
        size=(side, side), filter=f"Image.{view.interpolation.upper()}", colour=background
    )
    if side != view.size:
        start = round((side - view.size) / 2)
        fitted += f".crop(({start}, {start}, {start + view.size}, {start + view.size}))"
    return CODE.format(fitted=fitted, size=view.size, temperature=temperature)
