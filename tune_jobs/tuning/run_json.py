"""Content of run.json: options, dataset, split, versions, hardware and times of a run."""

from __future__ import annotations

import dataclasses
import platform
import time

import ray
import torch

from trainables.errors import InputError
from trainables.models.weights import Weights, fingerprint
from tune_jobs.command_line.options import JobOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.ray_runtime import capacity
from tune_jobs.run_folder.folder import FORMAT, RunFolder
from tune_jobs.run_folder.provenance import git_commit, now, versions
from tune_jobs.run_folder.records import RunRecord
from tune_jobs.tuning.data import RunData


def describe_run(
    command: CommandLine[JobOptions],
    images: RunData,
    weights: dict[str, Weights],
) -> RunRecord:
    """Return the content of run.json at the start of a run.

    Args:
        command: command line of the job.
        images: dataset and split.
        weights: initial weights by model.
    """
    options, dataset, found = command.options, images.dataset, images.found
    nodes = [node for node in ray.nodes() if node["Alive"]]
    resources = [node["Resources"] for node in nodes if node["Resources"].get("CPU")]
    resources += [kind.resources for kind in capacity.node_types()[0]]
    return {
        "format": FORMAT,
        "job": options.job,
        "command": command.text,
        "status": "running",
        # Readers expect whole runs: that includes reading the images and starting Ray.
        "started": now(time.monotonic() - command.started),
        "ended": None,
        "resumed": [],
        "paused": [],
        "options": dataclasses.asdict(options),
        "given": sorted(command.given_options),
        "dataset": {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "source_fingerprint": dataset.fingerprint,
            "classes": list(dataset.classes),
            "images": len(dataset),
            "side": found.side,
            "ignored": found.listing.ignored,
            "notes": list(found.listing.notes),
            "skipped": [found.listing.images.origin(row) for row in sorted(images.facts.errors)],
            "copies": dataclasses.asdict(images.copies) | {"dropped": images.dropped},
        },
        "split": {
            "seed": options.data.split_seed,
            "shares": options.training.split,
            "fingerprint": images.split.fingerprint,
            **images.split.sizes,  # type: ignore[typeddict-item]
        },
        "scheduler": options.scheduler,
        "weights": {model: fingerprint(loaded) for model, loaded in weights.items()},
        "versions": versions(),
        "commit": git_commit(),
        "hardware": {
            "machine": platform.machine(),
            "nodes": len(nodes),
            "machines": [
                {name: each.get(name, 0) for name in ("CPU", "GPU")} for each in resources
            ],
            "cpus": sum(node["Resources"].get("CPU", 0) for node in nodes),
            "gpus": sum(node["Resources"].get("GPU", 0) for node in nodes),
            "capabilities": sorted(
                name for name, has in torch.cpu.get_capabilities().items() if has is True
            ),
        },
    }


def resumed_record(folder: RunFolder, new: RunRecord) -> RunRecord:
    """Return run.json of a resumed run: the old content with the new options and a resume time.

    Args:
        folder: folder of the run.
        new: content of run.json if the run started now.

    Raises:
        InputError: the images, their split or the initial weights have changed.
    """
    old: RunRecord = folder.read_record()  # type: ignore[assignment]
    # Runs of the first version have the fingerprint of the resized images only.
    before = old["dataset"].get("source_fingerprint")
    after = new["dataset"]["source_fingerprint"]
    name = new["dataset"]["name"]
    if before not in (None, after):
        raise InputError(
            f"{name} has fingerprint {after}, and the run was started on {before}: give the "
            "images it was started with, or start another run"
        )
    before, after = old["split"].get("fingerprint", ""), new["split"]["fingerprint"]
    if before and before != after:  # earlier versions did not record it
        raise InputError(
            f"the split of {name} has fingerprint {after}, and the run was started on {before}: "
            "give the split it was started with, or start another run"
        )
    if old.get("weights", {}) != new["weights"]:
        raise InputError(
            "the initial weights are not those that the run was started with: restore them, or "
            "start another run"
        )
    earlier: list[str | None] = [None] * len(old["resumed"])
    changes = {
        "options": new["options"], "status": "running", "ended": None, "warnings": [],
        "resumed": [*old["resumed"], new["started"]],
        "paused": [*old.get("paused", earlier), old.get("ended")],
    }  # fmt: skip
    return {**old, **changes}  # type: ignore[typeddict-item]
