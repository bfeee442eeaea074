"""Runs in object stores: Amazon's by moto, Google's by an emulator of its interface."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pyarrow as pa
import pytest

import bakeoff
from tests.amazon_storage import amazon_bucket
from tests.processes import free_port, wait_until
from tests.tune_jobs.conftest import command_line
from tests.tune_jobs.runs import write_tables
from trainables.errors import InputError
from tune_jobs.analysis.results import load_epochs, load_run, load_runs, load_trials
from tune_jobs.cluster.config import ROOT
from tune_jobs.compare import compare
from tune_jobs.run_folder.folder import RunFolder


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def amazon(patch):
    """Address of a server with a bucket, and what leads pyarrow to it."""
    with amazon_bucket(patch) as address:
        yield address


@pytest.fixture(scope="module")
def google(patch):
    """Address of a server with a bucket, and what leads pyarrow to it."""
    address = "127.0.0.1", free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.tune_jobs.google_storage", str(address[1])], cwd=ROOT
    )
    assert wait_until(lambda: answers(address), "answer", server)
    patch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", "http://{}:{}".format(*address))
    yield "{}:{}".format(*address)
    server.kill()
    server.wait()


def answers(address):
    try:
        socket.create_connection(address).close()
    except OSError:
        return False
    return True


def in_query(scheme, address):
    """Return a URI with the address of the store, as stores of other vendors need."""
    return f"{scheme}bucket/query?scheme=http&endpoint_override={address}"


@pytest.fixture(params=["s3", "s3 in the query", "gs", "gs in the query"])
def uri(request, amazon, google):
    return {
        "s3": "s3://bucket/runs",
        "s3 in the query": in_query("s3://", amazon),
        "gs": "gs://anonymous@bucket/runs",
        "gs in the query": in_query("gs://anonymous@", google),
    }[request.param]


def test_a_folder_keeps_what_is_written(uri):
    folder = RunFolder.at(uri).child("a-run")
    assert not folder.has("run.json")
    assert folder.names() == []
    folder.make()
    folder.write("run.json", b"old")
    folder.write("run.json", b"new")
    trial = folder.child("lr=0.1")
    trial.make()
    trial.write("weights", bytes(6_000_000))
    assert sorted(folder.names()) == ["lr=0.1", "run.json"]
    # Another node has nothing but the URI.
    there = RunFolder.at(folder.uri)
    assert there.name == "a-run"
    assert there.read("run.json") == b"new"
    assert RunFolder.at(trial.uri).read("weights") == bytes(6_000_000)
    assert RunFolder.at(trial.parent.uri).path == folder.path
    folder.clear("lr=0.1", "none")
    assert there.names() == ["run.json"]
    folder.write_rows("t.parquet", [{"epoch": 1}], pa.schema({"epoch": pa.int64()}))
    assert there.read_rows("t.parquet") == [{"epoch": 1}]


def test_a_slash_at_the_end_is_none_in_the_middle(uri):
    address, mark, query = uri.partition("?")
    folder = RunFolder.at(f"{address}/{mark}{query}")
    assert folder.uri == uri
    folder.child("b-run").make()
    assert RunFolder.at(folder.child("b-run").uri).names() == []


def test_the_runs_of_a_store_are_listed(uri, tmp_path):
    local = write_tables(tmp_path / "listed", {"lr=0.1": [0.5]})
    there = RunFolder.at(uri).child("listed")
    there.make()
    for file in local.iterdir():
        there.write(file.name, file.read_bytes())
    row = load_runs(uri).set_index("run").loc["listed"]
    assert (row["score"], row["dataset"]) == (0.5, "digits")
    assert bakeoff.Run(there.uri).trials["trial"].tolist() == ["lr=0.1"]


class Denies(BaseHTTPRequestHandler):
    """A store that denies access to everybody."""

    def do_HEAD(self):
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD  # noqa: N815

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture(scope="module")
def denied(amazon):
    with ThreadingHTTPServer(("127.0.0.1", 0), Denies) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"s3://bucket/runs?scheme=http&endpoint_override=127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    "use",
    [
        lambda folder: folder.has("run.json"),
        lambda folder: folder.names(),
        lambda folder: folder.read("run.json"),
        lambda folder: folder.make(),
        lambda folder: load_run(folder.uri),
    ],
    ids=["has", "names", "read", "make", "load"],
)
def test_a_store_that_denies_is_one_message(use, denied):
    with pytest.raises(InputError, match=r"(?s)runs.*ACCESS_DENIED.*(read|write) permission"):
        use(RunFolder.at(denied))


WORDS = ["--lr", "1e-3", "1e-4", "--epochs", "12", "--image-size", "8", "--name", "grid",
         "--max-concurrent", "1"]  # fmt: skip


def grid(storage, *words):
    """Start the job in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "tune_jobs/lr_grid.py", *WORDS, "--storage-path", storage, *words],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def finish(job):
    output, _ = job.communicate(timeout=120)
    assert job.returncode == 0, output
    return output


def epochs_of(run):
    costs = ["seconds", "images_per_second", "peak_memory_mb"]
    return load_epochs(run).drop(columns=costs).sort_values(["trial", "epoch"], ignore_index=True)


def count(folder):
    with contextlib.suppress(InputError):  # read while it is replaced
        return len(load_epochs(folder.uri)) if folder.has("epochs.parquet") else 0
    return 0


@pytest.fixture(scope="module")
def on_disk(local_ray, command, tmp_path_factory):
    """The same grid in a folder of this machine."""
    storage = tmp_path_factory.mktemp("runs")
    assert command(*WORDS, "--storage-path", storage) == 0
    return storage / "grid"


@pytest.mark.faults
@pytest.mark.parametrize("uri", ["s3 in the query", "gs"], indirect=True)
def test_a_killed_run_resumes_to_the_result_of_a_disk(uri, on_disk, tmp_path):
    job, run = grid(uri), RunFolder.at(uri).child("grid")
    assert wait_until(lambda: count(run), "epochs", job)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    assert load_run(run.uri)["status"] == "running"
    assert "Written to" in finish(grid(uri, "--resume"))
    hashes = load_trials(on_disk)["weights_sha256"]
    assert load_trials(run.uri)["weights_sha256"].equals(hashes)
    pd.testing.assert_frame_equal(epochs_of(run.uri), epochs_of(on_disk))
    assert command_line(compare)(run.uri, "--output", tmp_path / "out") == 0
