"""The Python API: import bakeoff."""

import inspect
import os
import signal
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import ray
from PIL import Image

import bakeoff
from bakeoff.run import MOST_ROWS
from tests.tune_jobs.conftest import on_each_result
from tests.tune_jobs.runs import edit_trials, write_tables
from tune_jobs.analysis.repetition import repetition
from tune_jobs.analysis.results import load_run
from tune_jobs.command_line.options import RunOptions
from tune_jobs.command_line.terminal import open_console
from tune_jobs.lr_grid import GridOptions
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.tuning.job import FinishedRun, print_repetition

SMALL = {"lr": [1e-3, 3e-3], "epochs": 3, "smoke_test": True}
"""Options of a small run on the digits; --smoke-test shortens it to two epochs."""
HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def grid(local_ray, storage):
    """A run that was started inside the Ray of the caller."""
    before = [signal.getsignal(each) for each in HANDLED], list(sys.argv)
    run = bakeoff.lr_grid(**SMALL, storage_path=storage)
    assert ([signal.getsignal(each) for each in HANDLED], sys.argv) == before
    assert ray.is_initialized()
    return run


def test_a_job_returns_its_run(grid, storage):
    assert os.fspath(grid) == str(storage / "lr-grid")
    assert grid.trials["trial"].tolist() == ["lr=0.001", "lr=0.003"]
    assert len(grid.epochs) == 4
    assert grid.best["best/val_accuracy"] == grid.trials["best/val_accuracy"].max()
    assert grid.summary["status"] == "finished"
    assert grid.warnings == ["A smoke test: that everything works is all that its scores show"]
    command = f"bakeoff lr-grid --lr 0.001 0.003 --epochs=3 --smoke-test --storage-path={storage}"
    assert grid.record["command"] == command  # which does the same
    assert bakeoff.load_runs(storage)["run"].tolist() == ["lr-grid"]
    with pytest.raises(bakeoff.InputError, match="no objectives"):
        _ = grid.front


def test_a_notebook_shows_a_run_as_a_table_with_curves(grid, capfd):
    page = grid._repr_html_()
    assert "digits: 2 trials, finished, best validation accuracy" in page
    assert "sealed test images, 10 classes" in page
    assert page.count("<tr") == 3
    assert 'src="data:image/png;base64,' in page
    assert repr(grid).startswith(f"Run({str(grid.path)!r}): 2 trials, finished, best validation")
    assert len(grid.curves().axes) == 2
    assert grid.figures == {"curves": f"{grid.path}/curves.png"}
    assert capfd.readouterr() == ("", "")


def test_a_run_is_repeated_to_the_bit_from_a_thread_too(grid, storage, capfd):
    again = []
    options = {"from_run": grid, "storage_path": storage, "name": "again"}
    thread = threading.Thread(target=lambda: again.append(bakeoff.lr_grid(**options)))
    thread.start()
    thread.join()
    assert again[0].differences == []
    assert load_run(again[0].path)["options"]["training"] == grid.record["options"]["training"]
    assert again[0].record["given"] == sorted(
        {*grid.record["given"], "from_run", "storage_path", "name"}
    )
    assert "% |" not in capfd.readouterr().err  # a file gets no bar
    text = repetition(grid.path, again[0].path).text
    assert text.startswith(f"The same as {grid.path} to the bit: the weights and the tables of 2")


def test_a_repetition_that_differs_says_where_and_what_is_different(tmp_path):
    versions = {"versions": {"torch": "1.0", "ray": "2"}}
    scores = {"a": [0.1, 0.2], "b": [0.3, 0.4], "c": [0.5], "d": [0.6]}
    first = write_tables(tmp_path / "first", scores, **versions)
    again = write_tables(tmp_path / "again", scores | {"b": [0.3, 0.45]}, versions={"torch": "2.0"})
    edit_trials(again, lambda row: row | {
        "a": {"seconds": 9.0}, "c": {"weights_sha256": "f00d"}, "d": {"config/lr": 0.5}, "b": {},
    }[row["trial"]])  # fmt: skip
    found = repetition(first, again)
    assert found.different == {
        "b": "from epoch 2 on, val_accuracy 0.4 and now 0.45",
        "c": "weights_sha256 c and now f00d",
        "d": "config/lr 0.0001 and now 0.5",
    }
    assert found.around == ["torch (1.0 and now 2.0)", "ray (2 and now None)"]
    assert found.text.startswith(f"Not the same as {first}: 3 of 4 trials (b, c and d)\n  b: from")
    assert repetition(first, first).different == {}
    del scores["d"]
    fewer = write_tables(tmp_path / "fewer", scores, **versions)
    assert repetition(first, fewer).different == {"d": "only in the first run"}
    assert "nothing that run.json records differs" in repetition(first, fewer).text


def test_runs_are_compared(grid, tmp_path, capfd):
    comparison = bakeoff.compare(grid, output=tmp_path / "out")
    assert comparison.models["model"].tolist() == ["custom CNN"]
    assert comparison.chosen["run"] == grid.path
    assert len(comparison.predictions) == comparison.chosen["images"]
    assert comparison.answer[0] in repr(comparison)
    assert "accuracy" in comparison.figures
    page = comparison._repr_html_()
    assert "custom CNN" in page
    assert "report.html</a>" in page
    assert (tmp_path / "out" / "report.html").exists()
    assert capfd.readouterr().out == ""


