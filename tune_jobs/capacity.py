"""What a cluster has room for: on the machines that run, and on those its autoscaler may start."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import ray
import yaml

from trainables.errors import InputError
from tune_jobs.options import RunOptions

AUTOSCALER_VARIABLE = "BAKEOFF_NODE_TYPES"
"""Says the same as AUTOSCALER_FILE where that is not, on Kubernetes."""
AUTOSCALER_FILE = Path("~/ray_bootstrap_config.yaml")
"""What `ray up` leaves on the head, with the resources of every node type."""


@dataclass(frozen=True)
class NodeType:
    """Machines that an autoscaler may start."""

    resources: dict[str, float]
    most: int

    def places(self, cpus: float, gpus: float) -> int:
        """Trials on one of them."""
        return trials_on(self.resources, cpus, gpus)


def trials_on(resources: dict[str, float], cpus: float, gpus: float) -> int:
    """Trials that fit on a machine, each with so many cores and so much of a GPU."""
    places = int(resources.get("CPU", 0) // cpus)
    return min(places, int(resources.get("GPU", 0) / gpus + 1e-9)) if gpus else places


def node_types() -> tuple[list[NodeType], int]:
    """Types of workers that the autoscaler of this cluster may start, and how many in all.

    They are known on the head of a cluster that `ray up` or our manifest for Kubernetes made,
    where jobs run that were submitted to it; elsewhere there are none.
    """
    file = AUTOSCALER_FILE.expanduser()
    text = os.environ.get(AUTOSCALER_VARIABLE) or (file.read_text() if file.exists() else "")
    head = str(ray.get_runtime_context().gcs_address).rsplit(":", 1)[0]
    if not text or ray.util.get_node_ip_address() != head:
        return [], 0
    config = yaml.safe_load(text)
    most = config.get("max_workers", 0)
    types = [
        NodeType(kind.get("resources") or {}, min(most, kind.get("max_workers", most)))
        for name, kind in config.get("available_node_types", {}).items()
        if name != config["head_node_type"]
    ]
    return types, most


def has_gpus() -> bool:
    """Whether a machine of the cluster, or one that it may start, has a GPU."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    machines += [kind.resources for kind in node_types()[0] if kind.most]
    return any(machine.get("GPU", 0) for machine in machines)


def checked_resources(options: RunOptions) -> float:
    """GPUs a trial gets.

    Raises:
        InputError: no machine that the cluster has or may start is large enough for a trial.
    """
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    machines += [kind.resources for kind in node_types()[0] if kind.most]
    most_gpus = max(machine.get("GPU", 0) for machine in machines)
    gpus = options.gpus_per_trial
    if gpus is None:
        gpus = 1.0 if most_gpus else 0.0
    for name, asked, most in (
        ("cpus", options.cpus_per_trial, max(machine.get("CPU", 0) for machine in machines)),
        ("gpus", gpus, most_gpus),
    ):
        if asked > most:
            raise InputError(
                f"--{name}-per-trial {asked:g} is more than any machine of the cluster has: "
                f"give {most:g} or fewer"
            )
    if not any(trials_on(machine, options.cpus_per_trial, gpus) for machine in machines):
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
