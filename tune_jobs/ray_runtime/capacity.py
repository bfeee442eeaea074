"""Capacity of a cluster: its nodes, and the nodes that its autoscaler may start."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import ray
import yaml

from trainables.errors import InputError
from tune_jobs.ray_runtime.ray_up import cluster_config, dollars_by_type

AUTOSCALER_VARIABLE = "BAKEOFF_NODE_TYPES"
"""Environment variable with the cluster configuration on Kubernetes, where `ray up` is unused."""
JOIN_S = 180
"""Seconds to wait for the first node with CPU cores to join."""


@dataclass(frozen=True)
class TrialResources:
    """Resources that each trial of a run reserves."""

    cpus: int
    """CPU cores, 1 or more."""
    gpus: float
    """GPUs: 0, or 1/k so that k trials share one."""


@dataclass(frozen=True)
class NodeType:
    """Type of node that an autoscaler may start."""

    resources: dict[str, float]
    """Resources of one node, such as CPU and GPU."""
    max_nodes: int
    """Maximum number of nodes of this type."""
    dollars: float | None = None
    """Price of one node in US dollars per hour, by the file's metadata; None if unknown."""

    def slots(self, trial: TrialResources) -> int:
        """Return the number of concurrent trials that fit on one node of this type."""
        return trials_on(self.resources, trial)


