"""What the HTML pages share: their template, and figures as SVG within the page and as PNG."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib as mpl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from tune_jobs.analysis.report.blocks import Block, Fold, Panels, Picture, Section
from tune_jobs.analysis.style import INK, PAPER

PAGE_TEMPLATE = "page.html.jinja"
DRAWING: dict[Any, Any] = {
    "font.family": "sans-serif",
    "svg.fonttype": "none",  # keep text as text, not as paths
    "text.parse_math": False,  # a class name may be $x_1$
}
RESOLUTION = 150
"""Resolution of the PNG files in dots per inch."""
LEAST_PIXELS = 60
"""Minimum screen pixels per inch of a figure; on narrower screens the figure scrolls."""
MOST_PIXELS, WIDEST = 110, 640
"""Maximum screen pixels per inch of a figure, and of its width."""


def environment() -> Environment:
    """Return the template environment, which escapes all texts, as names are user input."""
    made = Environment(
        loader=PackageLoader("tune_jobs.analysis.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.filters["options"] = with_options
    made.filters["number"] = number
    return made


def with_options(text: str) -> Markup:
    """Return a text as HTML, with its command-line options as code, which lines do not divide."""
    escaped = str(escape(text))
    return Markup(re.sub(r"(?<![^\s(])--[a-z][a-z-]*[a-z]", r"<code>\g<0></code>", escaped))  # noqa: S704


def number(text: str) -> str:
    """Return a number of a table, which a line break may divide from its interval alone."""
    return re.sub(r" (?!\()", "\N{NO-BREAK SPACE}", text)


def pictures(sections: Sequence[Section]) -> Iterator[Picture]:
    """Yield every figure of the sections, including those in folds."""

    def inside(blocks: Sequence[Block]) -> Iterator[Picture]:
        for block in blocks:
            if isinstance(block, Picture):
                yield block
            elif isinstance(block, Panels):
                yield from block.pictures
            elif isinstance(block, Fold):
                yield from inside(block.blocks)

    for section in sections:
        yield from inside(section.blocks)


def svg(picture: Picture) -> str:
    """Return a figure as SVG, reproducibly, with ids that are unique within a page."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": picture.name}):
        picture.figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=RESOLUTION)
    return buffer.getvalue()


def inline(text: str, width: float) -> Markup:
    """Return an SVG file as an inline element that takes the colours of the page.

    Args:
        text: content of the file.
        width: width of the figure in inches, which sets the limits of its width on the page.
    """
    drawing = re.sub(
        r"\s*<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL
    )
    # Ids must be unique within the page: drop those that nothing refers to, e.g. of groups.
    referenced = set(re.findall(r"#([\w.-]+)", drawing))
    least, most = LEAST_PIXELS * width, min(WIDEST, MOST_PIXELS * width)
    sized = f'<svg style="min-width: {least:.0f}px; max-width: {most:.0f}px"'
    drawing = re.sub(r' id="([\w.-]+)"', lambda m: m[0] if m[1] in referenced else "", drawing)
    for colour, of_page in ((INK, "currentColor"), (PAPER, "var(--paper)")):
        drawing = re.sub(rf"(fill|stroke): {colour}", rf"\1: {of_page}", drawing)
    return Markup(drawing.replace("<svg", sized, 1))  # noqa: S704  matplotlib escapes its texts
