"""Searches with --constraint on a real local Ray, from the command line to what is chosen."""

import json
import shutil

import optuna
import pandas as pd
import pytest

from tests.tune_jobs.conftest import command_line
from tests.tune_jobs.runs import edit_trials
from trainables.errors import InputError
from tune_jobs import compare
from tune_jobs.analysis.comparison.candidates import load_runs
from tune_jobs.analysis.comparison.choice import winners
from tune_jobs.analysis.results import load_front, load_run, load_trials
from tune_jobs.search import study as study_module
from tune_jobs.search.samplers import build_sampler

pytestmark = pytest.mark.usefixtures("undrawn")

SPACE = """
lr: {choices: [3.0e-3, 1.0e-2]}
model.widths: {choices: [[4, 8], [32, 64]]}
"""
SMALL = "parameters<=3e4"  # allows the first widths only
BOTH = (SMALL, "latency_ms<=1e4")


@pytest.fixture(scope="module")
def constrained(local_ray, search, tmp_path_factory):
    """Run a search of tiny trials, one at a time, with constraints."""
    folder = tmp_path_factory.mktemp("space")
    (folder / "space.yaml").write_text(SPACE)
    fixed = ["--smoke-test", "--max-concurrent", 1, "--scheduler", "fifo", "--name", "s"]

    def run(storage, *arguments):
        return search(*fixed, "--space", folder / "space.yaml", "--storage-path", storage,
                      *arguments)  # fmt: skip

    return run


@pytest.fixture(scope="module")
def finished(constrained, tmp_path_factory):
    storage = tmp_path_factory.mktemp("finished")
    options = ["--trials", 5, "--sampler", "random", "--objective", "accuracy,macs"]
    assert constrained(storage, *options, "--constraint", *BOTH) == 0
    return storage / "s"


def test_what_violates_a_constraint_on_parameters_is_not_trained(finished, study_of):
    trials = load_trials(finished)
    large = trials["parameters"] > 3e4
    assert large.any()
    assert (trials.loc[large, "status"] == "stopped").all()
    assert (trials.loc[large, "epochs"] == 0).all()
    assert trials.loc[large, "error"].str.contains("violates parameters<=3e4: not trained").all()
    assert (~large).sum() == 5  # --trials counts those that are trained
    assert (trials["feasible"] == ~large).all()
    assert trials["macs"].notna().all()


def test_the_study_has_the_constraints_as_optuna_stores_them(finished, study_of):
    trials = load_trials(finished).set_index("trial")
    for trial in study_of(finished).trials:
        row = trials.loc[f"trial-{trial.number:03d}"]
        assert trial.constraints[SMALL] == pytest.approx(row["parameters"] / 3e4 - 1)
        assert (BOTH[1] in trial.constraints) == (trial.state.name == "COMPLETE")


def test_only_feasible_trials_are_chosen(finished, study_of):
    trials = load_trials(finished).set_index("trial")
    feasible = trials[trials["feasible"].astype(bool)]
    best = json.loads((finished / "best" / "model.json").read_text())
    assert best["trial"] in feasible.index
    front = load_front(finished)
    assert set(front["trial"]) <= set(feasible.index)
    assert set(front["trial"]) == {f"trial-{t.number:03d}" for t in study_of(finished).best_trials}
    assert (finished / "figures" / "pareto-accuracy-macs.png").exists()
    search = load_run(finished)["search"]
    assert search["constraints"] == list(BOTH)
    given = [t.number for t in study_of(finished).trials if "fixed_params" in t.system_attrs]
    assert search["enqueued"] == [f"trial-{number:03d}" for number in given]


def test_a_trial_that_violates_a_constraint_does_not_win_a_comparison(finished):
    (run,) = load_runs([str(finished)])
    run.trials["feasible"] = run.trials["trial"] == run.trials["trial"].iloc[-1]
    worst = run.trials["best/val_accuracy"].min()
    run.trials.loc[run.trials["feasible"], "best/val_accuracy"] = worst
    (winner,) = winners([run])
    assert winner.trial == run.trials["trial"].iloc[-1]


def test_a_search_is_extended_within_its_constraints(finished, search, study_of, tmp_path):
    before = load_trials(finished)
    where = ["--name", "s", "--storage-path", finished.parent]
    assert search(*where, "--extend", 1) == 0
    after = load_trials(finished)
    pd.testing.assert_frame_equal(after.head(len(before)), before)
    assert (after["epochs"] > 0).sum() == 6
    assert study_of(finished).trials[0].constraints
    assert search(*where, "--resume", "--constraint", "parameters<=9e9") == 2