def trials_on(resources: dict[str, float], trial: TrialResources) -> int:
    """Return the number of concurrent trials that fit on a node with these resources."""
    slots = int(resources.get("CPU", 0) // trial.cpus)
    return min(slots, int(resources.get("GPU", 0) / trial.gpus + 1e-9)) if trial.gpus else slots


def autoscaler_config() -> dict[str, Any]:
    """Return the configuration of the cluster if this process runs on its head node, else {}.

    It is known for clusters made by `ray up` or by our manifest for Kubernetes.
    """
    head = str(ray.get_runtime_context().gcs_address).rsplit(":", 1)[0]
    if ray.util.get_node_ip_address() != head:
        return {}
    text = os.environ.get(AUTOSCALER_VARIABLE)
    config: dict[str, Any] = yaml.safe_load(text) if text else cluster_config()
    return config


def node_types() -> tuple[list[NodeType], int]:
    """Return the types of worker nodes that the autoscaler may start, and their maximum number."""
    config = autoscaler_config()
    most = config.get("max_workers", 0)
    dollars = dollars_by_type(config)
    types = [
        NodeType(
            kind.get("resources") or {}, min(most, kind.get("max_workers", most)), dollars.get(name)
        )
        for name, kind in config.get("available_node_types", {}).items()
        if name != config["head_node_type"]
    ]
    return types, most


def running_nodes() -> list[dict[str, float]]:
    """Return the resources of each running node of the cluster."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def known_nodes() -> list[dict[str, float]]:
    """Return the resources of each running node, and of each node type that may be started."""
    return running_nodes() + [kind.resources for kind in node_types()[0] if kind.max_nodes]


def nodes_with_cores() -> list[dict[str, float]]:
    """Wait for a node with CPU cores and return the result of `known_nodes`.

    Nodes that `ray up` starts may join only after it has returned.

    Raises:
        InputError: no such node has joined.
    """
    end = time.monotonic() + (JOIN_S if autoscaler_config() else 0)
    while True:
        found = known_nodes()
        if any(node.get("CPU", 0) for node in found):
            return found
        if time.monotonic() >= end:
            raise InputError(
                "no node of the cluster has CPU cores for trials, and none has joined: see why "
                "with `ray status` and in /tmp/ray/session_latest/logs/monitor.out on the head node"
            )
        time.sleep(1)


def planned_node(trial: TrialResources) -> NodeType:
    """Return the node type that the autoscaler starts for a trial, else the largest node."""
    kinds = [kind for kind in node_types()[0] if kind.max_nodes and kind.slots(trial)]
    if kinds:
        # Prefer the type with the fewest GPUs: trials without a GPU should not pay for one.
        return min(kinds, key=lambda kind: kind.resources.get("GPU", 0))
    return NodeType(max(known_nodes(), key=lambda node: trials_on(node, trial)), 1)


@dataclass(frozen=True)
class Prices:
    """Prices of nodes in US dollars per hour."""

    node: float
    """Price of one node that trials run on."""
    head: float = 0.0
    """Price of the head node, which runs no trials; 0 without a separate head node."""


def prices(price_per_hour: float | None, node: NodeType) -> Prices | None:
    """Return the price of --price-per-hour, else the prices in the cluster's file, else None."""
    if price_per_hour is not None:
        return Prices(price_per_hour)
    config = autoscaler_config()
    head = dollars_by_type(config).get(config.get("head_node_type", ""))
    if node.dollars is None or head is None:
        return None
    return Prices(node.dollars, head)


def has_room(trial: TrialResources) -> bool:
    """Return whether a running node is large enough for a trial."""
    return any(trials_on(node, trial) for node in running_nodes())


def has_gpus() -> bool:
    """Return whether a node of the cluster, or one that it may start, has a GPU."""
    return any(node.get("GPU", 0) for node in known_nodes())


def trial_resources(cpus: int, gpus: float | None) -> TrialResources:
    """Return the resources of each trial, checked against the nodes of the cluster.

    Args:
        cpus: CPU cores of a trial.
        gpus: GPUs of a trial; None for 1 if the cluster has GPUs, else 0.

    Raises:
        InputError: no node that the cluster has or may start is large enough for a trial.
    """
    known = nodes_with_cores()
    most_gpus = max(node.get("GPU", 0) for node in known)
    if gpus is None:
        gpus = 1.0 if most_gpus else 0.0
    where = "this machine" if len(known) == 1 else "the largest node of the cluster"
    for name, units, requested, most in (
        ("cpus", "CPU cores", cpus, max(node.get("CPU", 0) for node in known)),
        ("gpus", "GPUs", gpus, most_gpus),
    ):
        if requested > most:
            raise InputError(
                f"--{name}-per-trial {requested:g} is more than the {most:g} {units} of {where}: "
                f"give {most:g} or fewer"
            )
    trial = TrialResources(cpus, gpus)
    if not any(trials_on(node, trial) for node in known):
        raise InputError(
            f"no node of the cluster has both {cpus} CPU cores and {gpus:g} GPU for a trial: give "
            "fewer --cpus-per-trial, or another --gpus-per-trial (0 for none)"
        )
    return trial


class TrialSlots:
    """Number of concurrent trials, kept up to date as nodes join and leave.

    Nodes that the autoscaler may start are included: it starts them for waiting trials.

    Args:
        trial: resources of each trial.
        max_concurrent: fixed number, whatever the capacity of the cluster; None for its capacity.
    """

    LOOK_EVERY_S = 2.0
    """Minimum number of seconds between two looks at the cluster, as calls are frequent."""

    def __init__(self, trial: TrialResources, max_concurrent: int | None):
        self.trial, self.max_concurrent = trial, max_concurrent
        self.seen, self.next_look = 0, 0.0

    def __call__(self) -> int:
        """Return the number of trials that may run concurrently."""
        if self.max_concurrent is not None:
            return self.max_concurrent
        if time.monotonic() >= self.next_look:
            self.next_look = time.monotonic() + self.LOOK_EVERY_S
            self.seen = max(trials_on(ray.cluster_resources(), self.trial), self._at_full_size())
        return self.seen

    def _at_full_size(self) -> int:
        """Return the number of slots once the autoscaler has started all nodes that it may."""
        types, left = node_types()
        slots = 0
        for kind in sorted(types, key=lambda kind: -kind.slots(self.trial)):
            count = min(left, kind.max_nodes)
            slots += count * kind.slots(self.trial)
            left -= count
        return slots
