import dataclasses
import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from tests.tune_jobs.runs import QUIET, typed
from trainables.config import Recipe, TrialConfig
from tune_jobs.command_line.options import DataOptions, RunOptions
from tune_jobs.optuna_search import SearchOptions
from tune_jobs.ray_runtime.capacity import Prices
from tune_jobs.tuning.data import read_images
from tune_jobs.tuning.found_images import find_images
from tune_jobs.tuning.pilot import (
    PILOT_EPOCHS,
    Plan,
    expected_share,
    make_plan,
    pilot_images,
    pilot_trials,
)
from tune_jobs.tuning.plan import PLANS_FOLDER, compare_plan, plan_file, print_plan

CORES = 2
"""Of the local Ray: two trials at a time, as in the plan."""
PLAN = Plan(
    trials=5,
    epochs=20,
    share=0.25,
    slots=2,
    at_once=4,
    start_s=10,
    epoch_s=2,
    checkpoint_mb=5,
    memory_mb={"resnet18": 900, "googlenet": 700},
)


@pytest.mark.parametrize(
    ("at_once", "rounds"),
    [(2, 3), (4, 2), (5, 1), (8, 1)],
)
def test_trials_run_in_rounds_of_as_many_as_there_are_slots(at_once, rounds):
    assert PLAN.seconds(at_once) == 10 + rounds * 20 * 2
    assert PLAN.seconds(at_once, share=0.5) == 10 + rounds * 10 * 2


@pytest.mark.parametrize(
    ("scheduler", "epochs", "share"),
    [
        ("fifo", 20, 1.0),
        ("pbt", 20, 1.0),
        # 2 epochs of all, up to 6 of a third, up to 18 of a ninth, to the end of a 27th
        ("asha", 20, (2 + 4 / 3 + 12 / 9 + 2 / 27) / 20),
        ("asha", 1, 1.0),
        ("hyperband", 2, (1 + 1 / 3) / 2),
    ],
)
def test_a_third_is_expected_to_pass_each_rung(scheduler, epochs, share):
    options = SearchOptions(scheduler=scheduler, training=Recipe(epochs=epochs))
    assert expected_share(options) == pytest.approx(share)


def test_a_plan_starts_nothing_and_is_compared_with_the_run(local_ray, command, capfd, tmp_path):
    given = ("--storage-path", tmp_path, "--smoke-test", "--lr", 1e-3, 1e-4, 1e-2)
    assert command(*given, "--plan", "--price-per-hour", 2.5) == 0
    out = capfd.readouterr().out
    assert "3 trials of 2 epochs, 2 concurrent trials per node" in out
    assert "cost ($)" in out
    assert "MB of checkpoints" in out
    assert [path.name for path in tmp_path.iterdir()] == [".plans"]
    assert command(*given) == 0
    ran = capfd.readouterr().out
    assert "planned" in ran
    assert "Last result" not in out + ran  # a line of Ray's own
    assert command(*given, "--max-concurrent", 1) == 0  # another run, which was not planned
    assert "planned" not in capfd.readouterr().out


def test_what_is_planned_for_is_what_the_options_say(local_ray, command, capfd, tmp_path):
    assert command("--storage-path", tmp_path, "--smoke-test", "--plan", "--price-per-hour", 0) == 2
    assert "--price-per-hour 0" in capfd.readouterr().err


def test_dollars_are_of_all_nodes_and_the_head(capsys):
    print_plan(PLAN, Prices(500.0, head=220.0), Console(width=100))
    out = capsys.readouterr().out
    rows = {int(row[0]): row[-3:] for row in map(str.split, out.splitlines()) if row[0].isdecimal()}
    # 40 to 130 s on one node, 30 to 90 s on two, and the head as long.
    assert rows[1] == [f"{720 * 40 / 3600:.2f}", "to", f"{720 * 130 / 3600:.2f}"]
    assert rows[2] == [f"{1220 * 30 / 3600:.2f}", "to", f"{1220 * 90 / 3600:.2f}"]
    assert "until nodes have started, and its cost, are not included" in out


@pytest.mark.parametrize(
    ("models", "slots", "trials", "configs"),
    [
        ("a", 2, 1, "a"),
        ("aaa", 2, 3, "aa"),
        ("aaa", 8, 6, "aaaaaa"),
        ("aaabbb", 1, 6, "ab"),
        ("abc", 2, 3, "abc"),
        ("aabbcc", 2, 6, "abca"),
        ("abc", 4, 3, "abc"),
        ("abc", 8, 9, "abcabcab"),
    ],
)
def test_each_network_is_tried_while_all_slots_are_taken(models, slots, trials, configs):
    examples = [TrialConfig(lr=lr, model=model) for lr, model in enumerate(models, start=1)]
    assert "".join(config.model for config in pilot_trials(examples, slots, trials)) == configs


