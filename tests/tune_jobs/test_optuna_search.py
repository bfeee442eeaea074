"""The search on a real local Ray, from the command line to the study in the run folder."""

import contextlib
import json
import shutil
import threading
from collections import Counter

import numpy as np
import optuna
import pandas as pd
import psutil
import pytest
from PIL import Image

from trainables.config import TrialConfig
from tune_jobs.analysis.results import load_epochs, load_front, load_run, load_trials
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.search.samplers import build_sampler
from tune_jobs.search.study_storage import StudyStorage
from tune_jobs.search_space.defaults import default_space
from tune_jobs.search_space.space import suggest, to_config
from tune_jobs.search_space.space_file import load_space

pytestmark = pytest.mark.usefixtures("undrawn")

WIDTHS = "model.widths: {choices: [[4, 8], [8, 16]]}\n"
TRIALS = 9
CORES = 2
"""Of the local Ray: searches that run trials side by side."""


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    """Search-space files: learning rates that are good, too low, or high enough to diverge."""
    folder = tmp_path_factory.mktemp("spaces")
    (folder / "steps.yaml").write_text("lr: {choices: [1.0e-2, 1.0e-6, 1.0e+30]}\n" + WIDTHS)
    (folder / "range.yaml").write_text("lr: {low: 1e-4, high: 1e-2, log: true}\n" + WIDTHS)
    (folder / "rates.yaml").write_text("lr: {low: 1e-4, high: 1e-2, log: true}\n")
    (folder / "huge.yaml").write_text("lr: {choices: [1.0e+30, 1.0e+35]}\n" + WIDTHS)
    return folder


@pytest.fixture(scope="module")
def tiny(local_ray, search, spaces):
    """Run a search of tiny trials, one at a time: one worker starts sooner than two."""

    def run(storage, *arguments, space="range.yaml"):
        common = ["--space", spaces / space, "--storage-path", storage]
        small = ["--smoke-test", "--max-concurrent", 1]
        return search("--name", "tiny", *small, *common, *arguments)

    return run


@pytest.fixture(scope="module")
def finished(local_ray, search, spaces, tmp_path_factory):
    """A search whose trials finish, are stopped and diverge; the same ones each time."""
    storage = tmp_path_factory.mktemp("finished")
    options = f"--trials {TRIALS} --epochs 3 --max-concurrent 1 --sampler random --name search"
    space = ["--space", spaces / "steps.yaml"]
    assert search(*options.split(), *space, "--storage-path", storage) == 0
    return storage / "search"


