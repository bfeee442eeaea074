import os
import subprocess
import sys

import pytest

from tune_jobs.cluster.config import CLUSTER_FILE, ROOT


@pytest.mark.parametrize(
    ("words", "reason"),
    [(["--lr", "0"], "above 0"), (["--nonsense", "1"], "--nonsense")],
)
def test_a_job_that_is_refused_on_a_head_says_that_the_cluster_is_still_up(words, reason, tmp_path):
    (tmp_path / "ray_bootstrap_config.yaml").write_text(CLUSTER_FILE.read_text())
    done = subprocess.run(
        [sys.executable, "tune_jobs/lr_grid.py", *words], cwd=ROOT, check=False,
        env=os.environ | {"HOME": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert reason in done.stderr
    assert done.stderr.count("Cluster bakeoff is still up ($0.10 per hour when idle)") == 1
    assert "ray down cluster.yaml" in done.stderr
