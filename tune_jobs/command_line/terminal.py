"""What the jobs print on: a console, and tables of one style."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table


def open_console(width: int = 100) -> Console:
    """Return a console on stdout; `width` is that of a file or pipe, in characters."""
    return Console(width=None if sys.stdout.isatty() else width)


def plain_table() -> Table:
    """Return an empty table without lines."""
    return Table(box=None, header_style="bold", pad_edge=False)
