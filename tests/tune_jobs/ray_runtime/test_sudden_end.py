import subprocess
import sys

import pytest

from tune_jobs.cluster.config import ROOT

CODE = """
import os, signal
from tune_jobs.ray_runtime.sudden_end import last_words
with last_words("to resume: 'runs/a b' %s"):
    {end}
"""


@pytest.mark.parametrize(
    ("end", "printed"),
    [
        ("os._exit(1)", "to resume: 'runs/a b' %s\n"),
        ("os.killpg(0, signal.SIGKILL)", "to resume: 'runs/a b' %s\n"),
        ("pass", ""),
        ("raise SystemExit(3)", ""),
    ],
    ids=["ended by a library", "killed with its group", "ended", "ended by an exception"],
)
def test_last_words_are_those_of_a_process_that_says_nothing_itself(end, printed):
    job = subprocess.run(
        [sys.executable, "-c", CODE.format(end=end)],
        cwd=ROOT, capture_output=True, text=True, start_new_session=True, check=False,
    )  # fmt: skip
    assert job.stderr == printed
