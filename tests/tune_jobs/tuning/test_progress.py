import io
import time

import pytest
from rich.console import Console

from trainables.config import TrialConfig
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.tuning import progress
from tune_jobs.tuning.recorder import Recorder


@pytest.fixture
def log(tmp_path):
    """A run of two trials whose output goes to a log, and that log."""
    recorder, log = Recorder(RunFolder.at(tmp_path)), io.StringIO()
    for name in ("a", "b"):
        recorder.configs[name] = TrialConfig(lr=1e-3, epochs=5)
        recorder.rows[name], recorder.epochs[name] = {"status": "pending"}, {}
    return progress.TerminalProgress(recorder, Console(file=log), lambda: 2, trials=2), log


def test_a_log_has_a_line_every_quarter_of_a_minute_though_no_epoch_ends(log, monkeypatch):
    callback, written = log
    assert written.getvalue() == "0/10 epochs  starting workers\n"
    now = time.monotonic()
    for seconds in range(0, 40, 5):
        monkeypatch.setattr(time, "monotonic", lambda: now + seconds)  # noqa: B023
        callback.on_step_end(seconds, [])
    assert len(written.getvalue().splitlines()) == 3
