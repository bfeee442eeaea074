"""Population-based training on a real local Ray."""

import os
import random
import signal

import pytest

from tests.tune_jobs.conftest import on_each_result
from trainables.checkpoint import load_checkpoint
from trainables.config import MUTABLE_SETTINGS, TrialConfig
from tune_jobs.analysis.results import load_epochs, load_run, load_trials
from tune_jobs.run_folder.schema import config_of
from tune_jobs.search.pbt import FACTORS, explore
from tune_jobs.search_space.space import Parameter

pytestmark = pytest.mark.usefixtures("undrawn")

TRIALS, EPOCHS = 4, 10
SPACE = """\
lr: {low: 1e-6, high: 1e-1, log: true}
dropout: {low: 0.0, high: 0.5}
batch_size: {choices: [64, 128]}
model.widths: {choices: [[4, 8], [8, 16]]}
"""
LR = Parameter(name="lr", kind="float", low=1e-3, high=1e-1, log=True)
DROPOUT = Parameter(name="dropout", kind="float", low=0.0, high=0.5)
SMOOTHING = Parameter(name="label_smoothing", kind="categorical", choices=(0.0, 0.1))


def interrupt_after_copy(run):
    """Return a hook that presses Ctrl-C in the epoch after the first copy has been made."""
    pressed = []

    def hook(trial, result):
        if not pressed and load_trials(run)["copied"].notna().any():
            pressed.append(True)
            os.kill(os.getpid(), signal.SIGINT)

    return hook


@pytest.fixture(scope="module")
def population(local_ray, search, tmp_path_factory):
    """A population that was interrupted once it had a copy, and went on."""
    storage = tmp_path_factory.mktemp("population")
    (storage / "space.yaml").write_text(SPACE)
    run = storage / "population"
    named = ["--name", "population", "--storage-path", storage]
    options = f"--scheduler pbt --sampler qmc --trials {TRIALS} --epochs {EPOCHS}"
    with pytest.MonkeyPatch.context() as patch:
        on_each_result(patch, interrupt_after_copy(run))
        assert search(*named, *options.split(), "--space", storage / "space.yaml") == 130
    before = load_trials(run), load_epochs(run)
    assert search(*named, "--resume") == 0
    return run, before


def copies(trials):
    """Name of each copy, the last trial it copied, and after which epoch."""
    for _, row in trials[trials["copied"].notna()].iterrows():
        donor, _, _, epoch = row["copied"].split(", ")[-1].split()
        yield row["trial"], donor, int(epoch)


def test_every_trial_has_every_epoch_once(population):
    run, _ = population
    trials, epochs = load_trials(run), load_epochs(run)
    assert list(trials["status"]) == ["finished"] * TRIALS
    for name in trials["trial"]:
        assert list(epochs[epochs["trial"] == name]["epoch"]) == list(range(1, EPOCHS + 1))


def test_a_copy_has_the_past_of_its_donor_and_settings_that_may_change(population):
    run, (before, _) = population
    trials, epochs = load_trials(run), load_epochs(run)
    curves = {name: list(rows["val_loss"]) for name, rows in epochs.groupby("trial")}
    found = list(copies(trials))
    assert {name for name, _, _ in copies(before)} <= {name for name, _, _ in found}
    assert found
    rows = {row["trial"]: row for row in trials.to_dict("records")}
    for name, donor, epoch in found:
        if not isinstance(rows[donor]["copied"], str):  # it still has the past it gave
            assert curves[name][:epoch] == curves[donor][:epoch]
            ours, theirs = config_of(rows[name]).to_dict(), config_of(rows[donor]).to_dict()
            differing = {key for key in ours if ours[key] != theirs[key]}
            assert differing
            assert differing <= set(MUTABLE_SETTINGS)


def test_a_copy_that_is_interrupted_goes_on_where_it_was(population):
    run, (before, epochs_before) = population
    after, epochs = load_trials(run).set_index("trial"), load_epochs(run)
    same = [name for name, *_ in copies(before)
            if after["copied"][name] == before.set_index("trial")["copied"][name]]  # fmt: skip
    assert same
    for name in same:
        begun = list(epochs_before[epochs_before["trial"] == name]["val_loss"])
        whole = list(epochs[epochs["trial"] == name]["val_loss"])
        assert begun
        assert whole[: len(begun)] == begun


def test_the_tables_and_the_checkpoints_agree(population, assert_weights_are_hashed):
    run, _ = population
    assert_weights_are_hashed(run)
    for row in load_trials(run).to_dict("records"):
        state = load_checkpoint(run / row["checkpoint"])
        assert TrialConfig.from_dict(state["config"]) == config_of(row)
        assert len(state["history"]) == EPOCHS


def test_the_study_keeps_what_was_proposed_until_a_trial_became_a_copy(population, study):
    run, _ = population
    rows = load_trials(run).set_index("trial")
    assert len(study.trials) == TRIALS
    for trial in study.trials:
        copied = rows["copied"][f"trial-{trial.number:03d}"]
        if isinstance(copied, str):
            assert trial.state.name == "PRUNED"
            assert trial.user_attrs["copied"] == copied
            assert len(trial.intermediate_values) < EPOCHS
        else:
            assert trial.state.name == "COMPLETE"
            assert len(trial.intermediate_values) == EPOCHS


@pytest.fixture
def study(population):
    import optuna

    run, _ = population
    return optuna.load_study(study_name=run.name, storage=load_run(run)["search"]["storage"])


@pytest.mark.parametrize("seed", range(20))
def test_settings_change_by_a_factor_or_anew_and_stay_in_their_range(seed):
    config = TrialConfig(lr=0.09, dropout=0.2)
    new = explore(config, [LR, DROPOUT, SMOOTHING], random.Random(seed))
    assert 1e-3 <= new.lr <= 0.1
    assert 0 <= new.dropout <= 0.5
    assert new.label_smoothing in SMOOTHING.choices
    assert (new.batch_size, new.optimizer) == (config.batch_size, config.optimizer)


def test_settings_take_every_way_to_change():
    rng, config = random.Random(0), TrialConfig(lr=0.01, dropout=None)
    drawn = [explore(config, [LR, DROPOUT], rng) for _ in range(200)]
    for factor in FACTORS:
        assert any(new.lr == pytest.approx(factor * 0.01) for new in drawn)
    assert sum(new.lr not in (0.01 * FACTORS[0], 0.01 * FACTORS[1]) for new in drawn) > 20
    assert any(new.dropout is None for new in drawn)  # the model's own, which has no factor


def test_a_setting_that_has_steps_stays_on_them():
    stepped = Parameter(name="dropout", kind="float", low=0.0, high=0.5, step=0.25)
    rng, config = random.Random(0), TrialConfig(lr=0.01, dropout=0.25)
    drawn = {explore(config, [stepped], rng).dropout for _ in range(50)}
    assert drawn == {0.0, 0.25, 0.5}


def test_a_space_with_nothing_to_change_is_refused(search, tmp_path, assert_one_message):
    (tmp_path / "space.yaml").write_text("batch_size: {choices: [64, 128]}\n")
    assert search("--scheduler", "pbt", "--space", tmp_path / "space.yaml") == 2
    assert_one_message(["--scheduler pbt", "lr, weight_decay", "asha"])


def test_the_grid_has_no_population(command, assert_one_message):
    assert command("--scheduler", "pbt") == 2
    assert_one_message(["pbt", "fifo", "asha", "hyperband"])
