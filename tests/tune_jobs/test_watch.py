"""The page of a run: bakeoff watch."""

import contextlib
import dataclasses
import http.client
import threading
from datetime import datetime, timedelta, timezone

import pytest

from tests.tune_jobs.conftest import command_line
from tests.tune_jobs.runs import edit_record, edit_trials, write_tables
from trainables.errors import InputError
from tune_jobs.analysis.results import load_runs
from tune_jobs.analysis.run_page import run_page
from tune_jobs.command_line.stored import options_of_record
from tune_jobs.lr_grid import GridOptions
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.tuning.pilot import Plan
from tune_jobs.tuning.plan import PLANS_FOLDER, plan_file
from tune_jobs.watch import page_of, planned_seconds, server, watch


@pytest.fixture
def runs(tmp_path):
    """A storage folder with a run of three trials."""
    scores = {"lr=0.1": [0.4, 0.6, 0.5, 0.5], "lr=0.01": [0.5] * 4, "lr=0.001": [0.1] * 4}
    write_tables(tmp_path / "runs" / "lr-grid", scores)
    return tmp_path / "runs"


@contextlib.contextmanager
def running(run, minutes=3):
    """Make a run look as if it had started some minutes ago, with one trial left to train.

    After the context it looks as if its driver had been killed.
    """
    started = datetime.now(timezone.utc) - timedelta(minutes=minutes)
    edit_record(run, status="running", started=started.isoformat(), ended=None)

    def change(row):
        return row | ({"status": "running", "epochs": 1} if row["trial"] == "lr=0.001" else {})

    edit_trials(run, change)
    with RunFolder.at(run).lock():
        yield


def test_a_finished_run_is_one_page(runs, tmp_path, capfd):
    page = tmp_path / "page.html"
    assert command_line(watch)(runs / "lr-grid", "--output", page) == 0
    text = page.read_text()
    assert "lr-grid has finished: 3 of 3 trials have ended" in text
    assert text.count('<th scope="row">') == 3
    assert text.count("<svg") == 1
    assert 'http-equiv="refresh"' not in text
    assert 'src="http' not in text
    assert capfd.readouterr().out == f"Written to {page}\n"
    assert command_line(watch)(runs / "lr-grid", "--output", page) == 0  # over the page itself


def test_a_run_that_is_training_is_read_again(runs):
    with running(runs / "lr-grid"):
        text = page_of(str(runs / "lr-grid"), 7)
    assert '<meta http-equiv="refresh" content="7">' in text
    assert "lr-grid is running: 2 of 3 trials have ended" in text
    assert "9 of 12" in text  # one trial has three epochs left
    assert "planned by --plan" not in text


def test_a_run_whose_driver_was_killed_is_not_waited_for(runs, tmp_path, capfd):
    with running(runs / "lr-grid"):
        pass
    page = tmp_path / "page.html"
    assert command_line(watch)(runs / "lr-grid", "--output", page) == 0
    assert "lr-grid was interrupted: 2 of 3 trials have ended" in page.read_text()
    assert "Interrupted. To resume:" in capfd.readouterr().out


def test_the_plan_of_a_run_stands_beside_its_time(runs):
    run = RunFolder.at(runs / "lr-grid")
    assert planned_seconds(run.uri) is None
    plan = Plan(trials=3, epochs=4, share=1.0, slots=1, at_once=1, start_s=0.0, epoch_s=50.0,
                checkpoint_mb=1.0, memory_mb={})  # fmt: skip
    kept = run.parent.child(PLANS_FOLDER)
    kept.make()
    options = options_of_record(GridOptions, run.read_record(), run)
    kept.write_json(plan_file(options), dataclasses.asdict(plan))
    assert planned_seconds(run.uri) == 600
    with running(runs / "lr-grid", minutes=5):
        assert "50% of it have passed" in page_of(run.uri, 5)


def test_a_run_without_an_epoch_has_a_page(runs):
    for name in ("trials.parquet", "epochs.parquet"):
        (runs / "lr-grid" / name).unlink()
    text = run_page(runs / "lr-grid")
    assert "No epoch has ended yet." in text
    assert "No trial has a score yet." in text


def test_trials_in_their_first_epoch_are_named(tmp_path):
    run = write_tables(
        tmp_path / "run", {"lr=0.1": [], "lr=0.01": []}, status="running", ended=None
    )
    edit_trials(run, lambda row: row | {"status": "running"})
    with RunFolder.at(run).lock():
        assert "No epoch has ended yet. lr=0.1 and lr=0.01 are training." in run_page(run)


def test_trials_of_one_epoch_have_no_curves(tmp_path):
    run = write_tables(tmp_path / "run", {"C=1": [0.5], "C=10": [0.6]}, about=["9 images of cats"])
    text = run_page(run)
    assert "<svg" not in text
    assert "9 images of cats" in text


def test_a_run_in_which_every_trial_has_failed_has_failed(tmp_path):
    run = write_tables(tmp_path / "run", {"lr=0.1": []})
    edit_trials(run, lambda row: row | {"status": "failed"})
    assert "run has failed: 1 of 1 trial have ended" in run_page(run)
    assert load_runs(run)["status"].tolist() == ["failed"]


def test_names_are_escaped(runs):
    edit_trials(runs / "lr-grid", lambda row: row | {"trial": "<script>" + row["trial"]})
    edit_record(runs / "lr-grid", command="<script>")
    assert "<script>" not in run_page(runs / "lr-grid")


def answer(port, host, path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", path, headers={"Host": host})
    response = connection.getresponse()
    return response.status, response.read().decode()


def test_the_page_is_served_on_this_machine_alone(runs, capfd):
    run = runs / "lr-grid"
    with server(lambda: page_of(str(run), 5), 0) as served:
        assert served.server_address[0] == "127.0.0.1"
        threading.Thread(target=served.serve_forever, daemon=True).start()
        port = served.server_address[1]
        with pytest.raises(InputError, match=f"--port {port} cannot be used"):
            server(str, port)
        status, text = answer(port, f"localhost:{port}")
        assert (status, "3 of 3 trials" in text) == (200, True)
        assert answer(port, f"evil.example:{port}")[0] == 404  # a name that leads to 127.0.0.1
        assert answer(port, f"127.0.0.1:{port}", "/run.json")[0] == 404
        (run / "run.json").write_text("<b>")
        status, text = answer(port, f"127.0.0.1:{port}")
        assert status == 503
        assert "is damaged" in text
        served.shutdown()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["no run is given", "watch runs/lr-grid"]),
        (["{run}", "--output", "{run}/run.json"], ["run.json exists and is no page of this job"]),
        (["/nowhere"], ["/nowhere is not a run folder"]),
        (["{run}", "--every", 0], ["--every is 0"]),
        (["{run}", "--port", 70000], ["--port is 70000"]),
        (["{run}", "--output", "/nowhere/page.html"], ["--output /nowhere/page.html", "written"]),
    ],
)
def test_what_cannot_be_watched_is_one_message(arguments, words, runs, assert_one_message):
    given = [str(word).format(run=runs / "lr-grid") for word in arguments]
    assert command_line(watch)(*given) == 2
    assert_one_message(words)
