"""Searches whose driver is killed, and searches in a real PostgreSQL; `pytest -m faults`."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

from tests.processes import free_port, wait_until
from tune_jobs.analysis.results import load_run, load_trials
from tune_jobs.cluster.config import ROOT

pytestmark = pytest.mark.faults

KILLS, TRIALS = 5, 14
SCRIPT = ROOT / "tune_jobs" / "optuna_search.py"
SPACE = "lr: {low: 1e-4, high: 1e-2, log: true}\nmodel.widths: {choices: [[4, 8], [8, 16]]}\n"


# Kills


@pytest.fixture
def driver(tmp_path):
    """Start the search as a process of its own; what is left of it goes with the test."""
    (tmp_path / "space.yaml").write_text(SPACE)
    started = []

    def start(*arguments):
        log = (tmp_path / "driver.log").open("a")
        command = [SCRIPT, "--name", "killed", "--storage-path", tmp_path, *arguments]
        job = subprocess.Popen(
            [sys.executable, *map(str, command)],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        started.append(job)
        return job

    yield start
    for job in started:
        if job.poll() is None:
            kill(job)


def kill(job):
    """SIGKILL to the driver, and to the local Ray that it started."""
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()


def events(run):
    """How far a run has come: trials begun and checkpoints written, as one number."""
    return sum(1 for _ in run.glob("trial-*")) + sum(1 for _ in run.glob("trial-*/checkpoint_*"))


def after_seconds(seconds):
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def never():
    return False


def after_events(run, count):
    goal = events(run) + count
    return lambda: events(run) >= goal


def test_a_search_survives_kills_at_any_moment(driver, tmp_path, study_of):
    chance = random.Random(0)
    run = tmp_path / "killed"
    new = ["--space", tmp_path / "space.yaml", "--trials", TRIALS, "--epochs", 4]
    kills = 0
    job = driver(*new, "--max-concurrent", 2)
    wait_until((run / "run.json").exists, "run.json", job)
    for number in range(KILLS):
        # At any time, before Ray is up too; but before a fast machine is through with it all.
        early = after_seconds(chance.uniform(0, 10)) if number % 3 == 0 else never
        far = after_events(run, chance.randint(1, 3))
        wait_until(lambda early=early, far=far: early() or far(), "moment to kill at", job)
        if job.poll() is not None:
            break
        kill(job)
        kills += 1
        job = driver("--resume")
    assert kills == KILLS, "the search ended before it could be killed so often"
    log = tmp_path / "driver.log"
    assert job.wait(timeout=300) == 0, log.read_text()[-3000:]
    assert "Traceback" not in log.read_text()
    study = study_of(run)  # compares the states: none is RUNNING or WAITING
    trials = load_trials(run)
    assert len(trials) == len(study.trials) == TRIALS
    assert trials["trial"].is_unique
    assert set(trials["status"]) <= {"finished", "stopped"}
    assert load_run(run)["status"] == "finished"
    assert len(load_run(run)["resumed"]) <= kills


# PostgreSQL


def binaries():
    """The folder of PostgreSQL's programs, which Debian keeps off the PATH."""
    debian = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    on_path = shutil.which("initdb")
    return debian or (on_path and Path(on_path).resolve().parent)


@pytest.fixture(scope="module")
def postgres():
    """A PostgreSQL of this test; its host, port and database as in a URL."""
    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL is installed (apt-get install postgresql)")
    # It refuses to run as root; its folder lies where another user may go.
    prefix = []
    if os.getuid() == 0:
        prefix = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    made = subprocess.check_output([*prefix, "mktemp", "-d", "-p", "/tmp"], text=True)
    folder = Path(made.strip())
    port = free_port()

    def program(name, *arguments):
        command = [*prefix, programs / name, *arguments]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=120)

    program("initdb", "-D", folder / "data", "-U", "search", "-A", "trust", "--no-sync")
    settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    program("pg_ctl", "-D", folder / "data", "-o", settings, "-l", folder / "log", "-w", "start")
    try:
        yield f"search@127.0.0.1:{port}/postgres"
    finally:
        program("pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql"])
def test_a_study_in_postgresql_is_read_back_and_resumed(
    scheme, postgres, local_ray, search, tmp_path, study_of, capfd
):
    (tmp_path / "space.yaml").write_text(SPACE)
    url = f"{scheme}://{postgres}"
    name = scheme.replace("+", "-")
    options = ["--space", tmp_path / "space.yaml", "--smoke-test", "--trials", 3]
    where = ["--name", name, "--storage-path", tmp_path]
    assert search(*options, *where, "--optuna-storage", url) == 0
    run = tmp_path / name
    assert not (run / "optuna.db").exists()
    assert len(study_of(run, url).trials) == 3
    trials = load_trials(run)
    # The same name in another place would be the same study.
    elsewhere = ["--name", name, "--storage-path", tmp_path / "elsewhere"]
    capfd.readouterr()
    assert search(*options, *elsewhere, "--optuna-storage", url) == 2
    message = capfd.readouterr().err
    assert name in message
    assert "--resume" in message
    assert not (tmp_path / "elsewhere").exists()
    assert search(*where, "--resume") == 0
    pd.testing.assert_frame_equal(load_trials(run), trials)
    assert search(*where, "--extend", 1) == 0
    assert len(study_of(run, url).trials) == len(load_trials(run)) == 4


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_dashboard_reads_the_study(kind, request, local_ray, search, tmp_path):
    program = Path(sys.executable).parent / "optuna-dashboard"
    if not program.exists():
        pytest.skip("optuna-dashboard is not installed")
    (tmp_path / "space.yaml").write_text(SPACE)
    url, storage = f"sqlite:///{tmp_path}/shown/optuna.db", []
    if kind == "postgresql":
        url = f"postgresql+psycopg://{request.getfixturevalue('postgres')}"
        storage = ["--optuna-storage", url]
    options = ["--space", tmp_path / "space.yaml", "--smoke-test", "--trials", 3, *storage]
    assert search(*options, "--name", "shown", "--storage-path", tmp_path) == 0
    port = free_port()
    with (tmp_path / "dashboard.log").open("w") as log:
        dashboard = subprocess.Popen(
            [program, url, "--host", "127.0.0.1", "--port", str(port)], stdout=log, stderr=log
        )

    def get(path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return json.load(answer)
        except OSError:
            return None

    try:
        studies = wait_until(lambda: get("/api/studies"), "answer", dashboard, 60)
        (shown,) = [s for s in studies["study_summaries"] if s["study_name"] == "shown"]
        detail = get(f"/api/studies/{shown['study_id']}")
        states = [trial["state"] for trial in detail["trials"]]
        assert len(states) == 3
        assert set(states) <= {"Complete", "Pruned"}
    finally:
        dashboard.terminate()
        dashboard.wait(timeout=30)
