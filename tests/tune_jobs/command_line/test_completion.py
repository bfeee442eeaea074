import shutil
import subprocess

import pytest

from tests.tune_jobs.command_line.job_options import OPTIONS
from trainables.errors import InputError
from tune_jobs.command_line.completion import completion_script

LINES = {
    "bakeoff lr": "lr-grid",
    "bakeoff finetune --ep": "--epochs",
    "bakeoff lr-grid --recipe f": "fast",
    "bakeoff finetune --mode full g": "gradual",
    "bakeoff lr-grid --lr 1e-2 1e-3 1e-4 1e-5 1e-6 1e-7 1e-8 1e-9 --recipe f": "fast",
    "bakeoff search --sampler q": "qmc",
    "bakeoff compare ru": "",  # for the shell's own completion of files
    "bakeoff cluster ch": "",
}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_shell_completes_jobs_options_and_values():
    script = completion_script("bash", {**OPTIONS, "cluster": None})
    for line in LINES:
        script += f"COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()\n"
        script += '_bakeoff; echo "${COMPREPLY[*]}"\n'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == list(LINES.values())


def test_the_script_for_zsh_loads_what_runs_that_for_bash():
    assert "bashcompinit" in completion_script("zsh", OPTIONS).splitlines()[0]


def test_an_unknown_shell_is_refused():
    with pytest.raises(InputError, match="must be bash or zsh"):
        completion_script("", {})
