"""Report as Markdown, with links to its figures."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from tune_jobs.analysis.report.blocks import (
    Block,
    Callout,
    Card,
    Gallery,
    Names,
    Panels,
    Picture,
    Section,
    Table,
    Text,
)

MARKUP = re.compile(r"([\\`*_\[\]<>|#$~!&])")


def plain(text: str) -> str:
    """Escape all Markdown and HTML markup of a text."""
    return MARKUP.sub(r"\\\1", text.replace("\n", " "))


def markdown(
    headline: str,
    sentences: Sequence[str],
    cards: Sequence[Card],
    first: Sequence[Block],
    sections: Sequence[Section],
    figures: str,
) -> str:
    """Return the whole report.

    Args:
        headline: title of the report.
        sentences: sentences of the first paragraph.
        cards: key figures.
        first: blocks before the sections.
        sections: sections, in order.
        figures: folder of the figures, relative to the report.
    """
    parts = [f"# {plain(headline)}", plain(" ".join(sentences))]
    lines = [f"- {plain(each.line)}" for each in cards if each.line]
    parts += ["\n".join(lines), *(table(each.table) for each in cards if each.table)]
    parts += [_block(block, figures) for block in first]
    for section in sections:
        parts.append(f"## {plain(section.title)}")
        parts += [_block(block, figures) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _block(block: Block, figures: str) -> str:
    if isinstance(block, Text):
        return plain(block.text)
    if isinstance(block, Table):
        return table(block)
    if isinstance(block, Picture):
        picture = f"![{plain(block.alt)}]({figures}/{block.name}.svg)"
        return f"{picture}\n\n*{plain(block.caption)}*" if block.caption else picture
    if isinstance(block, Panels):
        drawn = [_block(each, figures) for each in block.pictures]
        return "\n".join([*drawn, "", f"*{plain(block.caption)}*"])
    if isinstance(block, Names):
        return "\n".join(f"- {plain(name)}" for name in block.names)
    if isinstance(block, Gallery):
        return plain(block.title)
    inside = "\n\n".join(_block(each, figures) for each in block.blocks)
    if isinstance(block, Callout):
        parts = (f"**{block.level}: {plain(block.title)}**", plain(block.text), inside)
        return "\n\n".join(filter(None, parts))
    summary = html.escape(block.title)
    return f"<details><summary>{summary}</summary>\n\n{inside}\n\n</details>"


def table(block: Table) -> str:
    """Return a table as Markdown, with its texts escaped."""
    rules = [" --- " if i in block.left else " ---: " for i in range(len(block.header))]
    lines = [_row(map(plain, block.header)), "|" + "|".join(rules) + "|"]
    for i, row in enumerate(block.rows):
        cells = map(plain, row)
        lines.append(_row(f"**{cell}**" for cell in cells) if i == block.strong else _row(cells))
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
