import pytest
import ray

from tune_jobs.ray_runtime.epoch_progress import (
    Progress,
    forget_progress,
    read_progress,
    send_progress,
)


@pytest.mark.usefixtures("local_ray")
def test_the_driver_reads_what_the_worker_of_a_trial_sent_last():
    send = ray.remote(send_progress)
    for message in (("a", 1, 500, 1000), ("a", 2, 30, 1000), ("b", 1, 7, 1000)):
        ray.get(send.remote(*message))
    assert read_progress(["a", "b", "not begun"]) == {
        "a": Progress(epoch=2, images=30, of=1000),
        "b": Progress(epoch=1, images=7, of=1000),
    }
    forget_progress()
    assert read_progress(["a", "b"]) == {}
