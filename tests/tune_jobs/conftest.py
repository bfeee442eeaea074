import hashlib
import math
import os
import secrets
import shutil
import signal

import optuna
import pandas as pd
import pytest
import ray
import torch
from matplotlib.figure import Figure
from ray.cluster_utils import Cluster
from safetensors.torch import save

from tests import nets
from tests.tune_jobs.runs import write_run
from trainables.cache_files import cache_folder
from trainables.checkpoint import BEST_FILE
from trainables.config import TrialConfig
from tune_jobs import lr_grid, optuna_search
from tune_jobs.analysis.results import load_epochs, load_trials
from tune_jobs.command_line import entry_point
from tune_jobs.command_line.options import DataOptions
from tune_jobs.ray_runtime.ray_internals import lean_node, token_authentication
from tune_jobs.test_set.ledger import LEDGER_FOLDER
from tune_jobs.tuning.tracking import TensorBoard


@pytest.fixture(scope="session")
def rays(forked_workers, tmp_path_factory):
    """Return the address of a Ray of so many cores on this machine; started where first asked for.

    All modules use the same, as each Ray takes seconds to start.
    """
    started = {}
    token = tmp_path_factory.mktemp("ray") / "token"
    token.write_text(secrets.token_hex(32))

    def address(cores):
        if cores not in started:
            node = {"num_cpus": cores, "include_dashboard": False}
            with lean_node():
                started[cores] = Cluster(initialize_head=True, head_node_args=node)
        return started[cores].address

    with token_authentication(token):
        yield address
        for cluster in started.values():
            cluster.shutdown()


@pytest.fixture(scope="module")
def local_ray(request, rays):
    """Connect a test module to a local Ray, of one core or of CORES.

    A job starts a worker process per core, which takes longer than to train these trials.
    """
    torch.set_num_threads(1)
    with lean_node():  # which is connected to as it is started
        ray.init(rays(getattr(request.module, "CORES", 1)), log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def undrawn():
    """Save every figure as an empty one: that takes a third of the time of many short jobs.

    Figures are still made; tests of their own save them.
    """
    save = Figure.savefig

    def save_empty(self, *arguments, **options):
        save(Figure(figsize=(1, 1)), *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", save_empty)
        yield


@pytest.fixture(autouse=True)
def _no_opening_yet():
    """No test finds the test images that another test has opened."""
    shutil.rmtree(cache_folder() / LEDGER_FOLDER, ignore_errors=True)


def command_line(job):
    def run(*arguments):
        words = [f"tune_jobs/{job.__name__}.py", *map(str, arguments)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", words)
            with pytest.raises(SystemExit) as ended:
                entry_point.main(job)
        return ended.value.code

    return run


@pytest.fixture(scope="session")
def command():
    """Run the command line of the grid in this process; returns the exit code."""
    return command_line(lr_grid.lr_grid)


@pytest.fixture(scope="session")
def search():
    """Run the command line of the search in this process; returns the exit code."""
    return command_line(optuna_search.optuna_search)


@pytest.fixture
def assert_one_message(capfd):
    """Check that the output contains all the words and no traceback."""

    def check(words):
        printed = capfd.readouterr()
        # The parser frames its messages in a box.
        message = " ".join((printed.err + printed.out).replace("│", " ").split())
        for word in words:
            assert word in message
        assert "Traceback" not in message

    return check


def on_each_result(patch, hook):
    """Make the driver call `hook(trial, result)` after a result is in the tables."""

    def call(self, iteration, trials, trial, result, **info):
        hook(trial, result)

    patch.setattr(TensorBoard, "on_trial_result", call)


@pytest.fixture
def killed_worker(monkeypatch):
    """Kill the worker process that reports epoch 2, once; the list then has its process id."""
    killed = []

    def kill(trial, result):
        if result.get("epoch") == 2 and not killed:
            killed.append(result["pid"])
            os.kill(result["pid"], signal.SIGKILL)

    on_each_result(monkeypatch, kill)
    return killed


@pytest.fixture(scope="session")
def assert_weights_are_hashed():
    """Check that the table of a run has the hash of every trial's weights."""

    def check(run):
        trained = load_trials(run).dropna(subset=["checkpoint"])
        assert len(trained)
        for row in trained.to_dict("records"):
            weights = (run / row["checkpoint"] / BEST_FILE).read_bytes()
            assert row["weights_sha256"] == hashlib.sha256(weights).hexdigest()

    return check


STATE_OF = {"finished": "COMPLETE", "stopped": "PRUNED", "diverged": "FAIL", "failed": "FAIL"}


@pytest.fixture(scope="session")
def study_of():
    """Load the study of a run, after comparing it with the tables trial by trial."""

    def read(run, storage=None):
        study = optuna.load_study(
            study_name=run.name, storage=storage or f"sqlite:///{run}/optuna.db"
        )
        own = {f"trial-{t.number:03d}": t for t in study.trials if "source" not in t.user_attrs}
        trials = load_trials(run).set_index("trial")
        assert trials.index.is_unique
        trials = trials[trials["members"].isna()]  # no study proposed a soup
        assert {name: t.state.name for name, t in own.items()} == {
            name: STATE_OF[status] for name, status in trials["status"].items()
        }
        epochs = load_epochs(run)
        assert not epochs.duplicated(["trial", "epoch"]).any()
        for name, trial in own.items():
            curve = epochs[epochs["trial"] == name].set_index("epoch")["val_accuracy"].to_dict()
            assert sorted(curve) == list(range(1, trials.loc[name, "epochs"] + 1))
            if len(study.directions) == 1:
                assert trial.intermediate_values == curve
            if trial.values:
                best = trials.loc[name, "best/val_accuracy"]
                pruned = trial.state.name == "PRUNED"  # Optuna keeps the last value
                assert trial.values[0] == (curve[max(curve)] if pruned else best)
            for parameter, value in trial.params.items():
                given = trials.loc[name, f"config/{parameter}"]
                same = pd.isna(given) if value is None else given == value
                assert same or math.isclose(given, value)
        return study

    return read


@pytest.fixture(scope="session")
def trained_runs(tmp_path_factory):
    """A grid of the custom CNN and fine-tuned tiny networks, on digits; tests copy what they
    change."""
    storage = tmp_path_factory.mktemp("runs")
    common = {"batch_size": 32, "precision": "fp32", "normalize": "dataset"}
    small = {**common, "model_args": {"widths": [8, 16], "hidden_units": 16}}
    grid = {f"lr={lr:g}": TrialConfig(epochs=4, lr=lr, **small) for lr in (3e-3, 1e-3, 3e-4)}
    write_run(storage / "lr-grid", grid, DataOptions(image_size=(8,)))
    torch.manual_seed(0)
    weights = storage / "tiny.safetensors"
    weights.write_bytes(save(nets.tiny(5).state_dict()))
    network = {**common, "epochs": 2, "model": "tests.nets:tiny"}
    tuned = {
        "tiny,full": TrialConfig(lr=3e-3, weights=str(weights), **network),
        "tiny,probe": TrialConfig(lr=0.1, weights=str(weights), mode="probe", **network),
        "tiny,scratch": TrialConfig(lr=1e-2, **network),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(storage / ".cache"))
        # The same images in another size.
        write_run(storage / "finetune", tuned, DataOptions(image_size=(12,)), job="finetune")
    return storage


@pytest.fixture
def runs(trained_runs, tmp_path):
    """A copy of the trained runs in its own storage folder."""
    shutil.copytree(trained_runs, tmp_path / "runs")
    return tmp_path / "runs"
