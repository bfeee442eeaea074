"""What run.json says of a run: what was asked for, on which images, with what, and when."""

from __future__ import annotations

import dataclasses
import platform
from typing import Any

import ray
import torch

from trainables.data import ImageDataset, Split
from trainables.errors import InputError
from trainables.models.weights import Weights, fingerprint
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.ray_runtime.capacity import node_types
from tune_jobs.run_folder.provenance import git_commit, now, versions
from tune_jobs.run_folder.schema import FORMAT


def describe_run(
    command: CommandLine[JobOptions],
    dataset: ImageDataset,
    parts: Split,
    weights: dict[str, Weights],
) -> dict[str, Any]:
    """What run.json holds at the start of a run."""
    options = command.options
    nodes = [node for node in ray.nodes() if node["Alive"]]
    machines = [node["Resources"] for node in nodes if node["Resources"].get("CPU")]
    machines += [kind.resources for kind in node_types()[0]]
    return {
        "format": FORMAT,
        "job": options.job,
        "command": command.text,
        "status": "running",
        "started": now(),
        "ended": None,
        "resumed": [],
        "options": dataclasses.asdict(options),
        "dataset": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "source_fingerprint": dataset.source_fingerprint,
            "classes": list(dataset.classes),
            "image_size": int(dataset.images.shape[1]),
            "images": len(dataset.images),
        },
        "split": {
            "seed": options.data.split_seed,
            "shares": options.training.split,
            "fingerprint": parts.fingerprint,
            "train": len(parts.train),
            "validation": len(parts.validation),
            "test": len(parts.test),
        },
        "scheduler": options.scheduler,
        "weights": {model: fingerprint(given) for model, given in weights.items()},
        "versions": versions(),
        "commit": git_commit(),
        "hardware": {
            "machine": platform.machine(),
            "nodes": len(nodes),
            "machines": [
                {name: machine.get(name, 0) for name in ("CPU", "GPU")} for machine in machines
            ],
            "cpus": sum(node["Resources"].get("CPU", 0) for node in nodes),
            "gpus": sum(node["Resources"].get("GPU", 0) for node in nodes),
            "capabilities": sorted(
                name for name, has in torch.cpu.get_capabilities().items() if has is True
            ),
        },
    }


def continued(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The record of a resumed run: the old one, and when it was resumed.

    Raises:
        InputError: the images, their cut or the weights are not those that the run was started
            with.
    """
    before, after = old["dataset"]["fingerprint"], new["dataset"]["fingerprint"]
    if before != after:
        raise InputError(
            f"{new['dataset']['name']} has fingerprint {after}, and the run was started on "
            f"{before}: give it the images it began with, or start another run"
        )
    before, after = old["split"].get("fingerprint"), new["split"]["fingerprint"]
    if before not in (None, after):  # runs of earlier versions do not say
        raise InputError(
            f"{new['dataset']['name']} is cut with fingerprint {after}, and the run was started on "
            f"{before}: give it the parts it began with, or start another run"
        )
    if old.get("weights", {}) != new["weights"]:
        raise InputError(
            "the weights are not those that the run was started with: put them back, or start "
            "another run"
        )
    resumed = [*old["resumed"], new["started"]]
    return {**old, "options": new["options"], "status": "running", "resumed": resumed}
