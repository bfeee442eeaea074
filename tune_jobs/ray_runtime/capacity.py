"""What a cluster has room for: on the machines that run, and on those its autoscaler may start."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import ray
import yaml

from trainables.errors import InputError
from tune_jobs.ray_runtime.ray_up import dollars_by_type, launched

AUTOSCALER_VARIABLE = "BAKEOFF_NODE_TYPES"
"""Says the same as `ray up` leaves on a head where that has not been, on Kubernetes."""
JOIN_S = 180
"""In which machines that are simply there have joined."""


@dataclass(frozen=True)
class TrialResources:
    """Resources that each trial of a run reserves."""

    cpus: int
    """CPU cores, 1 or more."""
    gpus: float
    """GPUs: 0, or 1/k so that k trials share one."""


@dataclass(frozen=True)
class NodeType:
    """Machines that an autoscaler may start."""

    resources: dict[str, float]
    most: int
    dollars: float | None = None
    """An hour, by the file's metadata."""

    def slots(self, trial: TrialResources) -> int:
        """Return how many trials fit on one node of this type at a time."""
        return trials_on(self.resources, trial)


def trials_on(resources: dict[str, float], trial: TrialResources) -> int:
    """Return how many trials fit on a node at a time."""
    slots = int(resources.get("CPU", 0) // trial.cpus)
    return min(slots, int(resources.get("GPU", 0) / trial.gpus + 1e-9)) if trial.gpus else slots


def autoscaled() -> dict[str, Any]:
    """The configuration of the cluster that this process runs on the head of; else empty.

    It is known where `ray up` or our manifest for Kubernetes made the cluster, and the job was
    submitted to it.
    """
    head = str(ray.get_runtime_context().gcs_address).rsplit(":", 1)[0]
    if ray.util.get_node_ip_address() != head:
        return {}
    text = os.environ.get(AUTOSCALER_VARIABLE)
    config: dict[str, Any] = yaml.safe_load(text) if text else launched()
    return config


def node_types() -> tuple[list[NodeType], int]:
    """Types of workers that the autoscaler of this cluster may start, and how many in all."""
    config = autoscaled()
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


def running_machines() -> list[dict[str, float]]:
    """Resources of each machine that the cluster has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def machines() -> list[dict[str, float]]:
    """Resources of each machine that the cluster has, and of each type that it may start."""
    return running_machines() + [kind.resources for kind in node_types()[0] if kind.most]


def machines_with_cores() -> list[dict[str, float]]:
    """Machines, as soon as trials could run on one: those that `ray up` starts join after it.

    Raises:
        InputError: none has come.
    """
    end = time.monotonic() + (JOIN_S if autoscaled() else 0)
    while True:
        found = machines()
        if any(machine.get("CPU", 0) for machine in found):
            return found
        if time.monotonic() >= end:
            raise InputError(
                "no machine of the cluster has cores for trials, and none has joined: `ray status` "
                "on the head, and its /tmp/ray/session_latest/logs/monitor.out, say why"
            )
        time.sleep(1)


def planned_machine(trial: TrialResources) -> NodeType:
    """Return the node type that the autoscaler starts for a trial, else the largest node."""
    kinds = [kind for kind in node_types()[0] if kind.most and kind.slots(trial)]
    if kinds:
        # No GPU is started for a trial that needs none.
        return min(kinds, key=lambda kind: kind.resources.get("GPU", 0))
    return NodeType(max(machines(), key=lambda machine: trials_on(machine, trial)), 1)


@dataclass(frozen=True)
class Prices:
    """Dollars an hour."""

    machine: float
    """Of one that trials run on."""
    head: float = 0.0
    """Of one more, that is there as long as the run lasts."""


def prices(price_per_hour: float | None, machine: NodeType) -> Prices | None:
    """Return --price-per-hour, else the prices in the cluster's own file; None without either."""
    if price_per_hour is not None:
        return Prices(price_per_hour)
    config = autoscaled()
    head = dollars_by_type(config).get(config.get("head_node_type", ""))
    if machine.dollars is None or head is None:
        return None
    return Prices(machine.dollars, head)


def has_room(trial: TrialResources) -> bool:
    """Return whether a node that runs now is large enough for a trial."""
    return any(trials_on(machine, trial) for machine in running_machines())


def has_gpus() -> bool:
    """Return whether a node of the cluster, or one that it may start, has a GPU."""
    return any(machine.get("GPU", 0) for machine in machines())


def trial_resources(cpus: int, gpus: float | None) -> TrialResources:
    """Return what each trial reserves, checked against the nodes of the cluster.

    Args:
        cpus: CPU cores of a trial.
        gpus: GPUs of a trial; None for 1 where there are GPUs, else 0.

    Raises:
        InputError: no node that the cluster has or may start is large enough for a trial.
    """
    known = machines_with_cores()
    most_gpus = max(machine.get("GPU", 0) for machine in known)
    if gpus is None:
        gpus = 1.0 if most_gpus else 0.0
    for name, asked, most in (
        ("cpus", cpus, max(machine.get("CPU", 0) for machine in known)),
        ("gpus", gpus, most_gpus),
    ):
        if asked > most:
            raise InputError(
                f"--{name}-per-trial {asked:g} is more than any node of the cluster has: "
                f"give {most:g} or fewer"
            )
    trial = TrialResources(cpus, gpus)
    if not any(trials_on(machine, trial) for machine in known):
        raise InputError(
            f"no node of the cluster has {cpus} cores and {gpus:g} of a GPU together: give fewer "
            "--cpus-per-trial, or another --gpus-per-trial, 0 for none"
        )
    return trial


class TrialSlots:
    """How many trials may run at a time, as nodes join and leave; it is asked often.

    Nodes that the autoscaler may start count: it starts them for trials that wait.

    Args:
        trial: what each trial reserves.
        max_concurrent: the number to answer whatever the cluster has room for; None for no limit.
    """

    LOOK_EVERY_S = 2.0

    def __init__(self, trial: TrialResources, max_concurrent: int | None):
        self.trial, self.max_concurrent = trial, max_concurrent
        self.seen, self.next_look = 0, 0.0

    def __call__(self) -> int:
        """Return the number of trials that may run at a time."""
        if self.max_concurrent is not None:
            return self.max_concurrent
        if time.monotonic() >= self.next_look:
            self.next_look = time.monotonic() + self.LOOK_EVERY_S
            self.seen = max(trials_on(ray.cluster_resources(), self.trial), self._at_full_size())
        return self.seen

    def _at_full_size(self) -> int:
        types, left = node_types()
        slots = 0
        for kind in sorted(types, key=lambda kind: -kind.slots(self.trial)):
            count = min(left, kind.most)
            slots += count * kind.slots(self.trial)
            left -= count
        return slots
