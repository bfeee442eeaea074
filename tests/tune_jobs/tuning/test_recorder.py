import time
from types import SimpleNamespace

import pytest

from trainables.config import TrialConfig
from trainables.metrics import EPOCH_METRICS
from tune_jobs.run_folder.folder import TRIALS_FILE, RunFolder
from tune_jobs.tuning.recorder import WRITE_EVERY_S, Recorder

CONFIG = TrialConfig(lr=1e-3, epochs=1)


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder.at(tmp_path / "run")
    folder.make()
    return folder


def begun(folder):
    recorder = Recorder(folder)
    recorder.add("lr=0.001", CONFIG, parameters=9)
    return recorder


def write_and_be_killed_between_the_tables(recorder):
    write, written = RunFolder.write_rows, []

    def one_only(*arguments):
        if written:
            raise KeyboardInterrupt
        written.append(arguments)
        write(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "write_rows", one_only)
        with pytest.raises(KeyboardInterrupt):
            recorder.write(force=True)


def test_a_run_killed_while_its_tables_are_first_written_begins_again(folder):
    write_and_be_killed_between_the_tables(begun(folder))
    assert begun(folder).restore() == {"lr=0.001": None}


def test_a_trial_that_has_ended_in_the_tables_has_all_its_epochs_there(folder):
    recorder = begun(folder)
    recorder.write(force=True)
    epoch = dict.fromkeys(EPOCH_METRICS, 1.0) | {"epoch": 1}
    recorder.epochs["lr=0.001"] = recorder._epoch_rows("lr=0.001", [epoch])
    recorder.rows["lr=0.001"]["status"] = "finished"
    write_and_be_killed_between_the_tables(recorder)
    restored = begun(folder)
    restored.restore()
    assert not restored.rows["lr=0.001"]["status"].is_ended or restored.epochs["lr=0.001"]


def test_what_comes_too_soon_after_a_write_is_written_when_its_time_has_come(folder, monkeypatch):
    """A page of the run must not call a trial pending throughout its first epoch."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    recorder = begun(folder)
    recorder.write()
    recorder.on_trial_start(0, [], SimpleNamespace(config={"trial": {"name": "lr=0.001"}}))
    recorder.on_step_end(0, [])
    assert [row["status"] for row in folder.read_rows(TRIALS_FILE)] == ["pending"]
    now[0] += WRITE_EVERY_S
    recorder.on_step_end(0, [])
    assert [row["status"] for row in folder.read_rows(TRIALS_FILE)] == ["running"]
