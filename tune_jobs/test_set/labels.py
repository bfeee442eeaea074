"""Find labels that may be wrong, with the predictions that a comparison has anyway."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import special

from trainables.errors import InputError
from trainables.features import ARRAYS, array_files, content_key
from trainables.out_of_fold import FOLDS, out_of_fold
from trainables.precision import ResolvedPrecision
from trainables.probe import Probe
from tune_jobs.analysis.comparison.candidates import Candidate, LoadedRun, candidates
from tune_jobs.analysis.comparison.comparison import Contestant
from tune_jobs.analysis.comparison.label_check import LabelCheck, Part, label_check
from tune_jobs.run_folder.checkpoints import backbone_weights
from tune_jobs.run_folder.schema import merit
from tune_jobs.test_set.evaluation import TrainedModel, Validation
from tune_jobs.test_set.images import RunImages, data_of, files_of
from tune_jobs.tuning.data import RunData


def held_out_labels(
    contestant: Contestant, model: TrainedModel, validation: Validation, data: RunData
) -> LabelCheck:
    """Judge the labels of the validation and test images by a winner, which learnt from neither.

    Args:
        contestant: the winner, with its predictions on the test images.
        model: its model.
        validation: its predictions on the validation images.
        data: images of its run.
    """
    split, view = data.split, model.classifier.view
    rows = np.concatenate([split.validation, split.test])
    logits = np.concatenate([validation.logits, contestant.winner.logits]).astype(np.float64)
    parts: list[Part] = ["validation" for _ in split.validation]
    parts += ["test" for _ in split.test]
    return label_check(
        f"calibrated probabilities of {contestant.name}",
        data.dataset.labels[rows],
        special.softmax(logits / contestant.temperature, axis=1),
        data.dataset.classes,
        parts,
        files_of(data, rows),
        data.images(rows, view),
    )


def training_labels(
    runs: Sequence[LoadedRun], images: RunImages, device: torch.device
) -> list[LabelCheck]:
    """Judge the labels of the training images by cross-validation on features that are cached.

    Args:
        runs: compared runs.
        images: images of each run.
        device: device to compute on.

    Returns:
        One check; none without a trial of mode probe whose features this machine has cached.
    """
    target = runs[0].target
    probes = [c for run in runs for c in candidates(run) if c.config.mode == "probe"]
    for candidate in sorted(probes, key=lambda each: merit(each.row, target), reverse=True):
        probe = cached_probe(candidate, data_of(candidate, images), device)
        if probe is not None:
            break
    else:
        return []
    data, config = data_of(candidate, images), candidate.config
    train = len(data.split.train)
    view = data.trials.view(config)
    penalty, _, _ = probe.best(config.penalty)
    judge = (
        f"logistic regressions on features of {config.model}, each fitted to other images "
        f"({FOLDS}-fold cross-validation)"
    )
    return [
        label_check(
            judge,
            data.trials.train_labels,
            out_of_fold(probe, penalty)[:train],
            data.dataset.classes,
            ["training"] * train,
            files_of(data, data.split.train),
            data.images(data.split.train, view),
        )
    ]


def cached_probe(candidate: Candidate, data: RunData, device: torch.device) -> Probe | None:
    """Return the features of a linear probe if they are in the cache of this machine.

    Args:
        candidate: a trial of mode probe.
        data: images of its run.
        device: device to compute on.
    """
    config = candidate.config
    precision: ResolvedPrecision | None = candidate.row.get("precision")
    if not isinstance(precision, str):
        return None
    try:
        weights = backbone_weights(candidate.run.folder, config)
    except (InputError, OSError):
        return None
    arguments = config, data.trials.training_data(config), weights, device
    key = content_key(*arguments, precision)
    if not all(file.exists() for file in array_files(key, ARRAYS).values()):
        return None
    return Probe(*arguments, precision)
