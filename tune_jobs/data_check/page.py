"""The page of a check: findings, classes, sizes, formats and contact sheets in one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainables.errors import InputError
from trainables.sources import describe
from trainables.sources.names import PART_NAMES
from tune_jobs.analysis.formatting import counted, listed
from tune_jobs.analysis.report.blocks import (
    Block,
    Callout,
    Card,
    Fold,
    Gallery,
    Names,
    Section,
    Table,
    Text,
)
from tune_jobs.analysis.report.page import render_page
from tune_jobs.data_check.figures import MOST_BARS, class_figure, size_figure
from tune_jobs.data_check.findings import SEVERITIES, Finding
from tune_jobs.data_check.image_checks import formats_of_classes
from tune_jobs.data_check.inspection import Inspection
from tune_jobs.data_check.thumbnails import contact_sheets

MARK = "<!-- bakeoff check_data -->"
"""Comment that pages of this job contain."""
MARK_WITHIN = 2000
"""Number of characters within which it stands."""
SHOWN_NAMES = 3
"""Number of names up to which they are not folded."""
SHOWN_FORMATS = 20
"""Number of formats in the table."""


def check_output(page: Path) -> None:
    """Raise InputError if a page would overwrite a file that is none of this job's, or cannot be.

    Args:
        page: path of the page.
    """
    if not page.exists():
        return
    if not page.is_file() or MARK not in page.read_bytes()[:MARK_WITHIN].decode(errors="replace"):
        raise InputError(
            f"--output {page} exists and is no page of this job: give another name, or move it away"
        )


def verdict(findings: Sequence[Finding]) -> str:
    """Return the result in a sentence."""
    numbers = {each: sum(f.severity == each for f in findings) for each in SEVERITIES}
    found = listed([counted(number, each) for each, number in numbers.items() if number])
    if numbers["error"]:
        return f"{found}: a comparison on these images would be wrong"
    if numbers["warning"]:
        return f"{found}: a comparison on these images needs care"
    return f"{found or 'Nothing found'}: these images are ready for a comparison"


def write_page(inspection: Inspection, findings: Sequence[Finding], command: str) -> Path:
    """Write the page, and return its path.

    Args:
        inspection: source.
        findings: what was found, the worst first.
        command: command line.

    Raises:
        InputError: the page cannot be written.
    """
    sections = [
        classes_section(inspection),
        sizes_section(inspection),
        formats_section(inspection),
        Section("Contact sheets", contact_sheets(inspection)),
    ]
    text = render_page(
        headline=verdict(findings),
        sentences=[f"{line}." for line in describe(inspection.listing)[:1]],
        dataset=inspection.listing.name,
        command=command,
        cards=cards(inspection),
        first=[callout(f) for f in findings] or [Text("Nothing was found.")],
        first_title="Findings",
        sections=sections,
        footer="The splits are those of a training job with the same options.",
        head=MARK,
    )
    page = inspection.options.page
    partial = page.with_name(page.name + ".partial")
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(page)
    except OSError as error:
        raise InputError(
            f"--output {page} cannot be written ({error}): give a file in another folder"
        ) from error
    return page


def callout(finding: Finding) -> Callout:
    """Return a finding with its details."""
    blocks = list(finding.pictures())
    pairs = sum(isinstance(block, Gallery) and block.captioned for block in blocks)
    if finding.examples and pairs < finding.total:  # captions are names too
        more = finding.total - len(finding.examples)
        names = [*finding.examples, *[f"and {more:,} more"] * (more > 0)]
        block = Names(names)
        few = len(names) <= SHOWN_NAMES  # a long list would hide the next finding
        blocks.append(block if few else Fold("Names", [block]))
    return Callout(finding.severity, finding.title, finding.text, blocks)


def cards(inspection: Inspection) -> list[Card]:
    """Return the key figures."""
    used = inspection.counts.sum(axis=0)
    sizes = inspection.facts.sizes[inspection.rows]
    splits = ", ".join(f"{name} {used[code]:,}" for code, name in PART_NAMES.items())
    found = [
        Card("images", f"{used.sum():,}", (splits,)),
        Card(
            "classes", f"{len(inspection.listing.classes):,}", (smallest_and_largest(inspection),)
        ),
    ]
    if len(sizes):
        height, width = np.median(sizes, axis=0)
        shorter = sizes.min(axis=1)
        ends = dict.fromkeys((f"{shorter.min():,}", f"{shorter.max():,}"))
        note = f"shorter side {' to '.join(ends)}"
        found.append(Card("median width × height", f"{width:.0f}×{height:.0f}", (note,)))
    return found


def smallest_and_largest(inspection: Inspection) -> str:
    """Return the range of the numbers of images of the classes."""
    totals = inspection.counts.sum(axis=1)
    low, high = totals.min(), totals.max()
    return f"{low:,} images each" if low == high else f"{low:,} to {high:,} images each"


def class_table(inspection: Inspection) -> Table:
    """Return the images of each class in each split, the largest class first."""
    counts = inspection.counts
    total = max(1, int(counts.sum()))
    rows = [
        (
            inspection.listing.classes[label],
            *(f"{number:,}" for number in counts[label]),
            f"{counts[label].sum() / total:.1%}",
        )
        for label in np.argsort(-counts.sum(axis=1), kind="stable")
    ]
    return Table(["class", *PART_NAMES.values(), "share"], rows)


def classes_section(inspection: Inspection) -> Section:
    """Return the section on classes and splits."""
    table = class_table(inspection)
    many = len(table.rows) > MOST_BARS
    text = (
        f"Splits as the training jobs make them; --split-seed {inspection.options.split_seed} "
        "decides those that the source does not define."
    )
    if inspection.refusal is not None:
        text = "Splits as the source defines them, as the images cannot be split."
    blocks: list[Block] = [Text(text), class_figure(inspection)]
    blocks.append(Fold(f"All {len(table.rows):,} classes", [table]) if many else table)
    return Section("Classes", blocks)


def sizes_section(inspection: Inspection) -> Section:
    """Return the section on heights, widths and their ratio."""
    sizes = inspection.facts.sizes[inspection.rows]
    figure = size_figure(inspection)
    if not len(sizes):
        return Section("Sizes", [Text("No image is left.")])
    if figure is None:
        height, width = sizes[0]
        return Section("Sizes", [Text(f"All images are {width:,}×{height:,} pixels.")])
    height, width = sizes.T
    quantiles = (0, 5, 50, 95, 100)
    rows = [
        (name, *(f"{value:,.{digits}f}" for value in np.percentile(values, quantiles)))
        for name, values, digits in (
            ("width (pixels)", width, 0),
            ("height (pixels)", height, 0),
            ("shorter side (pixels)", sizes.min(axis=1), 0),
            ("width : height", width / height, 2),
        )
    ]
    return Section("Sizes", [
        figure, Table(["", "smallest", "5%", "median", "95%", "largest"], rows)
    ])  # fmt: skip


def formats_section(inspection: Inspection) -> Section:
    """Return the section on formats and modes."""
    kinds, counts = formats_of_classes(inspection)
    totals = counts.sum(axis=1)
    order = np.argsort(-totals, kind="stable")
    rows = [
        (*kinds[i].split(" ", 1), f"{totals[i]:,}", f"{(counts[i] > 0).sum():,}")
        for i in order[:SHOWN_FORMATS]
    ]
    blocks: list[Block] = [
        Table(["format", "mode", "images", "classes"], rows, left=frozenset({0, 1}))
    ]
    if len(order) > SHOWN_FORMATS:
        blocks.append(Text(f"The first {SHOWN_FORMATS} of {len(order):,}."))
    return Section("Formats", blocks)
