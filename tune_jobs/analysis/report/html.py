"""Report of a comparison: report.html, report.md and their figures.

SECTIONS lists the sections in order. To add one, write a module with a function `section` and add
it to SECTIONS.
"""

from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl

from tune_jobs.analysis.comparison import in_use
from tune_jobs.analysis.comparison.caveats import warnings
from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.verdict import headline, summary
from tune_jobs.analysis.formatting import percent, percent_interval
from tune_jobs.analysis.report.blocks import Block, Callout, Picture, Section, Text
from tune_jobs.analysis.report.markdown import markdown
from tune_jobs.analysis.report.page import (
    DRAWING,
    inline,
    pictures,
    png,
    render_page,
    svg,
)
from tune_jobs.analysis.report.sections import (
    attribution,
    calibration,
    costs,
    data_efficiency,
    equal_budget,
    error_analysis,
    label_check,
    method,
    overtuning,
    rejection,
    robustness,
    scores,
    seeds,
    significance,
    student_report,
    trade_offs,
    training,
)
from tune_jobs.analysis.report.summary import answers, cards
from tune_jobs.run_folder.folder import FIGURES_FOLDER, RunFolder

HTML_FILE, MARKDOWN_FILE = "report.html", "report.md"

SECTIONS: tuple[Callable[[Comparison], Section | None], ...] = (
    scores.section,
    significance.section,
    seeds.section,
    overtuning.section,
    costs.section,
    calibration.section,
    equal_budget.section,
    data_efficiency.section,
    rejection.section,
    robustness.section,
    attribution.section,
    error_analysis.section,
    label_check.section,
    training.section,
    student_report.section,
    trade_offs.section,
    method.section,
)


def write_report(comparison: Comparison, folder: RunFolder) -> None:
    """Write report.html, report.md, and every figure as SVG and PNG."""
    with mpl.rc_context(DRAWING):
        sections = [made for make in SECTIONS if (made := make(comparison)) is not None]
        summary_figure = Picture(
            "accuracy",
            scores.plot_accuracy(scores.accuracy_info(comparison)),
            f"Test accuracy, {comparison.interval_label}. "
            + "; ".join(
                f"{c.name}: {percent(c.winner.accuracy)}, "
                f"{percent_interval(c.winner.accuracy_interval)}"
                for c in comparison.contestants
            ),
        )
        drawn = {}
        figures = folder.child(FIGURES_FOLDER)
        figures.make()
        for picture in [summary_figure, *pictures(sections)]:
            drawing = svg(picture)
            figures.write(f"{picture.name}.svg", drawing.encode())
            drawn[picture.name] = inline(drawing, picture.figure.get_figwidth())
            figures.write(f"{picture.name}.png", png(picture.figure))
    first: list[Block] = [
        answers(comparison), summary_figure, *map(Text, in_use.sentences(comparison))
    ]  # fmt: skip
    title, sentences = headline(comparison), summary(comparison)
    caveats = [Callout("warning", each.title, each.text) for each in warnings(comparison)]
    report = markdown(title, sentences, cards(comparison), [*caveats, *first], sections,
                      FIGURES_FOLDER)  # fmt: skip
    folder.write(MARKDOWN_FILE, report.encode())
    text = render_page(
        headline=title,
        sentences=sentences,
        when=comparison.facts["when"],
        dataset=comparison.dataset,
        command=comparison.facts["command"],
        cards=cards(comparison),
        caveats=caveats,
        first=first,
        first_title="All models at a glance",
        sections=sections,
        drawn=drawn,
        footer="The numbers of this page are in comparison.parquet and predictions.parquet in the "
        "same folder.",
    )
    folder.write(HTML_FILE, text.encode())
