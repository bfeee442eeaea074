"""What the jobs print on: a console, and tables of one style."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tune_jobs.command_line.escaping import printable


class SafeConsole(Console):
    """Console on which no text can control the terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a text, with its control characters as escapes."""
        return super().render_str(printable(text), **options)


def open_console(width: int = 100) -> Console:
    """Return a console on stdout; `width` is that of a file or pipe, in characters."""
    return SafeConsole(width=None if sys.stdout.isatty() else width)


def print_whole(console: Console, table: Table, droppable: Sequence[str] = ()) -> None:
    """Print a table with every cell whole.

    Args:
        console: terminal, or a file, which has no width.
        table: the table.
        droppable: headings of columns that a narrow terminal goes without, the first of them first.
    """

    def width() -> int:
        unlimited = console.options.update(width=10_000)
        return Measurement.get(console, unlimited, table).maximum

    if console.is_terminal:
        for heading in droppable:
            if width() > console.width:
                table.columns = [each for each in table.columns if each.header != heading]
    # A console renders nothing wider than itself; the terminal wraps longer lines.
    wide = SafeConsole(
        file=console.file, width=width(), force_terminal=console.is_terminal,
        no_color=console.no_color,
    )  # fmt: skip
    wide.print(table)


def plain_table() -> Table:
    """Return an empty table without lines."""
    return Table(box=None, header_style="bold", pad_edge=False)
