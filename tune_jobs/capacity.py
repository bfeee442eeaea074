"""What a cluster has room for: on the machines that run, and on those its autoscaler may start."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import ray
import yaml

from trainables.errors import InputError
from tune_jobs.command_line.options import RunOptions
from tune_jobs.reminder import dollars_by_type, launched

AUTOSCALER_VARIABLE = "BAKEOFF_NODE_TYPES"
"""Says the same as `ray up` leaves on a head where that has not been, on Kubernetes."""
JOIN_S = 180
"""In which machines that are simply there have joined."""


@dataclass(frozen=True)
class NodeType:
    """Machines that an autoscaler may start."""

    resources: dict[str, float]
    most: int
    dollars: float | None = None
    """An hour, by the file's metadata."""

    def places(self, cpus: float, gpus: float) -> int:
        """Trials on one of them."""
        return trials_on(self.resources, cpus, gpus)


def trials_on(resources: dict[str, float], cpus: float, gpus: float) -> int:
    """Trials that fit on a machine, each with so many cores and so much of a GPU."""
    places = int(resources.get("CPU", 0) // cpus)
    return min(places, int(resources.get("GPU", 0) / gpus + 1e-9)) if gpus else places


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


def planned_machine(options: RunOptions, gpus: float) -> NodeType:
    """What trials would run on: what the autoscaler starts for them, else the largest machine."""
    cpus = options.cpus_per_trial
    kinds = [kind for kind in node_types()[0] if kind.most and kind.places(cpus, gpus)]
    if kinds:
        # No GPU is started for a trial that needs none.
        return min(kinds, key=lambda kind: kind.resources.get("GPU", 0))
    return NodeType(max(machines(), key=lambda machine: trials_on(machine, cpus, gpus)), 1)


@dataclass(frozen=True)
class Prices:
    """Dollars an hour."""

    machine: float
    """Of one that trials run on."""
    head: float = 0.0
    """Of one more, that is there as long as the run lasts."""


def prices(options: RunOptions, machine: NodeType) -> Prices | None:
    """What --price-per-hour says, else the cluster's own file; None where neither does."""
    if options.price_per_hour is not None:
        return Prices(options.price_per_hour)
    config = autoscaled()
    head = dollars_by_type(config).get(config.get("head_node_type", ""))
    if machine.dollars is None or head is None:
        return None
    return Prices(machine.dollars, head)


def has_room(options: RunOptions, gpus: float) -> bool:
    """Whether a machine that runs now is large enough for a trial."""
    cpus = options.cpus_per_trial
    return any(trials_on(machine, cpus, gpus) for machine in running_machines())


def has_gpus() -> bool:
    """Whether a machine of the cluster, or one that it may start, has a GPU."""
    return any(machine.get("GPU", 0) for machine in machines())


def checked_resources(options: RunOptions) -> float:
    """GPUs a trial gets.

    Raises:
        InputError: no machine that the cluster has or may start is large enough for a trial.
    """
    known = machines_with_cores()
    most_gpus = max(machine.get("GPU", 0) for machine in known)
    gpus = options.gpus_per_trial
    if gpus is None:
        gpus = 1.0 if most_gpus else 0.0
    for name, asked, most in (
        ("cpus", options.cpus_per_trial, max(machine.get("CPU", 0) for machine in known)),
        ("gpus", gpus, most_gpus),
    ):
        if asked > most:
            raise InputError(
                f"--{name}-per-trial {asked:g} is more than any machine of the cluster has: "
                f"give {most:g} or fewer"
            )
    if not any(trials_on(machine, options.cpus_per_trial, gpus) for machine in known):
        raise InputError(
            f"no machine of the cluster has {options.cpus_per_trial} cores and {gpus:g} of a GPU "
            "together: give fewer --cpus-per-trial, or another --gpus-per-trial, 0 for none"
        )
    return gpus


class Places:
    """How many trials can run at a time, as machines come and go; it is asked for often.

    Machines that the autoscaler may start count: it starts them for trials that wait.
    """

    LOOK_EVERY_S = 2.0

    def __init__(self, options: RunOptions, gpus: float):
        self.options, self.gpus = options, gpus
        self.seen, self.next_look = 0, 0.0

    def __call__(self) -> int:
        """Trials that --max-concurrent allows, else those that there is room for."""
        if self.options.max_concurrent is not None:
            return self.options.max_concurrent
        if time.monotonic() >= self.next_look:
            self.next_look = time.monotonic() + self.LOOK_EVERY_S
            self.seen = max(self._now(), self._at_full_size())
        return self.seen

    def _now(self) -> int:
        return trials_on(ray.cluster_resources(), self.options.cpus_per_trial, self.gpus)

    def _at_full_size(self) -> int:
        types, left = node_types()
        cpus, places = self.options.cpus_per_trial, 0
        for kind in sorted(types, key=lambda kind: -kind.places(cpus, self.gpus)):
            count = min(left, kind.most)
            places += count * kind.places(cpus, self.gpus)
            left -= count
        return places
