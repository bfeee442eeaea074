from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from tune_jobs.command_line.options import JobOptions
from tune_jobs.tuning.schedulers import build_scheduler


class FakeTrial:
    """As much of Ray's trial as a scheduler looks at."""

    def __init__(self, name):
        self.trial_id, self.status, self.is_saving = name, Trial.RUNNING, False


@pytest.fixture
def options():
    return JobOptions(scheduler="hyperband")


def result(options, accuracy):
    return {"epoch": options.training.epochs, "val_accuracy": accuracy}


def test_hyperband_ends_a_trial_that_is_being_paused_when_its_bracket_is_done(options):
    ended = []
    controller = SimpleNamespace(stop_trial=ended.append)
    hyperband = build_scheduler(options, {})
    trials = [FakeTrial(str(number)) for number in range(2)]
    for trial in trials:
        hyperband.on_trial_add(controller, trial)
    # One bracket goes through several rounds: the last is what counts.
    bracket, _ = hyperband._trial_info[trials[0]]
    bracket._halves, bracket._cumul_r = 0, options.training.epochs
    first, last = (result(options, accuracy) for accuracy in (0.5, 0.6))
    assert hyperband.on_trial_result(controller, trials[0], first) == TrialScheduler.PAUSE
    trials[0].is_saving = True  # which takes a moment, while its status is still RUNNING
    assert hyperband.on_trial_result(controller, trials[1], last) == TrialScheduler.STOP
    assert ended == [trials[0]]


@pytest.mark.parametrize("scheduler", ["fifo", "asha", "hyperband"])
def test_a_trial_that_says_how_it_ended_needs_no_score(scheduler):
    schedule = build_scheduler(JobOptions(scheduler=scheduler), {})
    trial = FakeTrial("diverged")
    schedule.on_trial_add(None, trial)
    ended = {"status": "diverged", "error": "loss is nan in epoch 1"}
    assert schedule.on_trial_result(None, trial, ended) == TrialScheduler.CONTINUE
