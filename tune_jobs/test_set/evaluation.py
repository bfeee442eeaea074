"""Evaluation of trained models on the sealed test set: rebuild, predict, and measure costs."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor, nn

from trainables.arrays import Ints
from trainables.costs import Costs, measure_all
from trainables.errors import InputError, first_line
from trainables.features import cached_arrays, hash_of
from trainables.models import build_for
from trainables.models.heads import linear_head
from trainables.models.pretrained import code_version
from trainables.models.weights import fingerprint
from trainables.precision import tf32_disabled
from trainables.saved_model import Classifier, describe_model, rebuild
from tune_jobs.analysis.comparison.calibration import fit_temperature
from tune_jobs.analysis.comparison.candidates import Candidate, LoadedRun, family
from tune_jobs.analysis.comparison.comparison import Contestant
from tune_jobs.analysis.comparison.learning_curve import LearningCurve
from tune_jobs.analysis.comparison.rejection import confidence, risk_thresholds
from tune_jobs.analysis.comparison.scored import Role, Scored
from tune_jobs.run_folder.checkpoints import best_weights, check_weights
from tune_jobs.run_folder.schema import config_of, is_soup, training_seconds
from tune_jobs.tuning.data import RunData

MOST_TRAINING = 1024
"""Largest number of training images on which a winner is scored in evaluation mode."""
LAYER_DEPTH = 2
"""Number of leading parts of a module name that identify a layer: one block of a large network."""


@dataclass(frozen=True)
class TrainedModel:
    """Model of a candidate, ready for prediction and for saving."""

    candidate: Candidate
    """Trial that trained the model."""
    about: dict[str, Any]
    """Content of model.json."""
    weights: bytes
    """Content of model.safetensors."""
    classifier: Classifier
    """Model on its device."""


@dataclass(frozen=True)
class Validation:
    """Predictions of a model on the validation images of its run."""

    logits: NDArray[np.float32]
    """Logits, N×C, float32."""
    labels: Ints
    """True labels, N, int64."""


def load_trained(candidate: Candidate, data: RunData, device: torch.device) -> TrainedModel:
    """Load the weights of a candidate and rebuild its model.

    Args:
        candidate: a trial of a run.
        data: images of the run.
        device: device of the model.

    Raises:
        InputError: the weights are missing or altered, or do not fit the network.
    """
    with _rebuild_errors(candidate):
        weights = save({n: t.contiguous() for n, t in _read_weights(candidate, data).items()})
        training = data.trials.training_data(candidate.config)
        how = data.trials.images.how
        about = describe_model(candidate.config, training, weights, how)
        return TrainedModel(candidate, about, weights, rebuild(about, weights, device))


def check_model(candidate: Candidate, data: RunData) -> None:
    """Raise InputError if a candidate's weights are missing or altered, or do not fit its network.

    The model is not kept in memory, as --every-trial may check hundreds.
    """
    with _rebuild_errors(candidate):
        weights = _read_weights(candidate, data)
        with torch.device("meta"):
            model = build_for(candidate.config, data.trials.training_data(candidate.config))
        model.load_state_dict(weights, assign=True)


def _read_weights(candidate: Candidate, data: RunData) -> dict[str, Tensor]:
    """Return the state dict of a candidate's best epoch."""
    folder, row, config = candidate.run.folder, candidate.row, candidate.config
    sha256 = row.get("weights_sha256")
    check_weights(folder, row["checkpoint"], sha256 if isinstance(sha256, str) else None)
    return best_weights(
        folder,
        row["checkpoint"],
        config,
        len(data.dataset.classes),
        data.trials.view(config).size,
        candidate.run.record.get("weights", {}).get(config.model),
    )


@contextlib.contextmanager
def _rebuild_errors(candidate: Candidate) -> Iterator[None]:
    """Raise InputError in place of the errors of a model that cannot be rebuilt."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = first_line(error)
        raise InputError(
            f"the model of {candidate.trial} in {candidate.run.folder.uri} cannot be rebuilt "
            f"({reason}): restore its files from a backup, or train it again"
        ) from error


def score(model: TrainedModel, role: Role, data: RunData, models: int = 1) -> Scored:
    """Return a model's logits on the test images of its run.

    Args:
        model: the model.
        role: role of the model in the comparison.
        data: images of the model's run.
        models: number of models of which it may be the best on these images.
    """
    test = data.split.test
    logits = model.classifier.logits(data.images(test, model.classifier.view)).numpy()
    return Scored(role, model.candidate, data.dataset.labels[test], logits, models)


def training_accuracy(model: TrainedModel, data: RunData) -> float:
    """Return the accuracy on training images, evenly spaced, in 0..1.

    They are as many as the test images, but at most MOST_TRAINING, as this takes time. The saved
    weights are scored in evaluation mode, as on the test images.
    """
    train = data.split.train
    train = train[:: -(-len(train) // min(MOST_TRAINING, len(data.split.test)))]
    logits = model.classifier.logits(data.images(train, model.classifier.view)).numpy()
    return float((logits.argmax(axis=1) == data.dataset.labels[train]).mean())


def inference_costs(classifiers: Sequence[Classifier]) -> list[Costs]:
    """Measure the winners' inference costs in turns; without times if the machine was busy."""
    with tf32_disabled():  # as in prediction
        measured = measure_all(
            [(each.model, each.input_size) for each in classifiers], classifiers[0].device
        )
    return [each.stated() for each in measured]


