"""What the small datasets of hostile_sources.py hold, and how their images are made.

A dataset states every image that a reader should return: its part, its class, and its pixels. Each
image has its own colour, and a white square in its top left and a black one in its bottom right
corner, so that it is told from the others, and upright from turned, by its pixels alone.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

WIDTH, HEIGHT = 96, 60
THUMBNAIL = 32
"""Height and width in pixels at which images are compared."""
LEVELS = 9
"""Values of red, green and blue that the colours of images have."""
STRIDE = 100
"""Step between the colours of neighbouring images; no factor of LEVELS³."""
Pixels: TypeAlias = npt.NDArray[np.uint8]
Colour: TypeAlias = tuple[int, int, int]
Kind: TypeAlias = Literal["folder", "parquet", "metadata", "csv", "archive", "webdataset"]


@dataclass(frozen=True)
class Row:
    """A labelled image that a reader should return."""

    part: str
    """train, validation or test."""
    label: str | None
    """Name of its class; None: it has none, and may be returned without one or left out."""
    accepted: tuple[Pixels, ...]
    """Thumbnails, each THUMBNAIL×THUMBNAIL×3, any one of which the image should look like."""


@dataclass
class DataSet:
    """A dataset on disk, what a reader should make of it, and what it may be told."""

    what: str
    """What it is, for the table."""
    folder: Path
    """Folder that it lies in, which is what a reader is given if `file` is None."""
    kind: Kind = "folder"
    """What the labels are in: folder names, or one of the other kinds."""
    file: str | None = None
    """Name of the file that a reader is given, for a CSV file or an archive."""
    rows: list[Row] = field(default_factory=list)
    """Every image that a reader should return."""
    parts: dict[str, str] = field(default_factory=dict)
    """Folder of each part, told to readers that do not look for parts; empty if there are none."""
    suffix: str | None = None
    """Suffix of all its images, told to readers that take a list of suffixes."""
    empty_class: bool = False
    """Whether a class has no image, told to readers that ask."""
    refuse: str = ""
    """Why refusing it is right; empty if it should be read."""
    says: str = ""
    """Regular expression of a message about its fault; empty if it has none to speak of."""
    must_say: bool = False
    """Whether reading it right is not enough, and the fault is to be named."""

    def add(
        self, picture: Image.Image, label: str | None, part: str = "train", *others: Image.Image
    ) -> None:
        """Expect an image, which may look like `picture` or one of `others`."""
        self.rows.append(Row(part, label, tuple(map(thumbnail, (picture, *others)))))

    def save(
        self, number: int, path: str, label: str | None, part: str = "train", **options: object
    ) -> None:
        """Save picture `number` below the folder in the format of its suffix, and expect it."""
        write(picture(number), self.folder / path, **options)
        self.add(picture(number), label, part)

    def classes(
        self,
        prefix: str = "",
        part: str = "train",
        count: int = 4,
        first: int = 0,
        names: Sequence[str] = ("cat", "dog"),
        suffix: str = ".jpg",
    ) -> None:
        """Save and expect `count` pictures of each class in a folder of its name."""
        for c, name in enumerate(names):
            for i in range(count):
                n = first + count * c + i
                self.save(n, f"{prefix}{name}/{n}{suffix}", name, part)


def thumbnail(image: Image.Image) -> Pixels:
    """Return an RGB image squashed to THUMBNAIL×THUMBNAIL×3, as numbers 0 to 255."""
    return np.asarray(image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR))


def picture(number: int) -> Image.Image:
    """Return the picture of a number: HEIGHT×WIDTH, its own colour, marks in two corners."""
    code = number * STRIDE % LEVELS**3
    colour = [code // LEVELS**k % LEVELS * 31 for k in range(3)]
    pixels = np.empty((HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[:] = colour
    pixels[: HEIGHT // 3, : WIDTH // 4] = 255
    pixels[-HEIGHT // 3 :, -WIDTH // 4 :] = 0
    return Image.fromarray(pixels)


def shape(number: int) -> npt.NDArray[np.bool_]:
    """Return a mask, HEIGHT×WIDTH: a figure that is not symmetric, at its own place (0 to 3)."""
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[12:48, 20:36] = True
    mask[36:48, 20:76] = True
    return np.roll(mask, 6 * number - 9, axis=1)


def figure(number: int, colour: Colour, ground: Colour) -> Image.Image:
    """Return the figure of `shape` in one colour on another."""
    return Image.fromarray(np.where(shape(number)[..., None], colour, ground).astype(np.uint8))


def encoded(image: Image.Image, suffix: str, **options: object) -> bytes:
    """Return an image as the bytes of a file, in the format of a suffix, almost without loss."""
    buffer = io.BytesIO()
    if suffix in (".jpg", ".jpeg", ".jfif"):
        options = {"quality": 95, "subsampling": 0, **options}
    elif suffix == ".webp":
        options = {"lossless": True, "exact": True, **options}
    elif suffix in (".avif", ".heic"):
        options = {"quality": 95, **options}
    image.save(buffer, Image.registered_extensions()[suffix], **options)
    return buffer.getvalue()


def write(image: Image.Image, path: Path, **options: object) -> None:
    """Write an image in the format of the path's suffix, and the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(image, path.suffix, **options))


Maker: TypeAlias = Callable[[DataSet], None]
MAKERS: dict[str, tuple[str, Maker]] = {}
"""Description of each dataset and the function that makes it, by name."""


def hostile(make: Maker) -> Maker:
    """Register a function that fills a DataSet, and whose docstring says what it is.

    The folder of the DataSet exists and is empty.
    """
    MAKERS[make.__name__] = ((make.__doc__ or "").strip().removesuffix("."), make)
    return make


def formats() -> None:
    """Let Pillow write HEIC, if pillow-heif is installed."""
    if importlib.util.find_spec("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()


def made(name: str, folder: Path) -> DataSet:
    """Make a dataset in a new folder, and return what it is."""
    what, make = MAKERS[name]
    folder.mkdir(parents=True)
    data = DataSet(what, folder)
    make(data)
    return data