@pytest.fixture(scope="module")
def earlier(tiny, tmp_path_factory):
    """A search that others warm-start from."""
    storage = tmp_path_factory.mktemp("earlier")
    assert tiny(storage, "--trials", 3, "--scheduler", "fifo") == 0
    return storage / "tiny"


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished search to change, and the options that name it."""
    run = tmp_path / "copied" / "search"
    shutil.copytree(finished, run)
    return run, ["--name", "search", "--storage-path", run.parent]


# The study


def test_the_study_says_of_every_trial_what_the_tables_say(finished, study_of):
    study = study_of(finished)
    ends = load_trials(finished)["status"]
    assert set(ends) == {"finished", "stopped", "diverged"}
    assert len(study.trials) == len(ends) == TRIALS
    states = Counter(trial.state.name for trial in study.trials)
    assert states == {
        "COMPLETE": (ends == "finished").sum(),
        "PRUNED": (ends == "stopped").sum(),
        "FAIL": (ends == "diverged").sum(),
    }


def test_the_best_value_of_the_study_is_the_best_accuracy(finished, study_of):
    trials = load_trials(finished)
    best = trials["best/val_accuracy"].max()
    study = study_of(finished)
    assert study.best_value == best
    assert json.loads((finished / "best" / "model.json").read_text())["val_accuracy"] == best


def test_what_diverged_has_no_score_and_says_why(finished):
    trials = load_trials(finished)
    diverged = trials[trials["status"] == "diverged"]
    assert set(diverged["config/lr"]) == {1e30}
    assert diverged["error"].str.contains("epoch 1").all()
    assert diverged["best/val_accuracy"].isna().all()


def test_run_json_says_what_was_searched(finished):
    run = load_run(finished)
    assert run["status"] == "finished"
    assert run["search"]["sampler"] == "random"
    assert run["options"]["scheduler"] == "asha"
    assert run["search"]["objectives"] == {"accuracy": "max"}
    assert run["search"]["ended_by"] is None
    assert run["budget"] == {"trials": TRIALS, "seconds": None, "epochs": None}


def test_the_figures_are_pictures(finished):
    names = {file.stem for file in (finished / "figures").iterdir()}
    assert names == {"history", "pruning", "parallel", "slices"}  # importance takes ten trials
    for file in (finished / "figures").iterdir():
        with Image.open(file) as picture:
            assert picture.format == "PNG"


def test_a_search_in_which_all_diverges_says_so(tiny, tmp_path, study_of, capfd):
    assert tiny(tmp_path, "--trials", 2, space="huge.yaml") == 1
    assert "2 trials: 2 diverged" in capfd.readouterr().out
    assert {t.state.name for t in study_of(tmp_path / "tiny").trials} == {"FAIL"}


# The search space


def test_the_first_trial_has_what_the_recipe_has_where_the_space_has_it(earlier, study_of):
    first, second, _ = study_of(earlier).trials
    assert first.params["lr"] == 1e-3
    assert second.params["lr"] != 1e-3  # the other recipes have the same rate and widths


def test_a_search_begins_with_the_recipe_asked_for_and_goes_on_with_the_others(
    local_ray, search, study_of, tmp_path
):
    arguments = "--smoke-test --recipe fast --trials 3 --max-concurrent 1 --name begins"
    assert search(*arguments.split(), "--storage-path", tmp_path) == 0
    drawn = [trial.params for trial in study_of(tmp_path / "begins").trials]
    fast, standard = drawn[:2]
    assert (fast["optimizer"], fast["schedule"]) == ("adamw", "one_cycle")
    assert fast["weight_decay"] == 0.01
    assert (standard["optimizer"], standard["schedule"]) == ("adam", "constant")


def test_what_the_command_line_gives_is_not_searched(search, capfd, tmp_path):
    assert search("--space-print", "--optimizer", "adam", "--batch-size=64") == 0
    file = tmp_path / "printed.yaml"
    file.write_text(capfd.readouterr().out)
    expected = default_space()
    for name in ("optimizer", "batch_size", "momentum"):  # momentum is of SGD
        del expected[name]
    assert load_space(file) == expected


def test_an_option_goes_before_a_file_of_ones_own(search, capfd, tmp_path):
    file = tmp_path / "space.yaml"
    file.write_text("lr: {low: 1e-4, high: 1e-2, log: true}\nbatch_size: {choices: [32, 64]}\n")
    assert search("--space", file, "--batch-size", 16, "--space-print") == 0
    assert "batch_size" not in capfd.readouterr().out
    file.write_text("batch_size: {choices: [32, 64]}\n")
    assert search("--space", file, "--batch-size", 16, "--space-print") == 2
    assert "leave one option out" in capfd.readouterr().err


def test_the_printed_space_is_a_file_to_start_from(search, capfd, tmp_path):
    assert search("--space-print") == 0
    file = tmp_path / "printed.yaml"
    file.write_text(capfd.readouterr().out)
    assert load_space(file) == default_space()


# Samplers, schedulers, objectives


@pytest.mark.parametrize(
    ("sampler", "scheduler"),
    [
        ("gp", "fifo"),
        ("cmaes", "hyperband"),
        ("qmc", "asha"),
    ],
)  # the fixtures are of tpe and random
def test_samplers_and_schedulers_run_to_the_end(sampler, scheduler, tiny, tmp_path, study_of):
    assert tiny(tmp_path, "--trials", 4, "--sampler", sampler, "--scheduler", scheduler) == 0
    study = study_of(tmp_path / "tiny")
    assert len(study.trials) == 4
    assert "COMPLETE" in {trial.state.name for trial in study.trials}


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "random", "qmc"])
def test_samplers_learn_from_trials_of_every_kind(sampler):
    # More trials than a sampler draws at random, without training them.
    study = optuna.create_study(sampler=build_sampler(sampler, 0), direction="maximize")
    base, space = TrialConfig(lr=1e-3), default_space()
    open_trial = study.ask()
    suggest(space, open_trial)
    for number in range(14):
        trial = study.ask()
        config = to_config(suggest(space, trial), base)
        trial.report(config.lr, 1)
        if number % 5 == 3:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        elif number % 5 == 4:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, config.lr)
    assert 1e-4 <= config.lr <= 1e-1


@pytest.mark.parametrize(
    ("costs", "sampler"), [(["parameters"], "nsga2"), (["latency_ms", "seconds"], "tpe")]
)
def test_the_front_is_that_of_optuna(costs, sampler, tiny, tmp_path, study_of, capfd):
    objectives = ",".join(["accuracy", *costs])
    options = ["--trials", 4, "--objective", objectives, "--sampler", sampler]
    assert tiny(tmp_path, *options, "--scheduler", "fifo") == 0
    run = tmp_path / "tiny"
    study = study_of(run)
    front = load_front(run)
    assert set(front["trial"]) == {f"trial-{trial.number:03d}" for trial in study.best_trials}
    table = load_trials(run)[["best/val_accuracy", *costs]].values.tolist()
    assert [trial.values for trial in study.trials] == table
    printed = capfd.readouterr().out
    assert all(
        name in printed.split("Pareto front of the objectives:")[1] for name in front["trial"]
    )
    for cost in costs:
        assert (run / "figures" / f"pareto-accuracy-{cost}.png").exists()


# Workers


@pytest.mark.faults
def test_a_killed_worker_is_replaced_and_its_trial_counts_once(
    tiny, killed_worker, tmp_path, study_of, earlier
):
    assert tiny(tmp_path, "--trials", 2, "--scheduler", "fifo") == 0
    assert killed_worker
    study = study_of(tmp_path / "tiny")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 2
    trials = load_trials(tmp_path / "tiny")
    assert trials["epochs"].tolist() == [2, 2]
    # The seed decides the first settings: they are those of the other search.
    columns = ["config/lr", "config/model.widths"]
    pd.testing.assert_frame_equal(trials[columns], load_trials(earlier)[columns].head(2))


class TrainingWorkers(threading.Thread):
    """Thread that watches the processes of the local Ray, and counts those that train."""

    def __init__(self):
        super().__init__(daemon=True)
        self.driver, self.counts, self.over = psutil.Process(), Counter(), threading.Event()

    def run(self):
        while not self.over.wait(0.2):  # each look takes a share of a core
            processes = self.driver.children(recursive=True)
            self.counts[sum(map(self.trains, processes))] += 1

    @staticmethod
    def trains(process):
        with contextlib.suppress(psutil.Error):  # it may have ended
            return process.cmdline()[:1] == ["ray::ImplicitFunc.train"]
        return False

    def __enter__(self):
        self.start()
        return self.counts

    def __exit__(self, *_):
        self.over.set()
        self.join()


def most_at_a_time(study):
    """Return the highest number of trials of a study that were open at a time."""
    times = [(trial.datetime_start, trial.datetime_complete) for trial in study.trials]
    return max(sum(begin <= start < end for begin, end in times) for start, _ in times)


def test_as_many_trials_are_alive_as_there_are_slots(local_ray, search, spaces, tmp_path, study_of):
    options = ["--trials", 4, "--epochs", 20, "--scheduler", "fifo", "--name", "two"]
    space = ["--space", spaces / "range.yaml"]
    with TrainingWorkers() as counts:
        assert search(*options, *space, "--storage-path", tmp_path) == 0
    assert max(counts) == 2, counts
    assert most_at_a_time(study_of(tmp_path / "two")) == 2


def test_max_concurrent_limits_the_trials_alive(finished, study_of):
    assert most_at_a_time(study_of(finished)) == 1


# Budgets, and resuming


def check_spent(run, option, printed, study_of):
    assert f"{option} reached" in printed
    assert load_run(run)["status"] == "finished"
    assert load_run(run)["search"]["ended_by"] == option
    study = study_of(run)  # compares the states: none is RUNNING
    assert set(load_trials(run)["status"]) <= {"finished", "stopped"}
    return study


@pytest.mark.parametrize(
    ("option", "value", "epochs"), [("--max-epochs-total", "3", "2"), ("--max-time", "3s", "900")]
)
def test_a_spent_budget_ends_the_search_and_is_named(
    option, value, epochs, local_ray, search, spaces, tmp_path, study_of, capfd
):
    options = ["--trials", 50, "--epochs", epochs, option, value, "--scheduler", "fifo"]
    where = ["--name", "b", "--storage-path", tmp_path]
    # On a slow machine the time may be over before an epoch is.
    assert search(*options, "--space", spaces / "range.yaml", *where) in (0, 1)
    run = tmp_path / "b"
    study = check_spent(run, option, capfd.readouterr().out, study_of)
    assert 1 <= len(study.trials) < 50
    if option == "--max-epochs-total":
        assert 3 <= len(load_epochs(run)) <= 4  # the other trial's epoch may be under way
    # Nothing is left to spend.
    trials = load_trials(run)
    assert search(*where, "--resume") in (0, 1)
    check_spent(run, option, capfd.readouterr().out, study_of)
    pd.testing.assert_frame_equal(load_trials(run), trials)


def test_resuming_a_finished_search_changes_nothing(copied, search, study_of):
    run, where = copied
    trials, epochs, told = load_trials(run), load_epochs(run), study_of(run).trials
    assert search(*where, "--resume") == 0
    pd.testing.assert_frame_equal(load_trials(run), trials)
    pd.testing.assert_frame_equal(load_epochs(run), epochs)
    assert study_of(run).trials == told


def test_a_search_is_extended_by_exactly_so_many_trials(copied, search, study_of):
    run, where = copied
    trials, epochs, told = load_trials(run), load_epochs(run), study_of(run).trials
    assert search(*where, "--extend", 2) == 0
    after = load_trials(run)
    assert len(after) == TRIALS + 2
    pd.testing.assert_frame_equal(after.head(TRIALS), trials)
    pd.testing.assert_frame_equal(load_epochs(run).head(len(epochs)), epochs)
    assert study_of(run).trials[:TRIALS] == told
    assert load_run(run)["budget"]["trials"] == TRIALS + 2


def test_a_name_is_not_used_twice(finished, search, capfd):
    before = {file: file.stat().st_mtime_ns for file in finished.rglob("*") if file.is_file()}
    assert search("--name", "search", "--storage-path", finished.parent) == 2
    assert "--resume" in capfd.readouterr().err
    assert before == {f: f.stat().st_mtime_ns for f in finished.rglob("*") if f.is_file()}


@pytest.mark.parametrize("kept", [0, 100, 5000, -4096])
def test_a_damaged_database_is_refused_and_the_tables_stay(kept, copied, search, capfd):
    run, where = copied
    database = run / "optuna.db"
    database.write_bytes(database.read_bytes()[:kept])
    before = {name: (run / name).read_bytes() for name in ("run.json", "trials.parquet")}
    assert search(*where, "--resume") == 2
    message = capfd.readouterr().err
    assert "optuna.db" in message
    assert "Traceback" not in message
    assert before == {name: (run / name).read_bytes() for name in before}


# Starting from earlier runs


def test_trials_of_an_earlier_search_are_told_to_the_sampler(
    tiny, earlier, tmp_path, study_of, capfd
):
    assert tiny(tmp_path, "--from", earlier, "--trials", 2) == 0
    assert "3 trials added to the study, 0 settings to try first" in capfd.readouterr().out
    study = study_of(tmp_path / "tiny")
    told = [trial for trial in study.trials if "source" in trial.user_attrs]
    before = study_of(earlier).trials
    assert len(study.trials) == 5

    def content(trial):
        return trial.state, trial.values, trial.params, trial.intermediate_values

    assert sorted(map(repr, map(content, told))) == sorted(map(repr, map(content, before)))
    assert len(load_trials(tmp_path / "tiny")) == 2  # what this run has trained


def test_a_search_starts_from_a_grid(tiny, command, tmp_path, study_of, capfd):
    grid = ["--lr", "1e-3", "3e-4", "0.5", "--smoke-test", "--name", "grid"]
    assert command(*grid, "--storage-path", tmp_path) == 0
    capfd.readouterr()
    assert tiny(tmp_path, "--from", tmp_path / "grid", "--trials", 1, space="rates.yaml") == 0
    # The rate of 0.5 is outside of the space.
    assert "2 trials added to the study, 0 settings to try first" in capfd.readouterr().out
    told = [t for t in study_of(tmp_path / "tiny").trials if "source" in t.user_attrs]
    assert {trial.params["lr"] for trial in told} == {1e-3, 3e-4}
    rates = load_trials(tmp_path / "grid").set_index("config/lr")["best/val_accuracy"]
    assert all(trial.value == rates[trial.params["lr"]] for trial in told)


@pytest.fixture(scope="module")
def other_images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for name in "ab":
        (folder / name).mkdir()
        for i in range(10):
            pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def test_a_run_on_other_images_is_refused(tiny, earlier, other_images, tmp_path, capfd):
    other = ["--from", earlier, "--data", other_images]
    assert tiny(tmp_path / "runs", *other, "--trials", 2) == 2
    message = capfd.readouterr().err
    assert load_run(earlier)["dataset"]["fingerprint"] in message
    assert "--force" in message
    assert not (tmp_path / "runs").exists()


def test_settings_are_taken_from_a_run_on_other_images_by_force(
    tiny, earlier, other_images, tmp_path, study_of, capfd
):
    other = ["--from", earlier, "--data", other_images, "--force"]
    assert tiny(tmp_path, *other, "--trials", 3) == 0
    assert "0 trials added to the study, 3 settings to try first" in capfd.readouterr().out
    trials = study_of(tmp_path / "tiny").trials
    assert not any("source" in trial.user_attrs for trial in trials)
    best_first = load_trials(earlier).sort_values("best/val_accuracy", ascending=False)
    assert [trial.params["lr"] for trial in trials] == best_first["config/lr"].tolist()


def test_a_search_killed_before_it_has_a_study_still_begins_with_the_recipe(
    tiny, search, tmp_path, study_of
):
    def killed(*_):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tune_jobs.search.optuna_strategy.OptunaStrategy.open", killed)
        assert tiny(tmp_path, "--trials", 1) == 130
    assert search("--name", "tiny", "--storage-path", tmp_path, "--resume") == 0
    assert [trial.params["lr"] for trial in study_of(tmp_path / "tiny").trials] == [1e-3]


def test_a_search_killed_while_it_is_told_of_an_earlier_run_is_told_of_it_all_once(
    tiny, search, earlier, tmp_path, study_of
):
    add = optuna.Study.add_trial

    def one_only(study, trial):
        if study.trials:
            raise KeyboardInterrupt
        add(study, trial)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optuna.Study, "add_trial", one_only)
        assert tiny(tmp_path, "--from", earlier, "--trials", 1) == 130
    assert search("--name", "tiny", "--storage-path", tmp_path, "--resume") == 0
    sources = [trial.user_attrs.get("source") for trial in study_of(tmp_path / "tiny").trials]
    assert len(sources) == 4
    assert len(set(sources)) == 4


# Bad input


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sampler", "magic"], ["magic", "tpe"]),
        (["--sampler", "nsga2"], ["nsga2", "several objectives"]),
        (["--sampler", "cmaes", "--objective", "accuracy,seconds"], ["cmaes", "one objective"]),
        (["--objective", "speed"], ["speed", "metric,parameters"]),
        (["--objective", "seconds"], ["seconds", "metric,parameters"]),
        (["--objective", "accuracy,accuracy"], ["accuracy,accuracy", "out of"]),
        (
            ["--metric", "auroc", "--objective", "accuracy,seconds"],
            ["accuracy", "--metric is auroc"],
        ),
        (["--trials", "0"], ["--trials is 0", "1 or more"]),
        (["--trials", "many"], ["many"]),
        (["--seed", "-1"], ["--seed is -1", "at least 0"]),
        (["--max-time", "0"], ["--max-time 0", "above 0"]),
        (["--max-time", "0s"], ["--max-time 0s", "above 0"]),
        (["--max-time", "fast"], ["fast", "30m"]),
        (["--max-epochs-total", "0"], ["--max-epochs-total is 0", "1 or more"]),
        (["--model", "vgg99"], ["vgg99", "vgg19"]),
        (["--extend", "3"], ["--extend", "--name"]),
        (["--extend", "3", "--name", "nothing"], ["nothing", "no run"]),
        (["--extend", "-1", "--name", "search", "--storage-path", "{finished}"], ["-1", "1 or"]),
        (["--extend", "1", "--name", "search", "--storage-path", "{finished}",
          "--from", "{finished}/search"], ["--from", "differs from the run's ()"]),
        (["--extend", "x", "--name", "search", "--storage-path", "{finished}"], ["x"]),
        (["--optuna-storage", "postgresql+psycopg://nobody@127.0.0.1:1/x"],
         ["127.0.0.1:1/x", "--optuna-storage"]),
        (["--optuna-storage", "nonsense"], ["nonsense", "--optuna-storage"]),
        (["--optuna-storage", "postgresql://me:secret@127.0.0.1:1/x"], ["me:***@", "PGPASSWORD"]),
        (["--optuna-storage", "postgresql://me@127.0.0.1:1/x?password=secret"], ["PGPASSWORD"]),
        (["--optuna-storage", "mysql+pymysql://me@127.0.0.1:1/x?passwd=secret"], ["PGPASSWORD"]),
        (["--optuna-storage", "sqlite:///{tmp}/notes.txt"], ["notes.txt", "--optuna-storage"]),
        (["--optuna-storage", "sqlite:///{tmp}/no/where.db"], ["where.db", "--optuna-storage"]),
        (["--space", "{tmp}/missing.yaml"], ["missing.yaml", "cannot be read"]),
        (["--space", "{tmp}/notes.txt"], ["notes.txt", ".yaml"]),
        (["--space", "{tmp}/unknown.yaml"], ["unknown.yaml line 2", "colour"]),
        (["--space", "{tmp}/range.yaml"], ["range.yaml line 1", "low 1", "below high"]),
        (["--space", "{tmp}/good.yaml", "--model", "vgg99"], ["vgg99", "vgg19"]),
        (["--from", "{tmp}/nothing"], ["nothing", "run.json"]),
    ],
)  # fmt: skip
def test_bad_input_is_one_message_and_exit_code_2(
    arguments, words, search, finished, tmp_path, assert_one_message
):
    (tmp_path / "notes.txt").write_text("Remember the milk.\n" * 99)
    (tmp_path / "good.yaml").write_text("lr: {low: 1e-4, high: 1e-2}\n")
    (tmp_path / "unknown.yaml").write_text("lr: {low: 1e-4, high: 1e-2}\ncolour: {choices: [a]}\n")
    (tmp_path / "range.yaml").write_text("lr: {low: 1, high: 0.1}\n")
    arguments = [word.format(tmp=tmp_path, finished=finished.parent) for word in arguments]
    if "--storage-path" not in arguments:
        arguments += ["--storage-path", tmp_path / "runs"]
    assert search(*arguments) == 2
    assert_one_message(words)
    assert not (tmp_path / "runs").exists()  # nothing was started


def test_a_password_of_an_earlier_version_can_be_left_out(finished, search, tmp_path, capfd):
    shutil.copytree(finished, tmp_path / "search")
    file = tmp_path / "search" / "run.json"
    record = json.loads(file.read_text())
    record["options"]["optuna_storage"] = "postgresql://me:secret@127.0.0.1:1/x"
    file.write_text(json.dumps(record))
    again = ("--name", "search", "--storage-path", tmp_path, "--resume")
    assert search(*again) == 2
    assert "has a password" in (printed := capfd.readouterr().err)
    assert "secret" not in printed
    assert search(*again, "--optuna-storage", "postgresql://me@127.0.0.1:1/x") == 2
    assert "Optuna cannot store a study" in (printed := capfd.readouterr().err)
    assert "secret" not in printed


def test_a_study_lies_in_its_run_whatever_the_folder_is_called(tmp_path):
    folder = RunFolder.at(tmp_path / "is this? 50%20 #1")
    folder.make()
    StudyStorage(folder, None).close()
    assert [file.name for file in tmp_path.rglob("*.db")] == ["optuna.db"]
    assert folder.has("optuna.db")