def test_a_driver_killed_before_it_refuses_a_trial_refuses_it_when_resumed(
    finished, search, study_of, tmp_path
):
    run = tmp_path / "s"
    shutil.copytree(finished, run)
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{run}/optuna.db")
    study.enqueue_trial({"lr": 1e-2, "model.widths": "[32, 64]"})
    asked = study.ask()  # as far as the driver came
    assert search("--name", "s", "--storage-path", tmp_path, "--resume") == 0
    trial = study_of(run).trials[asked.number]
    assert trial.state.name == "PRUNED"
    assert trial.constraints[SMALL] > 0
    assert len(study_of(run).trials) == asked.number + 1
    last = load_trials(run).iloc[-1]
    assert (last["status"], last["epochs"]) == ("stopped", 0)


def test_a_trial_that_ended_after_the_last_write_of_the_tables_is_whole_when_resumed(
    finished, search, tmp_path
):
    """Optuna is told at once, and the tables are up to two seconds older."""
    run = tmp_path / "s"
    shutil.copytree(finished, run)
    trials = load_trials(run)
    last = trials.loc[trials["epochs"] > 0, "trial"].iloc[-1]
    begun = {"status": "running", "device": None, "precision": None, "latency_ms": None}
    edit_trials(run, lambda row: row | begun if row["trial"] == last else row)
    assert search("--name", "s", "--storage-path", tmp_path, "--resume") == 0
    pd.testing.assert_frame_equal(load_trials(run), trials)


def test_what_is_too_slow_is_not_trained_and_that_nothing_is_feasible_is_said(
    constrained, study_of, tmp_path, capfd, assert_one_message
):
    assert constrained(tmp_path, "--trials", 2, "--constraint", "latency_ms<=1e-3") == 1
    printed = capfd.readouterr().out
    assert "No trial satisfies latency_ms<=1e-3, so none is chosen: the lowest" in printed
    run = tmp_path / "s"
    trials = load_trials(run)
    assert trials["epochs"].tolist() == [0, 0]
    assert trials["error"].str.contains("not trained").all()
    assert not (run / "best").exists()
    assert all(t.constraints["latency_ms<=1e-3"] > 0 for t in study_of(run).trials)
    assert command_line(compare.compare)(run, "--output", tmp_path / "c") == 2
    assert_one_message(["no finished trial"])


def test_a_trained_run_without_a_feasible_trial_cannot_be_compared(constrained, tmp_path, study_of):
    options = ["--trials", 2, "--sampler", "gp", "--constraint", "parameters<=10"]
    assert constrained(tmp_path, *options) == 1
    run = tmp_path / "s"
    # The Gaussian process learns from complete trials only, so they are trained.
    assert {t.state.name for t in study_of(run).trials} == {"COMPLETE"}
    assert not load_trials(run)["feasible"].any()
    with pytest.raises(InputError, match="no trial that satisfies its constraints parameters<=10"):
        load_runs([str(run)])


def test_a_search_whose_proposals_all_violate_a_constraint_ends(
    constrained, monkeypatch, tmp_path, study_of, capfd
):
    monkeypatch.setattr(study_module, "MOST_REFUSED", 3)
    assert constrained(tmp_path, "--trials", 2, "--constraint", "parameters<=10") == 1
    assert "proposals in a row violate a constraint" in capfd.readouterr().out
    assert len(study_of(tmp_path / "s").trials) == 3
    assert load_run(tmp_path / "s")["search"]["ended_by"] == "--constraint"


def test_trials_of_an_earlier_run_bring_their_constraints(constrained, finished, tmp_path):
    options = ["--trials", 1, "--from", finished, "--constraint", SMALL]
    assert constrained(tmp_path, *options) == 0
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/s/optuna.db")
    told = [trial for trial in study.trials if "source" in trial.user_attrs]
    assert told
    assert all(trial.constraints[SMALL] <= 0 for trial in told)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2"])
def test_samplers_learn_to_satisfy_a_constraint(sampler):
    directions = ["maximize"] * (2 if sampler == "nsga2" else 1)
    study = optuna.create_study(sampler=build_sampler(sampler, 0), directions=directions)
    for _ in range(60 if sampler == "nsga2" else 25):
        trial = study.ask()
        x = trial.suggest_float("x", 0, 10)
        trial.set_constraint("x<=2", x / 2 - 1)
        study.tell(trial, [x] * len(directions))
    late = [trial.params["x"] <= 2.5 for trial in study.trials[-8:]]
    assert sum(late) >= 4  # a quarter of the range


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--constraint", "speed<=5"], ["'speed'", "latency_ms"]),
        (["--constraint", "latency_ms<5"], ["operator <", "<= or >="]),
        (["--constraint", "latency_ms<=x"], ["'x'", "finite number"]),
        (["--constraint", "parameters<=1", "parameters>=2"], ["contradict"]),
        (["--constraint", SMALL, "--sampler", "cmaes"], ["cmaes", SMALL, "tpe"]),
    ],
)
def test_bad_input_is_one_message_before_anything_starts(
    options, words, search, tmp_path, assert_one_message
):
    assert search(*options, "--storage-path", tmp_path / "runs") == 2
    assert_one_message(words)
    assert not (tmp_path / "runs").exists()
