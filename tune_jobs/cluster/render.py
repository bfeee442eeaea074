"""cluster.yaml for other places: the same commands and mounts, with that place's machines."""

from __future__ import annotations

import copy
import json
from typing import Any, Literal, TypeAlias

import yaml

from trainables.errors import InputError
from tune_jobs.cluster.config import pinned
from tune_jobs.ray_runtime.capacity import AUTOSCALER_VARIABLE

Provider: TypeAlias = Literal["aws", "gcp", "local", "kuberay"]
Config: TypeAlias = dict[str, Any]
LIFETIME_S = 24 * 3600
IDLE_S = 300
GCP_IMAGE = (
    "projects/ubuntu-os-accelerator-images/global/images/family/"
    "ubuntu-accelerator-2204-amd64-with-nvidia-580"
)
GCP_MACHINES = {"head": "e2-standard-2", "gpu": "g2-standard-4", "cpu": "c3d-highcpu-8"}
"""Node type -> machine: a head, an L4, and Zen 4 cores."""
GCP_ZONE = "us-central1-a"
GCP_DISK = f"zones/{GCP_ZONE}/diskTypes/pd-balanced"
"""Machines of these types take no standard disk."""
DISK_GB = 120
GCP_LAST_RESORT = {"maxRunDuration": {"seconds": "90000"}, "instanceTerminationAction": "DELETE"}
"""No machine lives for more than 25 hours."""
GCP_DELETE = f"gcloud compute instances delete $(hostname) --zone={GCP_ZONE} --quiet"
"""What ends a machine's costs, run by itself: one that is shut down keeps its disk, and is hidden
from `ray down`."""
GCP_ACCOUNT = "ray-autoscaler-sa-v1@{project}.iam.gserviceaccount.com"
"""Made by Ray, which gives it to the head alone; workers write to gs:// by it."""


def header(how: str) -> str:
    """What a rendered file says of itself."""
    return f"# Made by python -m tune_jobs.cluster render {how}, from cluster.yaml.\n"


def gcp(config: Config, project: str) -> Config:
    """For Google Cloud, with spot workers.

    Args:
        config: cluster.yaml.
        project: id of the project that pays.
    """
    made = copy.deepcopy(config)
    made["provider"] = {
        "type": "gcp",
        "region": "us-central1",
        "availability_zone": GCP_ZONE,
        "project_id": project,
    }
    for name, kind in made["available_node_types"].items():
        disk = {"diskSizeGb": DISK_GB, "diskType": GCP_DISK, "sourceImage": GCP_IMAGE}
        node: Config = {
            "machineType": GCP_MACHINES[name],
            "disks": [
                {"boot": True, "autoDelete": True, "type": "PERSISTENT", "initializeParams": disk}
            ],
            "scheduling": copy.deepcopy(GCP_LAST_RESORT),
        }
        if name != made["head_node_type"]:
            # Deleted, not stopped, when they are taken back.
            node["scheduling"] |= {
                "provisioningModel": "SPOT",
                "onHostMaintenance": "TERMINATE",
                "automaticRestart": False,
            }
            node["serviceAccounts"] = [
                {
                    "email": GCP_ACCOUNT.format(project=project),
                    "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
                }
            ]
        kind["node_config"] = node
    for name, old, new in (
        ("setup_commands", "[cluster]", "[cluster,gcp]"),
        ("head_start_ray_commands", "sudo shutdown -h now", GCP_DELETE),
        ("worker_start_ray_commands", "sudo shutdown -h now", GCP_DELETE),
    ):
        made[name] = [command.replace(old, new) for command in made[name]]
    made.pop("metadata", None)  # the prices are another's
    return made


def local(config: Config, head: str, workers: list[str], user: str, key: str | None) -> Config:
    """For machines of one's own over SSH, which nothing shuts down.

    Args:
        config: cluster.yaml.
        head: address of the machine that runs no trials.
        workers: addresses of the others.
        user: to log in as.
        key: file of the private key; the user's own without it.
    """
    made = copy.deepcopy(config)
    made["provider"] = {"type": "local", "head_ip": head, "worker_ips": workers}
    made["auth"] = {"ssh_user": user} | ({"ssh_private_key": key} if key else {})
    made["min_workers"] = made["max_workers"] = len(workers)
    for name in ("available_node_types", "head_node_type", "metadata", "upscaling_speed"):
        made.pop(name, None)
    for name in ("head_start_ray_commands", "worker_start_ray_commands"):
        made[name] = [command for command in made[name] if "shutdown" not in command]
    return made


def kuberay(config: Config, image: str, entrypoint: str) -> Config:
    """A RayJob for the operator of KubeRay, with workers that come and go.

    Args:
        config: cluster.yaml.
        image: with Python, Ray and this package as constraints.txt has them.
        entrypoint: command of the job.
    """
    health = {
        "RAY_health_check_initial_delay_ms": "2000",
        "RAY_health_check_period_ms": "2000",
        "RAY_health_check_timeout_ms": "2000",
        "RAY_health_check_failure_threshold": "3",
    }
    types = config["available_node_types"]
    # The driver cannot ask the operator what it may start.
    known = {
        "max_workers": config["max_workers"],
        "head_node_type": config["head_node_type"],
        "available_node_types": {
            name: {key: kind[key] for key in ("resources", "max_workers") if key in kind}
            for name, kind in types.items()
        },
    }
    environment = health | {AUTOSCALER_VARIABLE: json.dumps(known)}
    groups = [
        {
            "groupName": name,
            "replicas": 0,
            "minReplicas": 0,
            "maxReplicas": kind.get("max_workers", config["max_workers"]),
            "rayStartParams": {},
            "template": _pod(image, kind["resources"], {}),
        }
        for name, kind in types.items()
        if name != config["head_node_type"]
    ]
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": config["cluster_name"]},
        "spec": {
            "entrypoint": entrypoint,
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": IDLE_S,
            "activeDeadlineSeconds": LIFETIME_S,
            "rayClusterSpec": {
                "rayVersion": pinned("ray"),
                # The operator makes the token, and hands it to every pod.
                "authOptions": {"mode": "token"},
                "enableInTreeAutoscaling": True,
                "autoscalerOptions": {"idleTimeoutSeconds": IDLE_S, "upscalingMode": "Default"},
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},
                    "template": _pod(image, {"CPU": 2}, environment),
                },
                "workerGroupSpecs": groups,
            },
        },
    }


def _pod(image: str, resources: dict[str, int], environment: dict[str, str]) -> Config:
    limits: dict[str, str | int] = {
        "cpu": str(resources["CPU"]),
        "memory": f"{4 * resources['CPU']}Gi",
    }
    if resources.get("GPU"):
        limits["nvidia.com/gpu"] = resources["GPU"]
    container: Config = {
        "name": "ray",
        "image": image,
        "resources": {"limits": limits, "requests": dict(limits)},
        # Object stores live in shared memory, of which a container has 64 MB otherwise.
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
    }
    if environment:
        container["env"] = [{"name": key, "value": value} for key, value in environment.items()]
    shm = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}
    return {"spec": {"containers": [container], "volumes": [shm]}}


def as_yaml(config: Config, how: str) -> str:
    """The file, with its long commands in one piece."""
    text: str = yaml.safe_dump(config, sort_keys=False, width=10_000)
    return header(how) + text


def required(value: str | None, option: str, provider: Provider) -> str:
    """An option that a provider cannot do without.

    Raises:
        InputError: it is missing.
    """
    if not value:
        raise InputError(f"render --provider {provider} needs {option}")
    return value
