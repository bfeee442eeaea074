"""What a comparison prints: the recommendation, what to be careful about, and the next command."""

from __future__ import annotations

import shlex

from rich.console import Console
from rich.markup import escape

from tune_jobs.analysis.comparison import in_use
from tune_jobs.analysis.comparison.caveats import warnings
from tune_jobs.analysis.comparison.comparison import Comparison
from tune_jobs.analysis.comparison.verdict import headline, summary
from tune_jobs.analysis.report.html import HTML_FILE
from tune_jobs.analysis.report.summary import answers, cards
from tune_jobs.command_line.invocation import typed_path, words_that_start
from tune_jobs.command_line.terminal import NextStep, plain_table, print_steps, print_table
from tune_jobs.run_folder.folder import RunFolder

COLUMNS = ("training", "parameters", "latency", "vs. chosen")
"""Columns of the table that a narrow terminal goes without, the first of them first."""


def print_answer(
    comparison: Comparison, folder: RunFolder, model: RunFolder, console: Console
) -> None:
    """Print the recommendation, the table of winners, and the next command.

    Args:
        comparison: the comparison.
        folder: folder that it was written to.
        model: folder of the chosen model.
        console: terminal or log file.
    """
    console.print(f"\n[bold]{escape(headline(comparison))}[/]\n", highlight=False)
    console.print(" ".join(summary(comparison)), markup=False, highlight=False)
    for card in cards(comparison):
        if card.line:
            console.print(f"- {card.line}", markup=False, highlight=False)
    for caveat in warnings(comparison):
        text = f"[yellow]{escape(caveat.title)}[/]: {escape(caveat.text)}"
        console.print(text, highlight=False)
    for sentence in in_use.sentences(comparison):
        console.print(sentence, markup=False, highlight=False)
    rows = answers(comparison)
    table = plain_table()
    for i, text in enumerate(rows.header):
        table.add_column(text, justify="left" if i in rows.left else "right", no_wrap=True)
    for i, row in enumerate(rows.rows):
        table.add_row(*map(escape, row), style="bold green" if i == rows.strong else None)
    console.print()
    print_table(console, table, COLUMNS)
    console.print()
    console.print(f"Written to {folder.child(HTML_FILE).uri}", markup=False, highlight=False,
                  soft_wrap=True)  # fmt: skip
    command = shlex.join([*words_that_start("predict"), "IMAGE", "--model", typed_path(model.uri)])
    print_steps([NextStep("classes of other images", command)], console)
