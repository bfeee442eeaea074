"""The job: read a source, say what was found, write the page."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from trainables.sources import describe
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.command_line.terminal import open_console, plain_table, print_table
from tune_jobs.data_check.findings import Finding, worst_first
from tune_jobs.data_check.image_checks import IMAGE_CHECKS
from tune_jobs.data_check.inspection import Inspection, inspect
from tune_jobs.data_check.options import CheckOptions
from tune_jobs.data_check.page import check_output, class_table, verdict, write_page
from tune_jobs.data_check.split_checks import SPLIT_CHECKS

COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}
SHOWN_CLASSES = 20
"""Number of classes that the terminal shows."""
SHOWN_EXAMPLES = 3
"""Number of examples of warnings and notes that the terminal shows."""


def run(command: CommandLine[CheckOptions]) -> int:
    """Check a source, and print and write what was found.

    Returns:
        1 if a comparison would be wrong, else 0.

    Raises:
        InputError: the source cannot be read, or the page cannot be written.
    """
    check_output(command.options.page)
    console = open_console()
    inspection = inspect(command.options, console)
    checks = *SPLIT_CHECKS, *IMAGE_CHECKS
    findings = worst_first([found for check in checks if (found := check(inspection))])
    for line in describe(inspection.listing):
        console.print(line, highlight=False, markup=False)
    print_classes(inspection, console)
    for finding in findings:
        print_finding(finding, console)
    page = write_page(inspection, findings, command.text)
    wrong = any(finding.severity == "error" for finding in findings)
    style = "bold red" if wrong else "bold"
    console.print(f"\n{verdict(findings)}", style=style, highlight=False, markup=False)
    console.print(f"Page: {page}", highlight=False, markup=False, soft_wrap=True)
    return int(wrong)


def print_classes(inspection: Inspection, console: Console) -> None:
    """Print the images of the largest classes in each split."""
    whole = class_table(inspection)
    table = plain_table()
    for i, name in enumerate(whole.header):
        table.add_column(name, justify="right" if i else "left", no_wrap=True)
    for row in whole.rows[:SHOWN_CLASSES]:
        table.add_row(*map(escape, row))
    console.print()
    print_table(console, table)
    more = len(whole.rows) - SHOWN_CLASSES
    if more > 0:
        console.print(f"and {more:,} smaller classes", highlight=False)


def print_finding(finding: Finding, console: Console) -> None:
    """Print a finding: what it is, what it means and what mends it."""
    colour = COLOURS[finding.severity]
    console.print(
        f"\n[bold {colour}]{finding.severity}[/] [bold]{escape(finding.title)}[/]", highlight=False
    )
    console.print(escape(finding.text), highlight=False)
    shown = finding.examples
    if finding.severity != "error":
        shown = shown[:SHOWN_EXAMPLES]
    for example in shown:
        console.print(f"  {example}", highlight=False, markup=False, soft_wrap=True)
    more = finding.total - len(shown)
    if shown and more > 0:
        console.print(f"  and {more:,} more", highlight=False)
