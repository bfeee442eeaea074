"""Several jobs and a comparison in one file: bakeoff run."""

import pytest

import bakeoff
from tests.tune_jobs.conftest import command_line
from tests.tune_jobs.runs import edit_record, openings
from tune_jobs.run_file import read_run_file, run_file

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
epochs: 3
jobs:
  cnn:
    job: lr-grid
    lr: [1e-3, 3e-3]
  tiny:
    job: finetune
    models: [tests.nets:tiny]
    weights: [none]
    lr: [1e-2]
    image-size: [12]
compare:
  output: answer
"""


def test_a_file_trains_its_jobs_and_compares_their_runs(local_ray, file, tmp_path, capfd):
    path = file(TEXT)
    assert run(path, "--trust", "tests.nets") == 0
    printed = capfd.readouterr().out
    assert "cnn (lr-grid), 1 of 2:" in printed
    assert "tiny (finetune), 2 of 2:" in printed
    models = bakeoff.load_comparison(tmp_path / "answer")
    assert set(models["model"]) == {"custom CNN", "custom tests.nets:tiny"}
    found = bakeoff.load_runs("runs").set_index("run")
    assert found["models"].to_dict() == {"cnn": "cnn", "tiny": "tests.nets:tiny"}
    assert bakeoff.Run("runs/cnn").record["given"] == ["epochs", "lr", "name", "smoke_test"]
    # What has been done is not done again: each comparison opens the test set.
    assert run(path) == 0
    printed = capfd.readouterr().out
    assert "cnn (lr-grid), 1 of 2: has finished" in printed
    assert "answer has the comparison; " in printed
    assert "compare.py runs/cnn runs/tiny" in printed
    assert len(openings(tmp_path / "runs")) == 1
    # A run is not trained with other options than it has.
    file(TEXT.replace("3e-3", "4e-3"))
    assert run(path) == 2
    message = capfd.readouterr().err
    assert message.startswith("error: run.yaml line 6: --lr (0.001, 0.004) differs from the run's")


def test_a_run_that_was_interrupted_is_resumed(local_ray, runs, file, tmp_path):
    text = "jobs:\n  lr-grid:\n    job: lr-grid\n    storage-path: runs\n    image-size: [8]\n"
    edit_record(runs / "lr-grid", status="interrupted")
    (job,), compared = read_run_file(file(text))
    from tune_jobs.run_file import parsed

    assert compared is None
    options = parsed(job, ("bakeoff", "run", "run.yaml")).options
    assert options.run.resume
    assert options.run.name == "lr-grid"


def test_a_file_of_one_job_is_that_job(file):
    (job,), compared = read_run_file(file("job: search\ntrials: 5\n"))
    assert (job.job, job.name, job.file.arguments, compared) == (
        "search",
        None,
        ["--trials=5"],
        None,
    )


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
        ("job: lr-grid\ncompare:\n  seeds: 3\n", 2, ["compare needs jobs"]),
    ],
)  # fmt: skip
def test_a_mistake_is_answered_before_anything_is_trained(text, line, words, file, tmp_path, capfd):
    assert run(file(text)) == 2
    message = capfd.readouterr().err
    assert message.startswith(f"error: run.yaml line {line}: "), message
    assert all(word in message for word in words), message
    assert not (tmp_path / "runs").exists()
