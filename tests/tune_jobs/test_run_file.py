"""Several jobs and a comparison in one file: bakeoff run."""

import dataclasses

import pytest

import bakeoff
from tests.tune_jobs.conftest import command_line
from tests.tune_jobs.runs import edit_record, write_tables
from tune_jobs.run_file import parsed, read_run_file, run_file
from tune_jobs.test_set import job

pytestmark = pytest.mark.usefixtures("undrawn")

run = command_line(run_file)


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Write a file in an empty working directory, and return its name."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="run.yaml"):
        (tmp_path / name).write_text(text)
        return name

    return write


TEXT = """\
smoke_test: true           # for every job
min_per_class: 5
jobs:
  cnn:
    job: lr-grid
    epochs: 3
    lr: [1e-3, 3e-3]
  tiny:
    job: finetune
    models: [resnet18]
    mode: probe
compare:
  output: answer
"""


def test_a_file_trains_its_jobs_and_compares_their_runs(
    local_ray, file, tmp_path, capfd, monkeypatch
):
    compared = []
    monkeypatch.setattr(job, "run", lambda command: compared.append(command) or 0)
    path = file(TEXT)
    write_tables(tmp_path / "runs" / "tiny", {"a": [0.5]}, job="finetune")
    options = dataclasses.asdict(command_of("tiny", path).options)
    edit_record(tmp_path / "runs" / "tiny", options=options)
    assert run(path) == 0
    printed = capfd.readouterr().out
    assert "cnn (lr-grid), 1 of 2:\n" in printed
    assert "tiny (finetune), 2 of 2: has finished\n" in printed
    trained = bakeoff.Run("runs/cnn")
    assert trained.trials["config/lr"].tolist() == [1e-3, 3e-3]
    assert trained.record["given"] == ["epochs", "lr", "min_per_class", "smoke_test"]
    assert compared[0].options.runs == ("runs/cnn", "runs/tiny")
    assert compared[0].options.output == "answer"

    # What has been done is not done again: each comparison opens the test set.
    write_tables(tmp_path / "answer", {})
    (tmp_path / "answer" / "comparison.parquet").touch()
    assert run(path) == 0
    printed = capfd.readouterr().out
    assert "cnn (lr-grid), 1 of 2: has finished" in printed
    assert "answer has the comparison; " in printed
    assert "compare runs/cnn runs/tiny --output=answer makes another\n" in printed
    assert len(compared) == 1
    # A run is not trained with other options than it has.
    file(TEXT.replace("3e-3", "4e-3"))
    assert run(path) == 2
    message = capfd.readouterr().err
    assert message.startswith("error: run.yaml line 7: --lr (0.001, 0.004) differs from the run's")


def command_of(name, path):
    """Return the command line of a job of a file, as if its run were not there."""
    found = next(each for each in read_run_file(path)[0] if each.name == name)
    return parsed(dataclasses.replace(found, name=f"{name}-new"), ("bakeoff", "run", path))


def test_a_run_that_was_interrupted_is_resumed(file, tmp_path):
    write_tables(tmp_path / "runs" / "lr-grid", {"lr=0.1": [0.5]}, status="interrupted")
    text = "storage-path: runs\njobs:\n  lr-grid:\n    job: lr-grid\n    epochs: 20\n"
    (only,), compared = read_run_file(file(text))
    assert compared is None
    options = parsed(only, ("bakeoff", "run", "run.yaml")).options
    assert options.run.resume
    assert options.run.name == "lr-grid"


def test_a_file_must_be_given(capfd):
    assert run() == 2
    assert (
        capfd.readouterr().err == "error: no file is given: name one, e.g. bakeoff run run.yaml\n"
    )


def test_a_file_of_one_job_is_that_job(file):
    (only,), compared = read_run_file(file("job: search\ntrials: 5\n"))
    assert (only.job, only.name, compared) == ("search", None, None)
    assert only.file.arguments == ["--trials=5"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("lr: 1\n", 1, ["has no job", "lr-grid, search, shortlist, finetune"]),
        ("epochs: 1\njob: compare\n", 2, ["job 'compare' is no job that trains"]),
        ("jobs:\n  a: {lr: [1]}\n", 2, ["has no job"]),
        ("jobs:\n  a: {job: lr-grid}\n  b:\n    job: search\n    trails: 3\n", 5,
         ["no option trails", "did you mean trials?"]),
        ("epochs: 1\nbathc_size: 3\njobs:\n  a: {job: lr-grid}\n", 2, ["did you mean batch_size?"]),
        ("jobs: [lr-grid]\n", 1, ["must map names of runs to jobs"]),
        ("jobs:\n  a/b: {job: lr-grid}\n", 2, ["run name 'a/b'"]),
        ("jobs:\n  a: {job: lr-grid, name: b}\n", 2, ["name 'b' is given beside"]),
        ("jobs:\n  a:\n    job: lr-grid\n    trust: [os]\n", 4, ["on the command line only"]),
        ("jobs:\n  a:\n    job: lr-grid\n    epochs: 0\n", 4, ["epochs", "1 or more"]),
        ("jobs:\n  a:\n    job: lr-grid\ncompare:\n  seeds: 1\n", 5, ["--seeds is 1"]),
        ("jobs:\n  a:\n    job: lr-grid\ncompare:\n  seed: 1\n", 5, ["did you mean seeds?"]),
        ("jobs:\n  a: {job: lr-grid}\ncompare: no\n", 3, ["compare must map", "leave it out"]),
        ("jobs:\n  a: {job: lr-grid}\ncompare: []\n", 3, ["compare must map"]),
        ("jobs:\n  a: {job: lr-grid}\ncompare:\n  runs: [runs/b]\n", 4,
         ["runs/b is neither a run of this file"]),
        ("job: lr-grid\ncompare:\n  seeds: 3\n", 2, ["compare needs jobs"]),
    ],
)  # fmt: skip
def test_a_mistake_is_answered_before_anything_is_trained(text, line, words, file, tmp_path, capfd):
    assert run(file(text)) == 2
    message = capfd.readouterr().err
    assert message.startswith(f"error: run.yaml line {line}: "), message
    assert all(word in message for word in words), message
    assert not (tmp_path / "runs").exists()
