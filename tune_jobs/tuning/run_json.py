"""What run.json says of a run: what was asked for, on which images, with what, and when."""

from __future__ import annotations

import dataclasses
import platform

import ray
import torch

from trainables.errors import InputError
from trainables.models.weights import Weights, fingerprint
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.ray_runtime import capacity
from tune_jobs.run_folder.folder import RUN_FILE, RunFolder
from tune_jobs.run_folder.provenance import git_commit, now, versions
from tune_jobs.run_folder.records import RunRecord
from tune_jobs.run_folder.schema import FORMAT
from tune_jobs.tuning.data import RunData


def describe_run(
    command: CommandLine[JobOptions],
    images: RunData,
    weights: dict[str, Weights],
) -> RunRecord:
    """Return run.json as it is at the start of a run."""
    options, dataset = command.options, images.dataset
    nodes = [node for node in ray.nodes() if node["Alive"]]
    machines = [node["Resources"] for node in nodes if node["Resources"].get("CPU")]
    machines += [kind.resources for kind in capacity.node_types()[0]]
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
            "fingerprint": images.split.fingerprint,
            **images.split.sizes,  # type: ignore[typeddict-item]
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


def resumed_record(folder: RunFolder, new: RunRecord) -> RunRecord:
    """Return run.json of a resumed run: as it was, and when it was resumed.

    Args:
        folder: of the run.
        new: run.json as it would be if the run started now.

    Raises:
        InputError: the images, their split or the initial weights are not those that the run was
            started with.
    """
    old: RunRecord = folder.read_json(RUN_FILE)  # type: ignore[assignment]
    before, after = old["dataset"]["fingerprint"], new["dataset"]["fingerprint"]
    name = new["dataset"]["name"]
    if before != after:
        raise InputError(
            f"{name} has fingerprint {after}, and the run was started on {before}: give it the "
            "images it began with, or start another run"
        )
    before, after = old["split"].get("fingerprint", ""), new["split"]["fingerprint"]
    if before and before != after:  # runs of earlier versions do not say
        raise InputError(
            f"the split of {name} has fingerprint {after}, and the run was started on {before}: "
            "give it the split it began with, or start another run"
        )
    if old.get("weights", {}) != new["weights"]:
        raise InputError(
            "the initial weights are not those that the run was started with: put them back, or "
            "start another run"
        )
    resumed = [*old["resumed"], new["started"]]
    return {**old, "options": new["options"], "status": "running", "resumed": resumed}
