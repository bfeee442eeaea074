import pytest
import ray
import yaml

from trainables.errors import InputError
from tune_jobs.ray_runtime import capacity, ray_up
from tune_jobs.ray_runtime.capacity import (
    NodeType,
    Prices,
    TrialResources,
    TrialSlots,
    node_types,
    planned_node,
    prices,
    trial_resources,
    trials_on,
)

CONFIG = {
    "cluster_name": "bakeoff",
    "max_workers": 5,
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 0}, "max_workers": 0},
        "gpu": {"resources": {"CPU": 4, "GPU": 1}, "max_workers": 3},
        "cpu": {"resources": {"CPU": 8}, "max_workers": 9},
    },
    "metadata": {"dollars_per_hour": {"head": 0.1, "gpu": 1.0, "cpu": 0.4}},
}


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A head without cores, which may start workers."""
    file = tmp_path / "ray_bootstrap_config.yaml"
    file.write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    monkeypatch.setattr(ray_up, "AUTOSCALER_FILE", file)
    context = type("Context", (), {"gcs_address": "10.0.0.1:6379"})
    monkeypatch.setattr(ray, "get_runtime_context", context)
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "10.0.0.1")
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 0}}])
    monkeypatch.setattr(ray, "cluster_resources", dict)
    return monkeypatch


def test_what_the_autoscaler_may_start_is_known_on_the_head_alone(cluster):
    gpu, cpu = NodeType({"CPU": 4, "GPU": 1}, 3, 1.0), NodeType({"CPU": 8}, 5, 0.4)
    assert node_types() == ([gpu, cpu], 5)
    cluster.setattr(ray.util, "get_node_ip_address", lambda: "10.0.0.2")
    assert node_types() == ([], 0)


@pytest.mark.parametrize(
    ("cpus", "gpus", "slots"),
    [
        (1, 0, 5 * 8),
        (8, 0, 5),
        (2, 1, 3),
        (1, 0.25, 3 * 4),
        (1, 0.5, 3 * 2),
        # Three GPU nodes of four cores, and two more of eight.
        (4, 0, 5 * 2),
    ],
)
def test_a_cluster_at_rest_has_the_slots_of_its_full_size(cpus, gpus, slots, cluster):
    trial = trial_resources(cpus, gpus)
    assert trial == TrialResources(cpus, gpus)
    assert TrialSlots(trial, None)() == slots
    assert TrialSlots(trial, 2)() == 2


def test_trials_get_a_gpu_where_the_autoscaler_may_start_one(cluster):
    assert trial_resources(1, None).gpus == 1


def test_more_than_any_node_may_have_is_refused(cluster):
    with pytest.raises(InputError, match="give 8 or fewer"):
        trial_resources(9, None)
    with pytest.raises(InputError, match="give 1 or fewer"):
        trial_resources(1, 2.0)


def test_what_only_two_nodes_have_together_is_refused(cluster):
    with pytest.raises(InputError, match="both 8 CPU cores and 1 GPU for a trial"):
        trial_resources(8, None)


def test_nodes_that_joined_by_hand_count_too(cluster):
    cluster.setattr(ray, "cluster_resources", lambda: {"CPU": 100})
    assert TrialSlots(TrialResources(1, 0), None)() == 100


@pytest.mark.parametrize(("share", "trials"), [(0.25, 4), (1 / 3, 3), (0.5, 2), (1, 1)])
def test_shares_of_a_gpu_add_up_to_it(share, trials):
    assert trials_on({"CPU": 16, "GPU": 1}, TrialResources(1, share)) == trials


@pytest.mark.parametrize(("gpus", "slots", "dollars"), [(0, 8, 0.4), (0.25, 4, 1.0)])
def test_a_plan_is_of_one_node_that_would_start_and_its_price(gpus, slots, dollars, cluster):
    trial = TrialResources(1, gpus)
    node = planned_node(trial)
    assert node.slots(trial) == slots
    assert prices(None, node) == Prices(dollars, head=0.1)
    assert prices(2.0, node) == Prices(2.0)


def test_a_plan_without_an_autoscaler_is_of_the_largest_node(cluster):
    cluster.setattr(ray.util, "get_node_ip_address", lambda: "10.0.0.2")
    nodes = [{"Alive": True, "Resources": {"CPU": cores}} for cores in (0, 4, 16)]
    cluster.setattr(ray, "nodes", lambda: nodes)
    node = planned_node(TrialResources(1, 0))
    assert node.slots(TrialResources(2, 0)) == 8
    assert prices(None, node) is None


def test_nodes_that_are_still_joining_are_waited_for(cluster, tmp_path):
    config = CONFIG | {"available_node_types": {"head": CONFIG["available_node_types"]["head"]}}
    (tmp_path / "ray_bootstrap_config.yaml").write_text(yaml.safe_dump(config))
    head, worker = ({"Alive": True, "Resources": {"CPU": cores}} for cores in (0, 4))
    seen = iter([[head], [head], [head, worker]])
    cluster.setattr(ray, "nodes", lambda: next(seen))
    cluster.setattr(capacity.time, "sleep", lambda seconds: None)
    assert trial_resources(4, None).gpus == 0
    cluster.setattr(ray, "nodes", lambda: [head])
    cluster.setattr(capacity, "JOIN_S", 0)
    with pytest.raises(InputError, match="none has joined"):
        trial_resources(1, None)
