"""Trained models on the sealed test images: rebuilt, scored, timed and priced."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor, nn

from trainables.costs import measure
from trainables.errors import InputError
from trainables.models import build_for
from trainables.precision import exact_convolutions
from trainables.saved_model import Classifier, describe_model, rebuild
from tune_jobs.analysis.comparison.candidates import Candidate, LoadedRun, family
from tune_jobs.analysis.comparison.comparison import Contestant, Role, Scored, TestSet
from tune_jobs.run_folder.checkpoints import best_weights, check_weights
from tune_jobs.run_folder.schema import config_of
from tune_jobs.tuning.data import RunData

LAYER_DEPTH = 2
"""Of the names of modules that parameters are counted by: a block of a large network is one."""


@dataclass(frozen=True)
class TrainedModel:
    """A candidate's model, ready to be scored and written."""

    candidate: Candidate
    """The trial that trained it."""
    about: dict[str, Any]
    """Content of model.json."""
    weights: bytes
    """Content of model.safetensors."""
    classifier: Classifier
    """The model on its device."""


def load_trained(candidate: Candidate, data: RunData, device: torch.device) -> TrainedModel:
    """Read a candidate's weights and build its model.

    Args:
        candidate: a trial of a run.
        data: images of the run.
        device: that the model is to be on.

    Raises:
        InputError: its weights are missing or altered, or do not fit its network.
    """
    with _explained(candidate):
        weights = save({n: t.contiguous() for n, t in _read_weights(candidate, data).items()})
        about = describe_model(candidate.config, data.training, weights)
        return TrainedModel(candidate, about, weights, rebuild(about, weights, device))


def check_model(candidate: Candidate, data: RunData) -> None:
    """Raise InputError if a candidate's weights are missing or altered, or do not fit its network.

    Nothing is kept, as a comparison of every trial may have hundreds.
    """
    with _explained(candidate):
        weights = _read_weights(candidate, data)
        with torch.device("meta"):
            model = build_for(candidate.config, data.training)
        model.load_state_dict(weights, assign=True)


def _read_weights(candidate: Candidate, data: RunData) -> dict[str, Tensor]:
    """Read the state dict of a candidate's best epoch."""
    folder, row, config = candidate.run.folder, candidate.row, candidate.config
    sha256 = row.get("weights_sha256")
    check_weights(folder, row["checkpoint"], sha256 if isinstance(sha256, str) else None)
    return best_weights(
        folder,
        row["checkpoint"],
        config,
        len(data.training.classes),
        data.training.image_size,
        candidate.run.record.get("weights", {}).get(config.model),
    )


@contextlib.contextmanager
def _explained(candidate: Candidate) -> Iterator[None]:
    """Raise InputError where a model cannot be rebuilt."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"the model of {candidate.trial} in {candidate.run.folder.uri} cannot be rebuilt "
            f"({reason}): take its files from a backup, or train it again"
        ) from error


def open_test_set(datasets: Sequence[RunData]) -> TestSet:
    """The sealed images.

    Args:
        datasets: the same images, cut alike, in one size or more.
    """
    data = max(datasets, key=lambda each: each.dataset.images.shape[1])
    dataset, parts = data.dataset, data.split
    seen = {digest.tobytes() for part in (parts.train, parts.validation)
            for digest in dataset.digests[part]}  # fmt: skip
    return TestSet(
        images=dataset.images[parts.test],
        labels=dataset.labels[parts.test],
        indices=parts.test,
        classes=dataset.classes,
        source_fingerprint=dataset.source_fingerprint,
        split_fingerprint=parts.fingerprint,
        duplicates=sum(digest.tobytes() in seen for digest in dataset.digests[parts.test]),
    )


def score(model: TrainedModel, role: Role, data: RunData) -> Scored:
    """Have a model classify the test images of its run."""
    test = data.split.test
    logits = model.classifier.logits(data.dataset.images[test]).numpy()
    return Scored(role, model.candidate, data.dataset.labels[test], logits)


def contestant(
    winner: Scored,
    seeds: list[Scored],
    runs: Sequence[LoadedRun],
    classifier: Classifier,
    price_per_hour: float | None,
) -> Contestant:
    """The winner of a family with what it costs.

    Args:
        winner: on the test images.
        seeds: its retrainings.
        runs: that are compared.
        classifier: the winner's model, on the device to measure on.
        price_per_hour: dollars of one machine.
    """
    searched = [
        (run, row)
        for run in runs
        for row in run.rows
        if family(config_of(row)) == winner.candidate.family
    ]
    with exact_convolutions():  # as it predicts
        costs = measure(classifier.model, classifier.input_size, classifier.device)
    hours = sum(machine_hours(run, row["seconds"]) for run, row in searched)
    return Contestant(
        winner=winner,
        costs=costs,
        layers=layer_parameters(classifier.model),
        tried=len(searched),
        search_seconds=sum(row["seconds"] for _, row in searched),
        dollars=None if price_per_hour is None else hours * price_per_hour,
        seeds=seeds,
    )


def layer_parameters(model: nn.Module) -> dict[str, int]:
    """Learnable parameters by layer, or by block of layers in a large network, in their order."""
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            layer = ".".join(name.split(".")[:-1][:LAYER_DEPTH]) or name
            counts[layer] = counts.get(layer, 0) + parameter.numel()
    return counts


def machine_hours(run: LoadedRun, seconds: float) -> float:
    """Hours that a trial had a machine of the run to itself, or its share of one."""
    hardware, options = run.record["hardware"], run.record["options"]["run"]
    # A run of an earlier version has no list of its machines.
    average = {"CPU": hardware["cpus"], "GPU": hardware["gpus"]}
    machines = hardware.get("machines") or [
        {name: count / max(1, hardware["nodes"]) for name, count in average.items()}
    ]
    cpus, gpus = options["cpus_per_trial"], options["gpus_per_trial"]
    if gpus is None:
        gpus = 1 if any(machine["GPU"] for machine in machines) else 0
    fit = [m for m in machines if m["CPU"] >= cpus and (m["GPU"] >= gpus or not gpus)]
    shares = [max(cpus / m["CPU"], gpus / m["GPU"] if gpus else 0) for m in fit]
    return float(min(shares, default=1)) * seconds / 3600
