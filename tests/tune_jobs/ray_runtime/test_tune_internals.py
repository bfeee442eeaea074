from types import SimpleNamespace

from ray.air.execution._internal import TrackedActor
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune import tune as tune_module
from ray.tune.execution import tune_controller

from tune_jobs.ray_runtime.tune_internals import TrialActors, lean_controller, trial_actors


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


def test_results_that_have_been_read_are_not_kept():
    """Ray's own keeps them in the memory of the driver until the actor ends."""
    results = (f"result {i}" for i in range(3))
    actor, manager = TrackedActor(0), TrialActors(SimpleNamespace())
    started = SimpleNamespace(train=SimpleNamespace(remote=lambda: next(results)))
    manager._live_actors_to_ray_actors_resources[actor] = (started, None)
    manager.schedule_actor_task(actor, "train")
    manager.schedule_actor_task(actor, "train")
    manager._actor_task_events.discard_future("result 0")  # as when it has been read
    manager.schedule_actor_task(actor, "train")
    assert manager._tracked_actors_to_task_futures[actor] == {"result 1", "result 2"}


def test_trials_are_not_described_for_a_restore_by_ray():
    """Ray's own keeps 10 KB of text on each trial, and writes all of them time and again."""
    with lean_controller():
        controller = tune_module.TuneController.__new__(tune_module.TuneController)
    controller._trials_to_cache, controller._trial_metadata = set(), {}
    controller._mark_trial_to_checkpoint(object())  # which has no text
    assert controller._get_trial_checkpoints() == {}
    assert not controller._trials_to_cache
    assert not controller._trial_metadata
