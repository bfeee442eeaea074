"""How a job ends that a person, a machine or a fault of ours ends."""

import errno
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from tune_jobs.command_line.entry_point import main


@pytest.fixture
def ended(capfd, monkeypatch, tmp_path):
    """Run a job that raises an error, and return the exit code and what was printed."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def run(error):
        def job():
            raise error

        with pytest.raises(SystemExit) as end:
            main(job)
        return end.value.code, capfd.readouterr().err

    return run


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/a"), ["No space", "(runs/a)"]),
        (OSError(errno.ENOSPC, "Error writing bytes to file"), ["Error writing"]),
        (OSError("no number"), ["no number"]),
        (PermissionError(errno.EACCES, "Permission denied", "x"), ["(x)", "permission"]),
        (OSError(errno.EROFS, "Read-only file system", "x"), ["XDG_CACHE_HOME"]),
        (FileNotFoundError(errno.ENOENT, "No such file", "x"), ["deleted or moved"]),
        (OSError(errno.EMFILE, "Too many open files"), ["ulimit -n"]),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset"), ["start the job again"]),
        (MemoryError(), ["memory"]),
        (caused(RuntimeError("of a library"), OSError(errno.ENOSPC, "No space")), ["No space"]),
        (caused(RuntimeError("commit"), OperationalError("insert", {}, Exception("disk is full"))),
         ["database failed", "disk is full"]),
    ],
)  # fmt: skip
def test_what_the_machine_causes_is_one_message(error, words, ended):
    code, printed = ended(error)
    assert code == 2
    assert all(word in printed for word in words)
    assert printed.count("\n") == 1


def test_a_fault_of_ours_says_so_with_the_file_to_report(ended):
    code, printed = ended(KeyError("lr\x1b[2J"))
    assert code == 3
    assert "this is a fault of bakeoff (KeyError" in printed
    assert "CONTRIBUTING.md" in printed
    assert printed.count("\n") == 1
    assert "\x1b" not in printed
    (file,) = re.findall(r"the file (\S+)", printed)
    assert "Traceback" in Path(file).read_text()


@pytest.mark.parametrize("ctrl_c", [signal.default_int_handler, signal.SIG_IGN])
def test_sigterm_ends_a_job_as_ctrl_c_does(ctrl_c, capfd):
    """Also in the background of a script, where Ctrl-C is ignored."""

    def job():
        signal.raise_signal(signal.SIGTERM)
        return sum(range(1_000_000))  # Python calls handlers between its instructions

    before = signal.getsignal(signal.SIGTERM)
    usual = signal.signal(signal.SIGINT, ctrl_c)
    try:
        with pytest.raises(SystemExit) as end:
            main(job)
    finally:
        signal.signal(signal.SIGINT, usual)
    assert end.value.code == 130
    assert "interrupted" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_job_goes_on_when_the_reader_of_its_output_has_gone_away(capfd, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    written = []

    def job():
        for _ in range(3):
            sys.stdout.write("x" * 100_000)  # more than the buffer
            written.append("a line")
        return 0

    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(SystemExit) as end:
            main(job)
    assert end.value.code == 0
    assert len(written) == 3
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_output_on_a_full_disk_is_one_message(capfd, monkeypatch):
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as end:
            main(lambda: sys.stdout.write("a line") * 0)
    assert end.value.code == 2
    assert "No space left" in capfd.readouterr().err
