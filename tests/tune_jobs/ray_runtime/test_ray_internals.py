from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune.execution import tune_controller

from tune_jobs.ray_runtime.ray_internals import trial_actors


def test_a_worker_that_is_ended_for_want_of_memory_fails_its_trial_alone(monkeypatch):
    """Ray's own ends the run at an exception of any other type."""
    failures = []

    def fail(self, task, exception):
        failures.append(exception)

    monkeypatch.setattr(tune_controller.RayActorManager, "_actor_task_failed", fail)
    with trial_actors():
        actors = tune_controller.RayActorManager.__new__(tune_controller.RayActorManager)
        actors._actor_task_failed(None, OutOfMemoryError("5.55GB used"))
    assert isinstance(failures[0], RayActorError)
    assert "--batch-size" in str(failures[0])
    assert "5.55GB used" in str(failures[0])
