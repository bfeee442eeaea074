import json
from types import SimpleNamespace

from ray.tune.logger import LoggerCallback

from trainables.config import TrialConfig
from tune_jobs.tuning.tracking import with_settings


class Spy(LoggerCallback):
    def log_trial_start(self, trial):
        self.seen = trial.config


def test_a_tracker_logs_the_settings_of_a_trial():
    config = TrialConfig(lr=3e-4, batch_size=32)
    given = {"trial": {"name": "lr=0.0003", "config": json.dumps(config.to_dict())}}
    trial = SimpleNamespace(trial_id="1", config=given)
    tracker = with_settings(Spy)()
    tracker.on_trial_start(0, [trial], trial)
    assert (tracker.seen["lr"], tracker.seen["batch_size"]) == (3e-4, 32)
    assert trial.config is given
    trial.config = {"trial": {"config": "{}"}}
    tracker.on_trial_start(1, [trial], trial)  # it continues from a copy of another
    assert tracker.seen["lr"] == 3e-4
