"""What the terminal says when a run has ended."""

import io
import time
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from trainables.config import Recipe
from tune_jobs.command_line.options import RunOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.lr_grid import GridOptions, grid
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.tuning.recorder import Recorder
from tune_jobs.tuning.strategy import Findings, Run
from tune_jobs.tuning.summary import print_summary, resumable, warnings_of

IMAGES = 200


def row(name, accuracy, epoch=3, status="finished", precision="fp32"):
    metrics = {"train_loss": 0.1, "val_loss": 0.2, "val_accuracy": accuracy}
    return {
        "trial": name, "status": status, "epochs": 5, "best/epoch": epoch, "seconds": 60.0,
        "images_per_second": 1000.0, "checkpoint": name, "precision": precision,
        **{f"{which}/{key}": value for which in ("best", "last") for key, value in metrics.items()},
    }  # fmt: skip


@pytest.fixture
def summary(tmp_path, monkeypatch):
    """Print the summary of a grid with these accuracies, in the order of its trials."""
    monkeypatch.setattr("sys.argv", ["tune_jobs/lr_grid.py"])
    monkeypatch.setattr("sys.orig_argv", ["python"])

    def show(lr, accuracies, seeds=1, width=None, status="finished", smoke_test=False, **given):
        options = GridOptions(
            lr=lr, seeds=seeds, training=Recipe(epochs=5),
            run=RunOptions(name="grid", storage_path=str(tmp_path), smoke_test=smoke_test),
        )  # fmt: skip
        recorder = Recorder(RunFolder.at(tmp_path / "grid"))
        recorder.configs = grid(options)
        for name, accuracy in zip(recorder.configs, accuracies, strict=True):
            recorder.rows[name] = row(name, accuracy, **given)
        labels = np.repeat([0, 1], [IMAGES // 4, IMAGES - IMAGES // 4])
        data = SimpleNamespace(val_labels=labels, classes=("cat", "dog"))
        file = io.StringIO()
        console = Console(
            file=file, width=width or 10_000, force_terminal=width is not None, no_color=True
        )
        command = CommandLine(options, ("python", "tune_jobs/lr_grid.py"), time.monotonic())
        run = Run(command, recorder.folder, recorder, data, {}, console)
        record = {"status": status}
        record["warnings"] = warnings_of(run, record, Findings())
        assert print_summary(run, record, Findings()) == (130 if status == "interrupted" else 0)
        return file.getvalue()

    return show


def test_the_best_rate_at_the_edge_of_a_grid_comes_with_the_command_that_extends_it(summary):
    out = summary((1e-4, 1e-3, 1e-2), (0.80, 0.85, 0.97))
    assert "0.01 is the highest learning rate of the grid" in out
    assert "lr_grid.py --name grid --extend --lr 0.1 --storage-path" in out
    out = summary((1e-4, 1e-3, 1e-2), (0.97, 0.85, 0.80))
    assert "0.0001 is the lowest learning rate of the grid" in out
    assert "--extend --lr 1e-05" in out
    assert "learning rate of the grid" not in summary((1e-4, 1e-3, 1e-2), (0.80, 0.97, 0.85))


def test_a_smoke_test_says_so_and_does_not_lead_to_the_test_set(summary):
    out = summary((1e-4, 1e-3), (0.80, 0.97), smoke_test=True)
    assert "A smoke test: that everything works is all that its scores show" in out
    assert "compare" not in out
    assert "compare" in summary((1e-4, 1e-3), (0.80, 0.97))


def test_a_score_that_still_rose_in_the_last_epoch_is_said(summary):
    rates, scores = (1e-4, 1e-3, 1e-2), (0.80, 0.97, 0.85)
    assert "try --epochs 10 --name grid-10-epochs" in summary(rates, scores, epoch=5)
    assert "--epochs" not in summary(rates, scores, epoch=4)


def test_a_precision_that_was_not_asked_for_is_said(summary):
    said = "Trained in bf16, as --precision auto chooses here"
    assert said in summary((0.001,), [0.9], precision="bf16")
    assert "Trained in" not in summary((0.001,), [0.9])


def test_a_model_at_chance_is_named(summary):
    out = summary((1e-4, 1e-3, 1e-2), (0.76, 0.97, 0.75))
    assert "lr=0.0001 and lr=0.01 are not better than always answering 'dog' (75.00%)" in out


def test_ties_are_said_with_their_interval(summary):
    out = summary((1e-4, 1e-3, 1e-2), (0.80, 0.97, 0.96))
    said = "200 validation images do not tell lr=0.01 from lr=0.001, whose accuracy has the 95%"
    assert f"{said} interval 93.61 to 98.62%" in out
    assert "do not tell" not in summary((1e-4, 1e-3), (0.80, 0.97))


def test_seeds_are_one_setting_and_the_luckiest_seed_is_not_the_best(summary):
    rates, scores = (1e-4, 1e-3, 1e-2), (0.90, 0.94, 0.80, 0.90, 0.94, 0.97)
    out = summary(rates, scores, seeds=2)
    assert "Best setting: lr=0.001 with validation accuracy 94.00% ± 0.00" in out
    assert "88.50% ± 12.02" in out
    said = " ".join(out.split())  # whatever the width of the terminal
    assert "best/ has the weights of its best seed on these images, lr=0.001,seed=0 (" in said
    assert "lr=0.01,seed=1" not in out


def test_what_is_suggested_is_typed_as_the_run_was(summary, monkeypatch):
    monkeypatch.setenv("PATH", "")
    out = summary((1e-4, 1e-3), (0.80, 0.97))
    assert "python tune_jobs/compare.py" in out
    assert "tensorboard" not in out  # which PATH does not have
    assert "lr_grid.py --name grid --resume" in summary((1e-3,), (0.9,), status="interrupted")


@pytest.mark.parametrize(
    ("width", "missing"),
    [(50, {"images/s", "time", "loss"}), (80, {"images/s"}), (120, set()), (None, set())],
)
@pytest.mark.parametrize("seeds", [1, 2])
def test_names_and_scores_are_whole_at_every_width(summary, width, missing, seeds):
    rates = (1e-4, 1.2345e-3)
    out = summary(rates, (0.80, 0.97) * seeds, seeds=seeds, width=width)
    table = out.split("Best")[0]
    assert "…" not in out
    assert "lr=0.0012345" in table
    assert "97.00%" in table
    if seeds == 1:
        assert all(heading not in table.split("without")[0] for heading in missing)
    assert ("without" in table) == bool(missing) or seeds == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("disk full")])
@pytest.mark.parametrize("exists", [True, False])
def test_whatever_ends_a_run_the_command_that_resumes_it_is_printed(
    error, exists, capsys, monkeypatch
):
    monkeypatch.setattr("sys.argv", ["tune_jobs/lr_grid.py"])
    monkeypatch.setattr("sys.orig_argv", ["python"])
    run = SimpleNamespace(
        console=Console(),
        folder=SimpleNamespace(name="mine", has=lambda file: exists),
        options=SimpleNamespace(job="lr-grid", run=RunOptions(storage_path="my runs")),
    )
    with pytest.raises(type(error)), resumable(run):
        raise error
    printed = capsys.readouterr().out
    command = "python tune_jobs/lr_grid.py --name mine --resume --storage-path 'my runs'"
    assert (command in printed) == exists