def test_what_there_is_completes_and_what_there_is_not_is_told():
    assert dir(bakeoff) == sorted(bakeoff.__all__)
    assert {"lr_grid", "load_trials"} <= set(dir(bakeoff))
    with pytest.raises(AttributeError, match="command line alone: bakeoff check-data --help"):
        _ = bakeoff.check_data


def test_images_are_classified_with_a_run(grid, tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(tmp_path / "0.png")
    (tmp_path / "1.png").write_bytes(b"no image at all")
    frame = bakeoff.predict(tmp_path, model=grid)
    assert frame["predicted"].notna().tolist() == [True, False]
    assert "not an image" in frame["error"][1]
    with pytest.raises(bakeoff.InputError, match="--reject-above is 100"):
        bakeoff.predict(tmp_path / "0.png", model=grid, reject_above=100)
    with pytest.raises(bakeoff.InputError, match=r"no option modell: did you mean model\?"):
        bakeoff.predict(tmp_path / "0.png", modell=grid)


def test_an_interrupted_run_is_complete(grid, storage, monkeypatch):
    done = []

    def interrupt(trial, result):
        if result.get("epoch") == 1 and not done:
            done.append(trial)
            os.kill(os.getpid(), signal.SIGINT)

    on_each_result(monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"name='later', resume=True"):
        bakeoff.lr_grid(**SMALL, storage_path=storage, name="later")
    assert bakeoff.Run(storage / "later").summary["status"] == "interrupted"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": [1]}, "no option learning_rate: did you mean lr?"),
        ({"lr": [0]}, "learning rate 0"),
        ({"epochs": "many"}, "--epochs many"),
        ({"data": "/nowhere"}, "/nowhere"),
        ({"plan": True}, "plan trains nothing: give it on the command line"),
        ({"from_run": "/nowhere"}, "--from-run /nowhere is not a run folder"),
        ({"from_run": "{grid}", "seed": 5}, "--seed 5 differs from the run's 0.*repeated with"),
        ({"from_run": "{grid}", "name": "a", "resume": True}, "--from-run starts a new run"),
    ],
)
def test_what_is_wrong_is_one_error(options, message, grid, tmp_path):
    given = {n: v.format(grid=grid.path) if isinstance(v, str) else v for n, v in options.items()}
    with pytest.raises(bakeoff.InputError, match=message):
        bakeoff.lr_grid(**{"storage_path": tmp_path / "runs", **given})
    assert not (tmp_path / "runs").exists()


def test_the_images_may_be_given_without_the_name_of_the_option(tmp_path):
    with pytest.raises(bakeoff.InputError, match="nowhere"):
        bakeoff.shortlist(tmp_path / "nowhere", storage_path=tmp_path / "runs")


def test_a_run_is_repeated_by_its_own_job_alone(grid):
    with pytest.raises(bakeoff.InputError, match="is a run of lr-grid, and finetune repeats only"):
        bakeoff.finetune(from_run=grid)
    with pytest.raises(bakeoff.InputError, match="repeats no run"):
        _ = grid.differences


def test_the_terminal_says_whether_a_run_was_repeated(tmp_path, capfd):
    first = write_tables(tmp_path / "first", {"a": [0.1]})
    run = SimpleNamespace(
        folder=RunFolder.at(first), options=GridOptions(run=RunOptions(from_run=str(first)))
    )
    finished = FinishedRun(run, {"status": "finished"}, None)
    print_repetition(finished, open_console())
    (first / "trials.parquet").write_text("damaged")
    print_repetition(finished, open_console())
    same, lost = capfd.readouterr().out.split("\n\n")
    assert same.strip().startswith(
        f"The same as {first} to the bit: the weights and the tables of 1"
    )
    assert "cannot be read any more" in lost


def test_the_signature_of_a_function_names_every_option():
    options = inspect.signature(bakeoff.finetune).parameters
    assert options["models"].default[0] == "resnet18"
    assert options["data"].default == "digits"
    assert options["data"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert {"from_", "lr", "batch_size", "storage_path"} <= set(options)
    assert not {"plan", "space_print", "write_config"} & set(options)
    assert list(inspect.signature(bakeoff.compare).parameters)[:2] == ["runs", "seeds"]
    assert set(bakeoff.__all__) <= {*dir(bakeoff), *(n for n in bakeoff.__all__ if "load_" in n)}


def test_of_many_trials_a_notebook_shows_the_best(tmp_path):
    scores = {f"t{i}<b>": [i / 100] for i in range(MOST_ROWS + 5)}
    run = bakeoff.Run(write_tables(tmp_path / "run", scores, warnings=["t24<b> was best"]))
    (tmp_path / "run" / "curves.png").write_bytes(b"drawn by the job")
    page = run._repr_html_()
    assert "… the best 20 of 25 trials" in page
    assert "t24&lt;b&gt;" in page
    assert run.curves()._repr_png_().startswith(b"\x89PNG")
    assert "t4&lt;" not in page
    assert "<li>t24&lt;b&gt; was best</li>" in page
