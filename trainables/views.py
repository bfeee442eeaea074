"""Views: how an image of any size becomes a square array.

Imports no large package, because --help of every job imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Resize: TypeAlias = Literal["crop", "letterbox", "squash"]
Interpolation: TypeAlias = Literal["bilinear", "bicubic"]
Colour: TypeAlias = tuple[int, int, int]
"""Red, green and blue, each in 0..255."""
WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True)
class View:
    """Geometry of the square arrays that a trial reads its images as."""

    size: int
    """Height and width in pixels, 1 or more."""
    resize: Resize = "crop"
    """crop: resize the shorter side, then crop the centre. letterbox: resize the longer side, then
    pad. squash: resize both sides, which changes the aspect ratio."""
    resize_to: int | None = None
    """Length in pixels to which crop resizes the shorter side, at least `size`; None: `size`."""
    interpolation: Interpolation = "bilinear"
    """Interpolation, with antialiasing where the image shrinks."""

    def __post_init__(self) -> None:
        if self.resize != "crop" or self.resize_to == self.size:
            object.__setattr__(self, "resize_to", None)  # equal views have equal names

    @property
    def shorter_side(self) -> int:
        """Length in pixels of an image's shorter side from which this view can be made sharply."""
        return self.resize_to or self.size

    @property
    def name(self) -> str:
        """Name of the view for file names and messages, e.g. crop-224-of-256-bicubic."""
        parts = [self.resize, str(self.size)]
        if self.resize == "crop" and self.shorter_side != self.size:
            parts += ["of", str(self.shorter_side)]
        return "-".join([*parts, self.interpolation])


@dataclass(frozen=True)
class Decoding:
    """How the pixels of an encoded image become red, green and blue from 0 to 255."""

    background: Colour = WHITE
    """Colour that transparent pixels are composited on, and that letterbox pads with."""
    white_level: int | None = None
    """Value of white in images of 16 bits per channel, one for the dataset; None: 65,535."""
