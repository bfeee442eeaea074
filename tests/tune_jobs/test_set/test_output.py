import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tune_jobs.analysis.comparison_results import COMPARISON_FILE, RUNS_KEY
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.test_set.options import CompareOptions
from tune_jobs.test_set.output import output_of

WHEN = "2026-11-27T09:10:00+00:00"


def write_comparison(folder, runs=None):
    """Write the mark of a comparison; earlier versions did not write the runs."""
    folder.mkdir()
    about = {RUNS_KEY: json.dumps({"runs": runs, "when": WHEN})} if runs else {}
    table = pa.table({"model": ["a"]}).replace_schema_metadata(about)
    pq.write_table(table, folder / COMPARISON_FILE)


def output(*words, runs=("a", "b"), **options):
    command = CommandLine(CompareOptions(runs=runs, **options), ("compare", *words), 0.0)
    folder, text = output_of(command)
    return folder.name, text


def test_a_comparison_of_other_runs_is_kept_and_one_of_the_same_is_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert output() == ("comparison", "")
    write_comparison(tmp_path / "comparison", [*mine, "c"])
    name, text = output()
    assert name == "comparison-2"
    assert text == "comparison has the comparison of other runs: this one goes to comparison-2."
    write_comparison(tmp_path / "comparison-2", mine)
    name, text = output(runs=("b", "a"))
    assert name == "comparison-2"
    assert "the same runs of 2026-11-27 09:10 UTC, which this one replaces" in text


@pytest.mark.parametrize(("runs", "words"), [(["c"], "comparison of c"), (None, "unknown runs")])
def test_a_given_folder_is_replaced_with_a_word(runs, words, tmp_path):
    write_comparison(tmp_path / "out", runs)
    name, text = output("--output", "out", output=str(tmp_path / "out"))
    assert name == "out"
    assert words in text
