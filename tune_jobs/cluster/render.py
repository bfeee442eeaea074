"""Render cluster.yaml for other providers: same commands and mounts, that provider's nodes."""

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
"""Lifetime of a RayJob in seconds."""
IDLE_S = 300
"""Seconds before an idle worker, or a finished RayJob, is deleted."""
GCP_IMAGE = (
    "projects/ubuntu-os-accelerator-images/global/images/family/"
    "ubuntu-accelerator-2204-amd64-with-nvidia-580"
)
GCP_MACHINES = {"head": "e2-standard-2", "gpu": "g2-standard-4", "cpu": "c3d-highcpu-8"}
"""Node type -> Google's machine type: two vCPUs, an L4 GPU, eight Zen 4 vCPUs."""
GCP_ZONE = "us-central1-a"
GCP_DISK = f"zones/{GCP_ZONE}/diskTypes/pd-balanced"
"""Disk type; these machine types do not support standard disks."""
DISK_GB = 120
GCP_LAST_RESORT = {"maxRunDuration": {"seconds": "90000"}, "instanceTerminationAction": "DELETE"}
"""Scheduling options that delete every node after 25 hours."""
GCP_DELETE = f"gcloud compute instances delete $(hostname) --zone={GCP_ZONE} --quiet"
"""Command by which a node deletes itself; one that is only shut down keeps its billed disk, and
`ray down` does not find it."""
GCP_ACCOUNT = "ray-autoscaler-sa-v1@{project}.iam.gserviceaccount.com"
"""Service account that Ray creates, but gives to the head only; workers need it to write to gs://."""


def header(how: str) -> str:
    """Return the comment at the top of a rendered file."""
    return f"# Made by bakeoff cluster render {how}, from cluster.yaml.\n"


def gcp(config: Config, project: str) -> Config:
    """Return the configuration for Google Cloud, with spot workers.

    Args:
        config: cluster.yaml.
        project: id of the project to bill.
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
            # Spot workers are deleted, not stopped, when they are preempted.
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
    made.pop("metadata", None)  # prices of AWS
    return made


def local(config: Config, head: str, workers: list[str], user: str, key: str | None) -> Config:
    """Return the configuration for the user's own machines over SSH, which are never shut down.

    Args:
        config: cluster.yaml.
        head: address of the head node, which runs no trials.
        workers: addresses of the worker nodes.
        user: SSH user.
        key: SSH private key file; SSH's default if None.
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
    """Return a RayJob for the KubeRay operator, with autoscaler_config workers.

    Args:
        config: cluster.yaml.
        image: container image with Python, Ray and this package, in the versions of
            constraints.txt.
        entrypoint: command of the job.
    """
    health = {
        "RAY_health_check_initial_delay_ms": "2000",
        "RAY_health_check_period_ms": "2000",
        "RAY_health_check_timeout_ms": "2000",
        "RAY_health_check_failure_threshold": "3",
    }
    types = config["available_node_types"]
    # The driver cannot query the operator for the node types, so the environment describes them.
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
                # The operator creates the token and passes it to every pod.
                "authOptions": {"mode": "token"},
                "enableInTreeAutoscaling": True,
                "autoscalerOptions": {"idleTimeoutSeconds": IDLE_S, "upscalingMode": "Default"},
                "headGroupSpec": {
                    # The operator reaches it in the network of the pods, with the token.
                    "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},  # noqa: S104
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
        # The object store lives in shared memory, of which containers get 64 MB by default.
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
    }
    if environment:
        container["env"] = [{"name": key, "value": value} for key, value in environment.items()]
    shm = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}
    return {"spec": {"containers": [container], "volumes": [shm]}}


def as_yaml(config: Config, how: str) -> str:
    """Return the text of a rendered file, each command on one line.

    Args:
        config: rendered configuration.
        how: options of `render`, for the comment at the top.
    """
    text: str = yaml.safe_dump(config, sort_keys=False, width=10_000)
    return header(how) + text


def required(value: str | None, option: str, provider: Provider) -> str:
    """Return the value of an option that a provider requires.

    Raises:
        InputError: the option is not set.
    """
    if not value:
        raise InputError(
            f"{option} is not set, and render --provider {provider} requires it: add {option}"
        )
    return value