@pytest.mark.parametrize(("cold", "start_s"), [(False, 90), (True, 10)])
def test_the_start_of_a_node_is_not_in_the_plan(cold, start_s, monkeypatch):
    found = find_images(DataOptions())
    data = read_images(found, [], None, smoke_test=False, console=QUIET).trials
    command = typed(SearchOptions(scheduler="fifo", training=Recipe(epochs=20)))

    def train(folder, configs, subset, clock):
        begin = command.started
        clock.waited_s = 80.0
        clock.reports = {name: [begin + 90 + 10 * i for i in range(1, 5)] for name in configs}
        monkeypatch.setattr(time, "monotonic", lambda: begin + 130)  # at the end
        Path(folder.path, "checkpoint").mkdir(parents=True)
        Path(folder.path, "checkpoint", "weights").touch()
        row = {"peak_memory_mb": 100.0, "checkpoint": "checkpoint", "status": "finished"}
        return dict.fromkeys(configs, row)

    plan = make_plan(command, 4, [TrialConfig(lr=1e-3)], data, 2, 4, cold, train)
    assert plan.epoch_s == pytest.approx(10)
    assert plan.start_s == pytest.approx(start_s)


def plan_of(monkeypatch, row, config):
    """A plan whose pilot trials report once, 20 s after the start, and end with such a row."""
    found = find_images(DataOptions())
    data = read_images(found, [], None, smoke_test=False, console=QUIET).trials
    command = typed(SearchOptions(scheduler="fifo"))

    def train(folder, configs, subset, clock):
        clock.reports = {name: [command.started + 20] for name in configs}
        monkeypatch.setattr(time, "monotonic", lambda: command.started + 25)
        Path(folder.path, "checkpoint").mkdir(parents=True)
        Path(folder.path, "checkpoint", "weights").touch()
        return dict.fromkeys(configs, {"peak_memory_mb": 1.0, "checkpoint": "checkpoint"} | row)

    return make_plan(command, 1, [config], data, 1, 1, False, train)


@pytest.mark.parametrize(("features_s", "start_s"), [(12.0, 12.0), (88.0, 25.0)])
def test_features_that_were_in_the_cache_take_nothing_off_the_start(
    features_s, start_s, monkeypatch
):
    row = {"status": "finished", "seconds": 1.0, "features_s": features_s}
    config = TrialConfig(lr=1e-3, model="resnet18", weights="default").as_probe(1.0)
    assert plan_of(monkeypatch, row, config).start_s == pytest.approx(start_s)


def test_a_pilot_run_that_is_interrupted_is_no_plan(monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        plan_of(monkeypatch, {"status": "running"}, TrialConfig(lr=1e-3))


def test_a_run_on_several_nodes_is_compared_with_the_plan_for_them(tmp_path, capsys):
    options = SearchOptions(run=RunOptions(storage_path=str(tmp_path)))
    (tmp_path / PLANS_FOLDER).mkdir()
    (tmp_path / PLANS_FOLDER / plan_file(options)).write_text(json.dumps(dataclasses.asdict(PLAN)))
    record = {"started": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T00:00:33+00:00"}
    compare_plan(typed(options), record, Console(width=100))
    # A quarter of 20 epochs of 2 s, in two rounds.
    assert "planned 30 s, actual 33 s (+10%)" in capsys.readouterr().out


def test_a_plan_says_what_memory_each_network_takes(capsys):
    print_plan(PLAN, None, Console(width=100))
    assert "900 MB per trial of resnet18, 700 MB per trial of googlenet" in capsys.readouterr().out


def test_fields_of_a_plan_survive_json():
    assert Plan(**dataclasses.asdict(PLAN)) == PLAN


@pytest.mark.parametrize(
    ("epochs", "images", "expected"), [(4, 3068, 613), (20, 3068, 3000), (2, 500, 500)]
)
def test_a_pilot_is_much_shorter_than_the_run(epochs, images, expected):
    found = pilot_images(epochs, images)
    assert found == expected
    assert found == 500 or PILOT_EPOCHS * found <= 0.2 * epochs * images
