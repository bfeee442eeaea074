"""Building blocks of report sections, rendered as HTML, Markdown and image files."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from matplotlib.figure import Figure
from PIL import Image

from trainables.arrays import Images

QUALITY = 80
"""Quality of JPEG thumbnails."""
PIXELATED = 64
"""Height and width in pixels below which thumbnails are PNG; the page shows their pixels."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar = "text"
    text: str
    """Plain text of the paragraph."""


@dataclass(frozen=True)
class Table:
    """A table of texts; the first column holds the row headings."""

    kind: ClassVar = "table"
    header: Sequence[str]
    """Column headings."""
    rows: Sequence[Sequence[str]]
    """Cells of each row, one per column."""
    left: frozenset[int] = frozenset({0})
    """Indices of left-aligned columns (words); the others are right-aligned (numbers)."""
    strong: int | None = None
    """Index of the emphasised row, if any."""


@dataclass(frozen=True)
class Picture:
    """A figure."""

    kind: ClassVar = "picture"
    name: str
    """Name of its files, without a suffix."""
    figure: Figure
    """Figure to draw."""
    alt: str
    """Alternative text for screen readers."""
    caption: str = ""
    """Caption below the figure."""


@dataclass(frozen=True)
class Panels:
    """Figures side by side, as many as the screen is wide enough for."""

    kind: ClassVar = "panels"
    pictures: Sequence[Picture]
    """Figures, in order."""
    caption: str
    """Caption below all of them."""


@dataclass(frozen=True)
class Fold:
    """Details that are collapsed by default."""

    kind: ClassVar = "fold"
    title: str
    """Summary that stays visible."""
    blocks: Sequence[Block]
    """Collapsed content."""


def method(*paragraphs: str) -> Fold:
    """Return how the numbers of a section are computed, for its end."""
    return Fold("How these numbers are computed", [Text(each) for each in paragraphs])


@dataclass(frozen=True)
class Thumbnail:
    """A small image."""

    source: str
    """Content as a data URI."""
    alt: str
    """Alternative text for screen readers."""
    caption: str = ""
    """Caption below the image."""


def thumbnail(image: Images, alt: str) -> Thumbnail:
    """Return an image, H×W×3, uint8, as a thumbnail, with its text for screen readers."""
    return Thumbnail(data_uri(Image.fromarray(image)), alt)


def data_uri(image: Image.Image) -> str:
    """Return an image as a data URI: JPEG, or PNG where single pixels can be told apart."""
    kind = "PNG" if max(image.size) < PIXELATED else "JPEG"
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=QUALITY)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


@dataclass(frozen=True)
class Gallery:
    """A row of small images; only HTML shows them."""

    kind: ClassVar = "gallery"
    title: str
    """Caption above the images."""
    thumbnails: Sequence[Thumbnail]
    """Images, in order."""

    @property
    def captioned(self) -> bool:
        """Whether the images have captions."""
        return any(thumbnail.caption for thumbnail in self.thumbnails)


@dataclass(frozen=True)
class Callout:
    """A finding with its severity."""

    kind: ClassVar = "callout"
    level: Literal["error", "warning", "note"]
    """Severity."""
    title: str
    """What was found."""
    text: str
    """What it means, and what mends it."""
    blocks: Sequence[Block] = ()
    """Details."""


@dataclass(frozen=True)
class Names:
    """A list of names."""

    kind: ClassVar = "names"
    names: Sequence[str]
    """Names, in order."""


@dataclass(frozen=True)
class Card:
    """A key figure of the first screen."""

    label: str
    """What the figure is."""
    value: str
    """The figure, in large letters."""
    notes: Sequence[str]
    """Lines below it."""
    table: Table | None = None
    """Table in place of the figure, if any."""

    @property
    def line(self) -> str:
        """The figure and its notes in one line; empty for a table."""
        notes = "; ".join(filter(None, self.notes))
        return "" if self.table else f"{self.label}: {self.value} ({notes})"


Block: TypeAlias = Text | Table | Picture | Panels | Fold | Gallery | Callout | Names


@dataclass(frozen=True)
class Section:
    """A section of the report."""

    title: str
    """Heading of the section."""
    blocks: Sequence[Block] = field(default_factory=list)
    """Content of the section."""

    @property
    def anchor(self) -> str:
        """Anchor that links to the section use."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")