def validation_logits(model: TrainedModel, data: RunData) -> Validation:
    """Return a model's logits on the validation images of its run.

    They are cached on this machine: a comparison needs those of a finalist twice, and the next
    comparison of the same runs again. Probes of one network share its features.

    Args:
        model: the model.
        data: images of the model's run.
    """
    classifier, labels = model.classifier, data.dataset.labels[data.split.validation]
    if model.candidate.config.mode != "probe":
        return Validation(_cached_outputs(classifier, model.about, data), labels)
    backbone = copy.deepcopy(classifier.model)
    path = linear_head(backbone, model.about["model"], classifier.input_size)
    head = backbone.get_submodule(path)
    backbone.set_submodule(path, nn.Identity())
    weights = fingerprint({n: t.cpu().numpy() for n, t in backbone.state_dict().items()})
    features = _cached_outputs(
        dataclasses.replace(classifier, model=backbone), {**model.about, "sha256": weights}, data
    )
    with torch.inference_mode(), tf32_disabled():
        logits = head(torch.from_numpy(features).to(classifier.device)).cpu().numpy()
    return Validation(logits, labels)


def _cached_outputs(
    classifier: Classifier, about: dict[str, Any], data: RunData
) -> NDArray[np.float32]:
    """Return what a network computes of the validation images, in fp32, from the cache if it can.

    Args:
        classifier: the network.
        about: description of the network with the hash of its weights.
        data: images of its run.
    """
    rows = data.split.validation

    def compute() -> dict[str, NDArray[Any]]:
        return {"outputs": classifier.logits(data.images(rows, classifier.view)).numpy()}

    implementation = code_version(about["model"]), torch.__version__, classifier.device.type
    key = hash_of(about, *implementation, data.dataset.fingerprint, rows.tobytes())
    return np.array(cached_arrays(key, ("outputs",), compute)["outputs"])


def contestant(
    winner: Scored,
    seeds: list[Scored],
    runs: Sequence[LoadedRun],
    classifier: Classifier,
    costs: Costs,
    validation: Validation,
    price_per_hour: float | None,
    train_accuracy: float,
    curve: LearningCurve | None = None,
) -> Contestant:
    """Return the winner of a model family with its costs.

    Args:
        winner: the winner's predictions on the test set.
        seeds: predictions of the winner's runs with different random seeds.
        runs: compared runs.
        classifier: the winner's model.
        costs: its inference costs.
        validation: the winner's predictions on the validation images.
        price_per_hour: price of one node in dollars per hour; None if unknown.
        train_accuracy: accuracy of the winner on training images in evaluation mode.
        curve: learning curve of the winner; None without --learning-curve.
    """
    searched = [
        (run, row)
        for run in runs
        for row in run.rows
        if family(config_of(row)) == winner.candidate.family
    ]
    seconds = training_seconds(row for _, row in searched)
    hours = sum(node_hours(run, each) for (run, _), each in zip(searched, seconds, strict=True))
    temperature = fit_temperature(validation.logits, validation.labels)
    return Contestant(
        winner=winner,
        costs=costs,
        layers=layer_parameters(classifier.model),
        tried=sum(not is_soup(row) for _, row in searched),
        search_seconds=sum(seconds),
        dollars=None if price_per_hour is None else hours * price_per_hour,
        temperature=temperature,
        seeds=seeds,
        train_accuracy=train_accuracy,
        rejections=risk_thresholds(
            confidence(validation.logits, temperature),
            validation.logits.argmax(axis=1) == validation.labels,
        ),
        curve=curve,
    )


def layer_parameters(model: nn.Module) -> dict[str, int]:
    """Return the trainable parameters by layer, or by block in large networks, in order."""
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            layer = ".".join(name.split(".")[:-1][:LAYER_DEPTH]) or name
            counts[layer] = counts.get(layer, 0) + parameter.numel()
    return counts


def node_hours(run: LoadedRun, seconds: float) -> float:
    """Return the node hours of a trial: its hours times the fraction of a node that it occupied.

    Args:
        run: run of the trial.
        seconds: training time of the trial in seconds.
    """
    hardware, options = run.record["hardware"], run.record["options"]["run"]
    # Runs of earlier versions do not list their nodes.
    average = {"CPU": hardware["cpus"], "GPU": hardware["gpus"]}
    nodes = hardware.get("machines") or [
        {name: count / max(1, hardware["nodes"]) for name, count in average.items()}
    ]
    cpus, gpus = options["cpus_per_trial"], options["gpus_per_trial"]
    if gpus is None:
        gpus = 1 if any(node["GPU"] for node in nodes) else 0
    suitable = [n for n in nodes if n["CPU"] >= cpus and (n["GPU"] >= gpus or not gpus)]
    fractions = [max(cpus / n["CPU"], gpus / n["GPU"] if gpus else 0) for n in suitable]
    return float(min(fractions, default=1)) * seconds / 3600
