"""Probabilities of images by heads that were not fitted to them: cross-validation on features.

Shape letters: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.arrays import Ints
from trainables.data import TrainingData
from trainables.probe import Probe

FOLDS = 5
"""Folds of the cross-validation."""


def out_of_fold(probe: Probe, penalty: float) -> NDArray[np.float64]:
    """Return the probabilities of the training images, then of the validation images, N×C, float64.

    Heads are fitted to four fifths of all these images, and classify the rest.

    Args:
        probe: features of the images.
        penalty: L2 penalty of the heads.
    """
    features = torch.cat([probe.train, probe.val])
    labels = torch.cat([probe.train_labels, probe.val_labels])
    found = torch.zeros(len(labels), len(probe.data.classes), dtype=torch.float64)
    for fitted, others in folds(probe.data):
        rows, held_out = (torch.from_numpy(each).to(probe.device) for each in (fitted, others))
        head = probe.fit(features[rows], labels[rows], penalty)
        found[held_out.cpu()] = head.logits(features[held_out]).double().softmax(1).cpu()
    return found.numpy()


def folds(data: TrainingData) -> Iterator[tuple[Ints, Ints]]:
    """Yield the images that a head is fitted to and those that it classifies, stratified by class.

    Images of a group stay together.

    Args:
        data: training and validation data.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    labels = np.concatenate([data.train_labels, data.val_labels])
    kind = StratifiedKFold if data.groups is None else StratifiedGroupKFold
    splitter = kind(FOLDS, shuffle=True, random_state=0)
    yield from splitter.split(np.zeros(len(labels)), labels, data.groups)
