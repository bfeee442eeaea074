"""A comparison -> report.html, report.md and the pictures of both.

The sections stand in the order of SECTIONS. Another kind of evidence is another module with a
function `section`, and its entry there.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import matplotlib as mpl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.verdict import headline, verdict
from tune_jobs.analysis.formatting import (
    count,
    counted,
    duration,
    milliseconds,
    moment,
    percent,
    percent_interval,
)
from tune_jobs.analysis.report.blocks import Block, Fold, Picture, Section, Table
from tune_jobs.analysis.report.markdown import markdown
from tune_jobs.analysis.report.sections import (
    costs,
    error_analysis,
    method,
    scores,
    seeds,
    significance,
    trade_offs,
    training,
)
from tune_jobs.run_folder.folder import FIGURES_FOLDER, RunFolder

HTML_FILE, MARKDOWN_FILE = "report.html", "report.md"

SECTIONS: tuple[Callable[[Comparison], Section | None], ...] = (
    scores.section,
    significance.section,
    seeds.section,
    costs.section,
    error_analysis.section,
    training.section,
    trade_offs.section,
    method.section,
)

DRAWING: dict[Any, Any] = {
    "font.family": "sans-serif",
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a class may be called $x_1$
}
RESOLUTION = 150
"""Dots an inch of a PNG."""
LEAST_PIXELS = 60
"""An inch of a figure on a screen; where there is less room the figure is moved about."""
INK, PAPER = "#000000", "#ffffff"


def write_report(comparison: Comparison, folder: RunFolder) -> None:
    """Write both reports, and every figure as SVG and PNG."""
    with mpl.rc_context(DRAWING):
        sections = [made for make in SECTIONS if (made := make(comparison)) is not None]
        summary = Picture(
            "accuracy",
            scores.plot_accuracy(scores.accuracy_info(comparison)),
            "Test accuracy with 95% intervals. "
            + "; ".join(
                f"{c.name}: {percent(c.winner.accuracy)}, "
                f"{percent_interval(c.winner.accuracy_interval)}"
                for c in comparison.contestants
            ),
        )
        drawn = {}
        figures = folder.child(FIGURES_FOLDER)
        figures.make()
        for picture in [summary, *pictures(sections)]:
            drawing = svg(picture)
            figures.write(f"{picture.name}.svg", drawing.encode())
            drawn[picture.name] = inline(drawing, picture.figure.get_figwidth())
            figures.write(f"{picture.name}.png", png(picture.figure))
    first: list[Block] = [answers(comparison), summary]
    title, words = headline(comparison), verdict(comparison)
    folder.write(MARKDOWN_FILE, markdown(title, words, first, sections, FIGURES_FOLDER).encode())
    page = environment().get_template(f"{HTML_FILE}.jinja")
    text = page.render(
        headline=title,
        verdict=words,
        when=moment(comparison.facts["when"]),
        dataset=comparison.dataset,
        facts=comparison.facts,
        cards=cards(comparison),
        first=first,
        sections=sections,
        drawn=drawn,
    )
    folder.write(HTML_FILE, text.encode())


def environment() -> Environment:
    """Of the templates: every text is escaped, as class and run names are a person's."""
    return Environment(
        loader=PackageLoader("tune_jobs.analysis.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def pictures(sections: Sequence[Section]) -> Iterator[Picture]:
    """Every figure of the report."""

    def inside(blocks: Sequence[Block]) -> Iterator[Picture]:
        for block in blocks:
            if isinstance(block, Picture):
                yield block
            elif isinstance(block, Fold):
                yield from inside(block.blocks)

    for section in sections:
        yield from inside(section.blocks)


def cards(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Numbers of the chosen model: what, how much, and how sure or how measured."""
    chosen = comparison.chosen
    dollars = "" if chosen.dollars is None else f", ${chosen.dollars:.2f}"
    return [
        (
            "of the sealed test images are right",
            percent(chosen.winner.accuracy),
            f"95% interval {percent_interval(chosen.winner.accuracy_interval)}",
        ),
        ("parameters", count(chosen.parameters), f"{count(chosen.costs.macs)} MACs an image"),
        (
            "for an image",
            milliseconds(chosen.costs.latency_p50_ms),
            f"{chosen.costs.images_per_second:,.0f} images/s at batch 256",
        ),
        (
            "of training to find it",
            duration(chosen.search_seconds),
            f"{counted(chosen.tried, 'trial')} of its kind{dollars}",
        ),
    ]


def answers(comparison: Comparison) -> Table:
    """A row a contestant, for the page's first screen and the terminal."""
    against = {pair.second.name: pair.paired for pair in comparison.rivals}
    rows = []
    for contestant in comparison.contestants:
        test = against.get(contestant.name)
        if test is None:
            told = "chosen"
        elif not test.separable:
            told = "not separable"
        else:
            told = "worse" if test.difference > 0 else "better"
        rows.append(
            (
                contestant.name,
                percent(contestant.winner.accuracy),
                percent_interval(contestant.winner.accuracy_interval),
                count(contestant.parameters),
                milliseconds(contestant.costs.latency_p50_ms),
                duration(contestant.search_seconds),
                told,
            )
        )
    header = ("model", "test accuracy", "95% interval", "parameters", "latency", "training",
              "verdict")  # fmt: skip
    return Table(header, rows, left=frozenset({0, 6}), strong=0)


def svg(picture: Picture) -> str:
    """A figure as SVG, the same for the same figure, with ids that no other one of a page has."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": picture.name}):
        picture.figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def png(figure: Figure) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=RESOLUTION)
    return buffer.getvalue()


def inline(text: str, width: float) -> Markup:
    """An SVG file as a part of a page, in the page's own colours of ink and paper.

    Args:
        text: of the file.
        width: of the figure in inches, from which follows how small it can be and still be read.
    """
    drawing = re.sub(
        r"\s*<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL
    )
    # Names of groups, which every drawing has and none refers to, are to be of one element only.
    named = set(re.findall(r"#([\w.-]+)", drawing))
    least = f'<svg style="min-width: {LEAST_PIXELS * width:.0f}px"'
    drawing = re.sub(r' id="([\w.-]+)"', lambda m: m[0] if m[1] in named else "", drawing)
    for colour, of_page in ((INK, "currentColor"), (PAPER, "var(--paper)")):
        drawing = re.sub(rf"(fill|stroke): {colour}", rf"\1: {of_page}", drawing)
    return Markup(drawing.replace("<svg", least, 1))  # matplotlib has escaped the texts in it
