"""The commands that a run suggests when it has ended."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.tune_jobs.runs import edit_record, edit_trials, write_tables
from trainables.config import TrialConfig
from tune_jobs.command_line.parser import parse
from tune_jobs.lr_grid import GridOptions
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.tuning.next_commands import steps_to_compare


@pytest.fixture
def steps(tmp_path, monkeypatch):
    """Return what a grid suggests, whose runs lie in a folder."""
    monkeypatch.setattr("shutil.which", lambda word: f"bin/{word}")
    monkeypatch.setattr("sys.argv", ["bin/bakeoff", "lr-grid"])
    monkeypatch.chdir(tmp_path)

    def suggest(*words, name="lr-grid"):
        command = parse(GridOptions, None, ["--name", name, *words])
        # As after --resume, which restores what the driver before was given.
        command = dataclasses.replace(command, words=("bin/bakeoff", "lr-grid"))
        folder = RunFolder.at("runs").child(name)
        return [
            step.command
            for step in steps_to_compare(
                SimpleNamespace(command=command, options=command.options, folder=folder)
            )
        ]

    return suggest


def other_run(name, model, score, job="finetune", **record):
    run = write_tables(Path("runs", name), {"a": [score]}, job=job, **record)
    edit_trials(run, lambda row: row | {"config/model": model})


def test_the_pretrained_networks_come_before_the_sealed_test_set_is_opened(steps):
    write_tables(Path("runs/lr-grid"), {"a": [0.5]})
    given = "--data", "photos and more", "--min-per-class", "3", "--image-size", "32"
    assert steps(*given) == [
        "bakeoff finetune --data 'photos and more' --min-per-class 3",
        "bakeoff compare runs/lr-grid",
    ]


def test_the_comparison_has_the_best_run_of_each_other_network_on_these_images(steps):
    write_tables(Path("runs/lr-grid"), {"a": [0.5]})
    other_run("finetune", "resnet18", 0.8)
    other_run("finetune-2", "resnet18", 0.9)
    other_run("lr-grid-2", TrialConfig(lr=1).model, 0.9, job="lr-grid")
    other_run("of-other-images", "densenet121", 0.9, split={"fingerprint": "t"})
    other_run("shortlist", "googlenet", 0.9, job="shortlist")
    other_run("open", "googlenet", 0.9)
    edit_record("runs/open", status="interrupted")
    assert steps() == ["bakeoff compare runs/finetune-2 runs/lr-grid"]


def test_the_comparison_of_a_run_is_suggested_whatever_lies_beside_it(steps):
    assert steps()[-1] == "bakeoff compare runs/lr-grid"
