import io
import re

import pytest
from rich.console import Console

from tune_jobs.command_line.terminal import plain_table, print_table

LONG = "timm:mobilenetv4_conv_medium.e500_r224_in1k"


def printed(width, terminal, droppable=("licence", "latency")):
    table = plain_table()
    for heading in ("network", "accuracy", "licence", "latency"):
        table.add_column(heading, no_wrap=True)
    table.add_row(LONG, "87.62% (86.01% to 89.24%)", "apache-2.0", "12.5 ms")
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system=None)
    print_table(console, table, droppable)
    return re.sub(r"\x1b\[\d*m", "", file.getvalue())


@pytest.mark.parametrize("width", [40, 100, 300])
def test_a_file_gets_every_cell_whole(width):
    text = printed(width, terminal=False)
    assert len(text.splitlines()) == 2
    assert all(word in text for word in (LONG, "89.24%)", "apache-2.0", "12.5 ms"))
    assert "…" not in text


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (120, {"network", "accuracy", "licence", "latency"}),
        (85, {"network", "accuracy", "latency"}),
        (75, {"network", "accuracy"}),
    ],
)
def test_a_narrow_terminal_goes_without_columns_in_their_order(width, headings):
    first, second, *rest = printed(width, terminal=True).splitlines()
    dropped = [each for each in ("licence", "latency") if each not in headings]
    assert " ".join(rest).startswith(f"without {', '.join(dropped)}: " if dropped else "")
    assert set(first.split()) == headings
    assert LONG in second
    assert "…" not in second


def test_a_narrow_column_stays_where_a_wide_one_that_went_left_room():
    first, _, said = printed(80, terminal=True, droppable=("latency", "licence")).splitlines()
    assert first.split() == ["network", "accuracy", "latency"]
    assert said.startswith("without licence: ")


@pytest.mark.parametrize("width", [30, 50, 60])
def test_a_terminal_too_narrow_for_any_table_has_each_row_below_its_name(width):
    name, *rest = printed(width, terminal=True).splitlines()
    assert name == LONG  # which the terminal wraps
    assert " ".join(" ".join(rest).split()).startswith("accuracy 87.62% (86.01% to 89.24%) without")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_column_without_content_is_left_out(terminal):
    table = plain_table()
    for heading in ("network", "behind", "latency"):
        table.add_column(heading)
    table.add_row("resnet18", "", "12.5 ms")
    file = io.StringIO()
    print_table(Console(file=file, width=80, force_terminal=terminal), table)
    assert "behind" not in file.getvalue()
    assert "latency" in file.getvalue()
