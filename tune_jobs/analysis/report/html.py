"""Report of a comparison: report.html, report.md and their figures.

SECTIONS lists the sections in order. To add one, write a module with a function `section` and add
it to SECTIONS.
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

from trainables.target import ACCURACY
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
    "svg.fonttype": "none",  # keep text as text, not as paths
    "text.parse_math": False,  # a class name may be $x_1$
}
RESOLUTION = 150
"""Resolution of the PNG files in dots per inch."""
LEAST_PIXELS = 60
"""Minimum screen pixels per inch of a figure; on narrower screens the figure scrolls."""
INK, PAPER = "#000000", "#ffffff"
"""Text and background colours of the drawings, replaced by those of the page."""


def write_report(comparison: Comparison, folder: RunFolder) -> None:
    """Write report.html, report.md, and every figure as SVG and PNG."""
    with mpl.rc_context(DRAWING):
        sections = [made for make in SECTIONS if (made := make(comparison)) is not None]
        summary = Picture(
            "accuracy",
            scores.plot_accuracy(scores.accuracy_info(comparison)),
            "Test accuracy with 95% confidence intervals. "
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
    title, paragraph = headline(comparison), verdict(comparison)
    report = markdown(title, paragraph, first, sections, FIGURES_FOLDER)
    folder.write(MARKDOWN_FILE, report.encode())
    page = environment().get_template(f"{HTML_FILE}.jinja")
    text = page.render(
        headline=title,
        verdict=paragraph,
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
    """Return the template environment, which escapes all texts, as names are user input."""
    return Environment(
        loader=PackageLoader("tune_jobs.analysis.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def pictures(sections: Sequence[Section]) -> Iterator[Picture]:
    """Yield every figure of the sections, including those in folds."""

    def inside(blocks: Sequence[Block]) -> Iterator[Picture]:
        for block in blocks:
            if isinstance(block, Picture):
                yield block
            elif isinstance(block, Fold):
                yield from inside(block.blocks)

    for section in sections:
        yield from inside(section.blocks)


def cards(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Return the key figures of the chosen model, each as label, value and note."""
    chosen = comparison.chosen
    dollars = "" if chosen.dollars is None else f", ${chosen.dollars:.2f}"
    return [
        (
            "accuracy on the sealed test set",
            percent(chosen.winner.accuracy),
            f"95% CI {percent_interval(chosen.winner.accuracy_interval)}",
        ),
        ("parameters", count(chosen.parameters), f"{count(chosen.costs.macs)} MACs per image"),
        (
            "median latency per image",
            milliseconds(chosen.costs.latency_p50_ms),
            f"{chosen.costs.images_per_second:,.0f} images/s at batch size 256",
        ),
        (
            "total training time",
            duration(chosen.search_seconds),
            f"{counted(chosen.tried, 'trial')} of its model family{dollars}",
        ),
    ]


def answers(comparison: Comparison) -> Table:
    """Return the summary table, one row per contestant, for the page and the terminal."""
    target = comparison.target
    others = [] if target == ACCURACY else [target]
    against = {pair.second.name: pair.paired for pair in comparison.rivals}
    rows = []
    for contestant in comparison.contestants:
        test = against.get(contestant.name)
        if test is None:
            versus = "chosen"
        elif not test.significant:
            versus = "not significant"
        else:
            versus = "worse" if test.difference > 0 else "better"
        rows.append(
            (
                contestant.name,
                percent(contestant.winner.accuracy),
                percent_interval(contestant.winner.accuracy_interval),
                *(each.show(contestant.winner.metrics[each.name]) for each in others),
                count(contestant.parameters),
                milliseconds(contestant.costs.latency_p50_ms),
                duration(contestant.search_seconds),
                versus,
            )
        )
    header = ("model", "test accuracy", "95% CI", *(f"test {each.label}" for each in others),
              "parameters", "latency", "training", "vs. chosen")  # fmt: skip
    return Table(header, rows, left=frozenset({0, len(header) - 1}), strong=0)


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
        width: width of the figure in inches, which sets its minimum width on the page.
    """
    drawing = re.sub(
        r"\s*<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL
    )
    # Ids must be unique within the page: drop those that nothing refers to, e.g. of groups.
    referenced = set(re.findall(r"#([\w.-]+)", drawing))
    least = f'<svg style="min-width: {LEAST_PIXELS * width:.0f}px"'
    drawing = re.sub(r' id="([\w.-]+)"', lambda m: m[0] if m[1] in referenced else "", drawing)
    for colour, of_page in ((INK, "currentColor"), (PAPER, "var(--paper)")):
        drawing = re.sub(rf"(fill|stroke): {colour}", rf"\1: {of_page}", drawing)
    return Markup(drawing.replace("<svg", least, 1))  # matplotlib escapes its texts
