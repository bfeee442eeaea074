"""Trained models and their predictions on the sealed test set.

Shape letters: N test images, S height and width, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special

from trainables.arrays import Ints
from trainables.image_rows import ImageRows
from trainables.metrics import classification_scores
from trainables.target import TARGETS
from tune_jobs.analysis.comparison.calibration import mean_interval
from tune_jobs.analysis.comparison.candidates import Candidate
from tune_jobs.analysis.comparison.class_averages import (
    ClassAverages,
    class_averages,
    confusion_matrix,
    score_intervals,
)
from tune_jobs.analysis.comparison.statistics import wilson
from tune_jobs.analysis.formatting import Interval

Role: TypeAlias = Literal["winner", "seed", "trial"]
"""Best trial of a family on the validation images; its run with another seed; any other trial."""


@dataclass(frozen=True)
class TestSet:
    """The test split, sealed until this comparison opened it."""

    images: ImageRows
    """Images, N×S×S×3, uint8, in the largest view that a winner reads."""
    labels: Ints
    """True labels, N, int64, in 0..C-1."""
    indices: Ints
    """Indices of the images in the dataset, N, int64."""
    files: list[str]
    """Where each image is in the source: its path, or file and row."""
    classes: tuple[str, ...]
    """Class names, in the order of the labels."""
    source_fingerprint: str
    """Fingerprint of all images, independent of the size they were resized to."""
    split_fingerprint: str
    """Fingerprint of the split."""
    duplicates: int
    """Number of test images that show the same picture as a training or validation image."""


@dataclass(frozen=True)
class Scored:
    """A trained model and its predictions on the test set."""

    role: Role
    """Role of the model in the comparison."""
    candidate: Candidate
    """Trial that trained the model."""
    labels: Ints
    """True labels of the images, N, int64."""
    logits: NDArray[np.float32]
    """Logits, N×C, float32."""
    models: int = 1
    """Number of models scored on these images of which this may be the best: more than one if the
    test set had been opened before."""

    @property
    def name(self) -> str:
        """Name in tables and figures."""
        run = self.candidate.run.name
        return self.candidate.name if self.role == "winner" else f"{run}/{self.candidate.trial}"

    @property
    def short_name(self) -> str:
        """Name in sentences and wide tables."""
        return self.candidate.short_name if self.role == "winner" else self.name

    @cached_property
    def predicted(self) -> Ints:
        """Predicted labels (highest logit), N, int64."""
        predicted: Ints = self.logits.argmax(axis=1)
        return predicted

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each image is correctly classified, N, bool."""
        correct: NDArray[np.bool_] = self.predicted == self.labels
        return correct

    @cached_property
    def log_probabilities(self) -> NDArray[np.float64]:
        """Logarithm of the softmax probability of each class, N×C, float64."""
        logged: NDArray[np.float64] = special.log_softmax(self.logits.astype(np.float64), axis=1)
        return logged

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """Softmax probability of the predicted class, N, float64, in 0..1."""
        confidence: NDArray[np.float64] = np.exp(self.log_probabilities.max(axis=1))
        return confidence

    @property
    def accuracy(self) -> float:
        """Test accuracy, in 0..1."""
        return float(self.correct.mean())

    @cached_property
    def accuracy_interval(self) -> Interval:
        """95% confidence interval of the accuracy (Wilson), for all of `models` together."""
        return wilson(int(self.correct.sum()), len(self.correct), self.models)

    @cached_property
    def confusion(self) -> Ints:
        """Confusion matrix, C×C counts, int64; rows are true classes, columns predicted classes."""
        return confusion_matrix(self.labels, self.predicted, self.logits.shape[1])

    @cached_property
    def scores(self) -> ClassAverages:
        """Averages over classes."""
        return class_averages(self.confusion)

    @cached_property
    def score_intervals(self) -> dict[str, Interval | None]:
        """95% intervals of `scores` by name, but for recall; None where not estimable."""
        return score_intervals(self.confusion)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Scores by the names of --metric, as they are computed on the validation images."""
        scores = classification_scores(torch.from_numpy(self.logits), torch.from_numpy(self.labels))
        return {name: scores[name] for name in TARGETS}

    @cached_property
    def log_loss_interval(self) -> Interval:
        """95% confidence interval of the log-loss, a mean over images (Student's t)."""
        return mean_interval(-self.log_probabilities[np.arange(len(self.labels)), self.labels])
