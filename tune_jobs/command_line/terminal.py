"""What the jobs print on: a console, and tables of one style."""

from __future__ import annotations

import contextlib
import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tune_jobs.command_line.escaping import printable

UNLIMITED = 10_000
"""Width of a file or pipe in characters: nothing is cut or wrapped there."""


class SafeConsole(Console):
    """Console on which no text can control the terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a text, with its control characters as escapes."""
        return super().render_str(printable(text), **options)


class QuietConsole(SafeConsole):
    """Console of a caller in Python, who gets a progress bar and the results themselves."""

    def __init__(self) -> None:
        super().__init__(quiet=True, force_jupyter=False)  # which shows empty output instead


class NextStep(NamedTuple):
    """A command that may follow a job."""

    purpose: str
    """What the command is for, as a phrase."""
    command: str
    """The command, quoted for a shell."""


def open_console() -> Console:
    """Return a console on stdout."""
    if not sys.stdout.isatty():
        return SafeConsole(width=UNLIMITED)
    console = SafeConsole()
    if console.is_dumb_terminal:  # rich takes it to have 80 columns, whatever its size
        size = shutil.get_terminal_size()
        return SafeConsole(width=size.columns, height=size.lines)
    return console


def open_bar(**options: Any) -> Any:
    """Return a progress bar of tqdm for a caller in Python; a file gets none.

    Args:
        options: arguments of tqdm.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without ipywidgets the bar is text, as it should be
        from tqdm.auto import tqdm
    shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    in_notebook = shell is not None and getattr(shell(), "kernel", None) is not None
    # The output of a notebook is no terminal, and gets a bar nevertheless.
    return tqdm(disable=False if in_notebook else None, **options)


def redraws(console: Console) -> bool:
    """Return whether lines of a console can be drawn anew, as bars are; those of a file cannot."""
    return console.is_terminal and not console.is_dumb_terminal


@contextlib.contextmanager
def said(what: str, console: Console) -> Iterator[None]:
    """Say what goes on, on a terminal and to a caller in Python until it has ended."""
    if isinstance(console, QuietConsole):
        with open_bar(desc=f"{what} …", bar_format="{desc}", leave=False):
            yield
    elif redraws(console):
        with console.status(f"{escape(what)} …"):
            yield
    else:
        console.print(what, highlight=False, markup=False)
        yield


def print_table(console: Console, table: Table, droppable: Sequence[str] = ()) -> None:
    """Print a table with every cell whole, and say which columns were left out.

    Columns without any content are left out without a word.

    A wide column that had to go may leave room for narrow ones that went before it: they stay.
    Where a terminal is too narrow for the columns that are left, each row stands below its name.

    Args:
        console: terminal, or a file, which has no width.
        table: the table.
        droppable: headings of columns that a narrow terminal goes without, the first of them first.
    """
    columns = [each for each in table.columns if not table.rows or any(map(str, each.cells))]

    def width() -> int:
        unlimited = console.options.update(width=UNLIMITED)
        return Measurement.get(console, unlimited, table).maximum

    def fits_without(headings: Sequence[str]) -> bool:
        """Leave out columns, and return whether the console has room for the others."""
        left = [each for each in columns if each.header not in headings]
        # rich measures a column by its number, too.
        table.columns = [replace(each, _index=i) for i, each in enumerate(left)]
        return not console.is_terminal or width() <= console.width

    dropped: list[str] = []
    for heading in (each for each in droppable if each in [column.header for column in columns]):
        if fits_without(dropped):
            break
        dropped.append(heading)
    for heading in dropped[::-1]:
        fewer = [each for each in dropped if each != heading]
        dropped = fewer if fits_without(fewer) else dropped
    if not fits_without(dropped):
        _print_rows(console, table)
    else:
        # A console renders nothing wider than itself, and takes a dumb terminal to have 80 columns.
        wide = SafeConsole(
            file=console.file, width=width(), height=console.height,
            force_terminal=console.is_terminal, no_color=console.no_color,
        )  # fmt: skip
        wide.print(table)
    if dropped:
        console.print(
            f"without {', '.join(dropped)}: the terminal has {console.width} columns",
            style="dim", highlight=False, markup=False,
        )  # fmt: skip


def _print_rows(console: Console, table: Table) -> None:
    """Print each row as its name, and the other cells with their headings below it."""
    headings = [str(column.header) for column in table.columns]
    named = next((i for i, heading in enumerate(headings) if heading), 0) + 1
    for row, cells in zip(table.rows, zip(*(each.cells for each in table.columns), strict=True),
                          strict=True):  # fmt: skip
        name = "  ".join(str(cell) for cell in cells[:named] if cell)
        console.print(name, style=row.style, highlight=False, soft_wrap=True)
        others = zip(headings[named:], cells[named:], strict=True)
        text = "  ".join(f"{heading} {cell}" for heading, cell in others if cell)
        console.print(Padding(text, (0, 0, 0, 2), expand=False), highlight=False)


def print_steps(steps: Iterable[NextStep], console: Console) -> None:
    """Print commands below what they are for, each whole in a line of its own, to copy."""
    lines = [f"  {step.purpose}:\n    {step.command}" for step in steps]
    text = "\n".join(["\nNext:", *lines])
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def plain_table() -> Table:
    """Return an empty table without lines."""
    return Table(box=None, header_style="bold", pad_edge=False)
