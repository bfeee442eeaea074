"""What sections are made of; the report turns them into HTML, Markdown and picture files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar = "text"
    text: str


@dataclass(frozen=True)
class Table:
    """Rows of texts, the first column naming each row."""

    kind: ClassVar = "table"
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: frozenset[int] = frozenset({0})
    """Columns of words, which begin at the left; numbers end at the right."""
    strong: int | None = None
    """Row that is emphasised."""


@dataclass(frozen=True)
class Picture:
    """A figure."""

    kind: ClassVar = "picture"
    name: str
    """Of its files, without a suffix."""
    figure: Figure
    alt: str
    """What it shows, for those who do not see it."""
    caption: str = ""


@dataclass(frozen=True)
class Fold:
    """Depth that opens when it is asked for."""

    kind: ClassVar = "fold"
    title: str
    blocks: Sequence[Block]


Block: TypeAlias = Text | Table | Picture | Fold


@dataclass(frozen=True)
class Section:
    """A part of the report."""

    title: str
    blocks: Sequence[Block] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Of links to it."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")
