"""A run whose storage is S3, by moto's server: killed, resumed, read and compared."""

import os
import signal
import socket
import subprocess
import sys

import boto3
import pytest

from tests.cluster.grids import epochs_of, wait_for
from tune_jobs.analysis.frames import load_comparison
from tune_jobs.analysis.results import load_epochs, load_run, load_trials
from tune_jobs.cluster.config import ROOT
from tune_jobs.storage import RunFolder

pytestmark = pytest.mark.cluster

GRID = ("tune_jobs/lr_grid.py", "--image-size", 8, "--lr", 1e-3, 1e-4, "--precision", "fp32",
        "--epochs", 40, "--name", "grid")  # fmt: skip


@pytest.fixture(scope="module")
def bucket():
    """An empty bucket, which this process and those that it starts have the credentials of."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 30)
        boto3.client("s3").create_bucket(Bucket="bucket")
        yield "s3://bucket/bakeoff"
    server.kill()
    server.wait()


def job(*words, **options):
    command = [sys.executable, *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, **options)


def test_a_killed_run_on_s3_goes_on_and_is_compared(bucket, tmp_path):
    assert job(*GRID, "--storage-path", tmp_path).wait(200) == 0
    run = f"{bucket}/grid"
    killed = job(*GRID, "--storage-path", bucket, start_new_session=True)
    folder = RunFolder.at(run)
    wait_for(lambda: folder.has("epochs.parquet") and len(load_epochs(run)) > 15, 120)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert load_run(run)["status"] == "running"
    assert job(*GRID, "--storage-path", bucket, "--resume").wait(200) == 0
    assert set(load_trials(run)["status"]) == {"finished"}
    assert epochs_of(run).equals(epochs_of(tmp_path / "grid"))
    compared = job("tune_jobs/compare.py", run, "--output", "s3://bucket/comparison")
    assert compared.wait(200) == 0
    here = job("tune_jobs/compare.py", tmp_path / "grid", "--output", tmp_path / "comparison")
    assert here.wait(200) == 0
    remote, local = (load_comparison(p)["accuracy"].tolist()
                     for p in ("s3://bucket/comparison", tmp_path / "comparison"))  # fmt: skip
    assert remote == local
    assert RunFolder.at(bucket).child(".test-openings").names()


def test_a_bucket_that_is_not_there_is_one_message(bucket, tmp_path):
    log = tmp_path / "log"
    with log.open("w") as file:
        code = job(*GRID, "--storage-path", "s3://nowhere/runs", stderr=file).wait(200)
    assert code == 2
    assert "Bucket 'nowhere' not found" in log.read_text()
    assert "Traceback" not in log.read_text()
