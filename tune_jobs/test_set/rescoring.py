"""Validation scores in fp32 of models that were trained in another precision.

Trials report their validation scores in the precision that they train in, and the test images are
scored in fp32: what is chosen for a score should be chosen for that which it will have.
"""

from __future__ import annotations

import dataclasses

import torch
from rich.console import Console

from trainables.metrics import classification_scores
from trainables.step import criterion
from tune_jobs.analysis.comparison.candidates import Candidate
from tune_jobs.command_line.terminal import said
from tune_jobs.test_set.evaluation import TrainedModel, load_trained, validation_logits
from tune_jobs.tuning.data import RunData


def in_fp32(
    candidate: Candidate, data: RunData, device: torch.device, console: Console
) -> Candidate:
    """Return a candidate with its validation scores in fp32.

    Args:
        candidate: a trial of a run.
        data: images of the run.
        device: device to compute on.
        console: terminal or log file.

    Raises:
        InputError: the weights are missing or altered, or do not fit the network.
    """
    if not needed(candidate):
        return candidate
    with said(f"scoring {candidate.trial} on the validation images in fp32", console):
        return load_rescored(candidate, data, device).candidate


def load_rescored(candidate: Candidate, data: RunData, device: torch.device) -> TrainedModel:
    """Return the model of a candidate, which has its validation scores in fp32.

    Arguments and errors are those of `in_fp32`.
    """
    return scored_again(load_trained(candidate, data, device), data)


def needed(candidate: Candidate) -> bool:
    """Return whether the validation scores of a trial are in another precision than fp32."""
    return candidate.row.get("precision") in ("bf16", "fp16")


def scored_again(model: TrainedModel, data: RunData) -> TrainedModel:
    """Return a model whose candidate has its validation scores in fp32.

    Args:
        model: the model.
        data: images of its run.
    """
    candidate = model.candidate
    if not needed(candidate):
        return model
    predicted = validation_logits(model, data)
    logits, labels = torch.from_numpy(predicted.logits), torch.from_numpy(predicted.labels)
    scores = {f"best/val_{name}": v for name, v in classification_scores(logits, labels).items()}
    scores["best/val_loss"] = float(criterion(candidate.config.loss, logits, labels))
    before = {column: candidate.row[column] for column in scores}
    again = dataclasses.replace(candidate, row=candidate.row | scores, as_trained=before)
    return dataclasses.replace(model, candidate=again)
