"""On a real Ray of several nodes, on this machine, which are lost one after the other."""

import threading

import pandas as pd
import pytest
import ray
from ray import ActorID
from ray._private.state import available_resources_per_node
from ray.cluster_utils import Cluster
from ray.core.generated.common_pb2 import ActorDiedErrorContext, NodeDeathInfo
from ray.exceptions import ActorDiedError, ActorUnavailableError

from tests.tune_jobs.conftest import command_line
from tune_jobs import lr_grid
from tune_jobs.analysis.results import load_trials
from tune_jobs.tuning import tuner
from tune_jobs.tuning.node_failures import node_was_lost

command = command_line(lr_grid.lr_grid)
LOSSES = 2


@pytest.fixture
def cluster(monkeypatch, forked_workers):
    # As cluster.yaml has them.
    for name, value in (("period_ms", 2000), ("timeout_ms", 2000), ("failure_threshold", 3)):
        monkeypatch.setenv(f"RAY_health_check_{name}", str(value))
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(LOSSES + 1):
        made.add_node(num_cpus=1)
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


def busy(cluster):
    """The node that the trial runs on."""
    free = available_resources_per_node()
    taken = [n for n in cluster.worker_nodes if not free.get(n.node_id, {"CPU": 1}).get("CPU", 0)]
    return taken[0] if taken else None


def lose_some(cluster, epochs, end):
    seen = 0
    for _ in range(LOSSES):
        while not end.wait(0.2):
            now = len(pd.read_parquet(epochs)) if epochs.exists() else 0
            if now > seen + 2 and (node := busy(cluster)):
                cluster.remove_node(node, allow_graceful=False)
                seen = now
                break


@pytest.mark.cluster
def test_lost_nodes_are_not_counted_as_failures_of_a_trial(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(tuner, "WORKER_RETRIES", LOSSES - 1)
    run, end = tmp_path / "lr-grid", threading.Event()
    losing = threading.Thread(target=lose_some, args=(cluster, run / "epochs.parquet", end))
    losing.start()
    try:
        code = command("--image-size", 8, "--lr", 1e-3, "--epochs", 150, "--storage-path", tmp_path)
    finally:
        end.set()
        losing.join()
    assert code == 0
    assert len(cluster.worker_nodes) == 1
    assert load_trials(run)["status"].tolist() == ["finished"]


def died(message, reason="UNEXPECTED_TERMINATION"):
    info = NodeDeathInfo(reason=NodeDeathInfo.Reason.Value(reason))
    cause = ActorDiedErrorContext(
        error_message=message, node_death_info=info, actor_id=ActorID.from_random().binary()
    )
    return ActorDiedError(cause)


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (ActorUnavailableError("RpcError: Socket closed", None), True),
        (died("The actor died because its node has died."), True),
        # Ray has not counted it.
        (died("The actor died because its node has died.", "AUTOSCALER_DRAIN_PREEMPTED"), False),
        (died("The actor is dead because its worker process has died."), False),
    ],
)
def test_a_lost_node_is_told_from_a_worker_process_that_died(error, lost):
    assert node_was_lost(error) == lost
