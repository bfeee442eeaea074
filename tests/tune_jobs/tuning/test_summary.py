from types import SimpleNamespace

import pytest
from rich.console import Console

from tune_jobs.command_line.options import RunOptions
from tune_jobs.tuning.summary import resumable


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("disk full")])
@pytest.mark.parametrize("exists", [True, False])
def test_whatever_ends_a_run_the_command_that_resumes_it_is_printed(error, exists, capsys):
    run = SimpleNamespace(
        console=Console(),
        command=SimpleNamespace(script="lr_grid.py"),
        folder=SimpleNamespace(name="mine", has=lambda file: exists),
        options=SimpleNamespace(run=RunOptions(storage_path="my runs")),
    )
    with pytest.raises(type(error)), resumable(run):
        raise error
    printed = capsys.readouterr().out
    command = "python lr_grid.py --name mine --resume --storage-path 'my runs'"
    assert (command in printed) == exists
