"""What a run suggests is typed as the run was."""

import shlex
import sys
from types import SimpleNamespace

import pytest

from tune_jobs.command_line.invocation import words_that_start


@pytest.fixture
def called(monkeypatch, tmp_path):
    """Let this process seem to be started in some form; returns the words that start a job."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "bakeoff"
    program.write_text("")
    program.chmod(0o755)

    def words(script, module=None, path="/nowhere", job="compare"):
        main = SimpleNamespace(__spec__=module and SimpleNamespace(name=module))
        monkeypatch.setitem(sys.modules, "__main__", main)
        monkeypatch.setattr("sys.argv", [script.format(tmp=tmp_path), "--lr", "1"])
        monkeypatch.setattr("sys.orig_argv", ["python3", "…"])
        monkeypatch.setenv("PATH", path.format(tmp=tmp_path))
        return shlex.join(words_that_start(job)).replace(str(tmp_path), "TMP")

    return words


def test_a_script_suggests_the_script_beside_it(called):
    assert called("tune_jobs/lr_grid.py") == "python3 tune_jobs/compare.py"


def test_a_module_suggests_a_module(called):
    typed = called("/somewhere/tune_jobs/lr_grid.py", "tune_jobs.lr_grid")
    assert typed == "python3 -m tune_jobs.compare"
    typed = called("/somewhere/tune_jobs/__main__.py", "tune_jobs.__main__", job="optuna_search")
    assert typed == "python3 -m tune_jobs search"


def test_the_console_command_suggests_itself_as_it_is_found(called):
    assert called("{tmp}/bin/bakeoff", path="{tmp}/bin") == "bakeoff compare"
    assert called("{tmp}/bin/bakeoff") == "TMP/bin/bakeoff compare"


@pytest.mark.parametrize("script", ["notebook", "elsewhere/own.py"])
def test_any_other_program_suggests_modules(called, script):
    assert called(script) == "python3 -m tune_jobs.compare"


def test_a_job_without_a_script_is_a_module(called):
    assert called("tune_jobs/lr_grid.py", job="cluster") == "python3 -m tune_jobs.cluster"
