"""Report of a comparison: report.html, report.md and their figures.

SECTIONS lists the sections in order. To add one, write a module with a function `section` and add
it to SECTIONS.
"""

from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl

from trainables.costs import BUSY
from trainables.target import ACCURACY
from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.equivalence import AGAINST
from tune_jobs.analysis.comparison.verdict import headline, verdict
from tune_jobs.analysis.formatting import (
    count,
    counted,
    duration,
    milliseconds,
    milliseconds_range,
    moment,
    percent,
    percent_interval,
    throughput,
    with_interval,
)
from tune_jobs.analysis.report.blocks import Block, Picture, Section, Table
from tune_jobs.analysis.report.markdown import markdown
from tune_jobs.analysis.report.page import (
    DRAWING,
    PAGE_TEMPLATE,
    environment,
    inline,
    pictures,
    png,
    svg,
)
from tune_jobs.analysis.report.sections import (
    calibration,
    costs,
    data_efficiency,
    equal_budget,
    error_analysis,
    method,
    scores,
    seeds,
    significance,
    student_report,
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
    calibration.section,
    equal_budget.section,
    data_efficiency.section,
    error_analysis.section,
    training.section,
    student_report.section,
    trade_offs.section,
    method.section,
)


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
    page = environment().get_template(PAGE_TEMPLATE)
    text = page.render(
        headline=title,
        verdict=paragraph,
        when=moment(comparison.facts["when"]),
        dataset=comparison.dataset,
        version=comparison.facts["bakeoff"],
        command=comparison.facts["command"],
        cards=cards(comparison),
        first=first,
        first_title="All models at a glance",
        sections=sections,
        drawn=drawn,
        footer="The numbers of this page are in comparison.parquet and predictions.parquet in the "
        "same folder.",
    )
    folder.write(HTML_FILE, text.encode())


def cards(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Return the key figures of the chosen model, each as label, value and note."""
    chosen, costs = comparison.chosen, comparison.chosen.costs
    dollars = "" if chosen.dollars is None else f", ${chosen.dollars:.2f}"
    return [
        (
            "accuracy on the sealed test set",
            percent(chosen.winner.accuracy),
            f"95% CI {percent_interval(chosen.winner.accuracy_interval)}",
        ),
        ("parameters", count(chosen.parameters), f"{count(costs.macs)} MACs per image"),
        (
            "median latency per image",
            milliseconds(costs.latency_p50_ms),
            f"rounds {milliseconds_range(costs.latency_low_ms, costs.latency_high_ms)}; in batches "
            f"{throughput(costs.images_per_second)}"
            if costs.others <= BUSY
            else f"other processes used {costs.others:.0%} of the CPU",
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
    against = {pair.second.name: AGAINST[pair.word] for pair in comparison.rivals}
    seeds = any(contestant.spread for contestant in comparison.contestants)
    rows = []
    for contestant in comparison.contestants:
        spread = contestant.spread
        rows.append(
            (
                contestant.name,
                percent(contestant.winner.accuracy),
                percent_interval(contestant.winner.accuracy_interval),
                *(each.show(contestant.winner.metrics[each.name]) for each in others),
                *([with_interval(spread.mean, spread.interval) if spread else "–"] * seeds),
                count(contestant.parameters),
                milliseconds(contestant.costs.latency_p50_ms),
                duration(contestant.search_seconds),
                against.get(contestant.name, "chosen"),
            )
        )
    header = ("model", "test accuracy", "95% CI", *(f"test {each.label}" for each in others),
              *(["mean over seeds (95% CI)"] * seeds), "parameters", "latency", "training",
              "vs. chosen")  # fmt: skip
    return Table(header, rows, left=frozenset({0, len(header) - 1}), strong=0)
