"""Results of a comparison: the models, their test-set predictions and their costs.

Shape letters: N test images, H height, W width, C classes, S random seeds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.arrays import Ints
from trainables.costs import Costs
from trainables.image_rows import ImageRows
from trainables.metrics import classification_scores
from trainables.target import TARGETS, Target
from tune_jobs.analysis.comparison.calibration import Reliability, mean_interval, reliability
from tune_jobs.analysis.comparison.candidates import Candidate, LoadedRun, is_custom
from tune_jobs.analysis.comparison.class_averages import (
    ClassAverages,
    bootstrap_scores,
    class_averages,
    confusion_matrix,
)
from tune_jobs.analysis.comparison.statistics import (
    PairedTest,
    SeedSpread,
    paired_tests,
    seed_spread,
    wilson,
)
from tune_jobs.analysis.formatting import Interval, class_counts, constant_answer

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

    @property
    def name(self) -> str:
        """Name in tables and figures."""
        run = self.candidate.run.name
        return self.candidate.family if self.role == "winner" else f"{run}/{self.candidate.trial}"

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
    def confidence(self) -> NDArray[np.float64]:
        """Softmax probability of the predicted class, N, float64, in 0..1."""
        shifted = self.logits.astype(np.float64)
        shifted -= shifted.max(axis=1, keepdims=True)
        confidence: NDArray[np.float64] = 1 / np.exp(shifted).sum(axis=1)
        return confidence

    @property
    def accuracy(self) -> float:
        """Test accuracy, in 0..1."""
        return float(self.correct.mean())

    @cached_property
    def accuracy_interval(self) -> Interval:
        """95% confidence interval of the accuracy (Wilson's score interval)."""
        return wilson(int(self.correct.sum()), len(self.correct))

    @cached_property
    def confusion(self) -> Ints:
        """Confusion matrix, C×C counts, int64; rows are true classes, columns predicted classes."""
        return confusion_matrix(self.labels, self.predicted, self.logits.shape[1])

    @cached_property
    def scores(self) -> ClassAverages:
        """Averages over classes."""
        return class_averages(self.confusion)

    @cached_property
    def score_intervals(self) -> dict[str, Interval]:
        """95% confidence intervals of `scores` by name, by a stratified bootstrap."""
        return bootstrap_scores(self.confusion)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Scores by the names of --metric, as they are computed on the validation images."""
        scores = classification_scores(torch.from_numpy(self.logits), torch.from_numpy(self.labels))
        return {name: scores[name] for name in TARGETS}

    @cached_property
    def log_loss_interval(self) -> Interval:
        """95% confidence interval of the log-loss, a mean over images (Student's t)."""
        shifted = self.logits - self.logits.max(axis=1, keepdims=True).astype(np.float64)
        own = shifted[np.arange(len(self.labels)), self.labels]
        return mean_interval(np.log(np.exp(shifted).sum(axis=1)) - own)


@dataclass(frozen=True)
class Contestant:
    """A model family in the comparison: its winner, its costs and its runs with other seeds."""

    winner: Scored
    """Best trial of the family on the validation images."""
    costs: Costs
    """Inference costs of the winner."""
    layers: dict[str, int]
    """Number of trainable parameters by layer, in the order of the layers."""
    tried: int
    """Number of trials of the family in the compared runs."""
    search_seconds: float
    """Training time of all these trials, in seconds."""
    dollars: float | None
    """Cost of the nodes for that time, in dollars; None if no price was given."""
    temperature: float
    """Temperature of the winner's probabilities, fitted on the validation images."""
    seeds: list[Scored] = field(default_factory=list)
    """Runs of the winner's configuration with different random seeds."""

    @property
    def name(self) -> str:
        """Name of the family."""
        return self.winner.name

    @property
    def kind(self) -> Literal["custom", "pretrained", "from scratch"]:
        """Group in the question "custom or pretrained?"; "from scratch" belongs to neither."""
        config = self.winner.candidate.config
        if is_custom(config):
            return "custom"
        return "from scratch" if config.weights == "none" else "pretrained"

    @property
    def parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(self.layers.values())

    @property
    def training_seconds(self) -> float:
        """Training time of the winner alone, in seconds; of a soup, that of its members."""
        return self.winner.candidate.training_seconds

    @cached_property
    def as_trained(self) -> Reliability:
        """Quality of the winner's probabilities on the test images, at a temperature of 1."""
        return reliability(self.winner.logits, self.winner.labels, 1.0)

    @cached_property
    def calibrated(self) -> Reliability:
        """Quality of the winner's probabilities on the test images, at `temperature`."""
        return reliability(self.winner.logits, self.winner.labels, self.temperature)

    @property
    def seed_accuracies(self) -> NDArray[np.float64]:
        """Test accuracy of each run in `seeds`, S, float64, in 0..1."""
        return np.array([seed.accuracy for seed in self.seeds])

    @cached_property
    def spread(self) -> SeedSpread | None:
        """Mean accuracy over seeds and its sources of error; None with fewer than two seeds."""
        if len(self.seeds) < 2:
            return None
        return seed_spread(np.stack([seed.correct for seed in self.seeds]))


@dataclass(frozen=True)
class Pair:
    """Two contestants compared on the same images."""

    first: Contestant
    """First contestant."""
    second: Contestant
    """Second contestant."""
    paired: PairedTest
    """Paired test of the two winners."""

    @property
    def discordant(self) -> float:
        """Fraction of the images that exactly one of the two classifies correctly, in 0..1."""
        return (self.paired.only_first + self.paired.only_second) / len(self.first.winner.labels)


@dataclass(frozen=True)
class Comparison:
    """Everything that the report is made from."""

    runs: list[LoadedRun]
    """Compared runs."""
    test_set: TestSet
    """Test set on which all models are scored."""
    contestants: list[Contestant]
    """One per model family, the best by `target` first, which is chosen."""
    trials: list[Scored]
    """All other trials, if requested (--every-trial)."""
    openings: list[dict[str, Any]]
    """Ledger entries of every opening of the test set; this comparison is the last one."""
    facts: dict[str, str]
    """Facts needed to reproduce the comparison: command, time, device and versions."""
    student_report: bool
    """Whether the report also compares with the student report that this project grew from."""

    @cached_property
    def pairs(self) -> list[Pair]:
        """Every pair of contestants, with the tests corrected for the number of pairs."""
        two = list(combinations(self.contestants, 2))
        tests = paired_tests([(a.winner.correct, b.winner.correct) for a, b in two])
        return [Pair(a, b, test) for (a, b), test in zip(two, tests, strict=True)]

    @property
    def target(self) -> Target:
        """Metric that the models were selected by, on the validation images."""
        return self.runs[0].target

    @property
    def constant_answer(self) -> str:
        """What one answer for all test images scores; empty if no class has most of them."""
        test = self.test_set
        return constant_answer(class_counts(test.labels, test.classes), test.classes)

    @property
    def chosen(self) -> Contestant:
        """Contestant that is best on the validation images, which the report recommends."""
        return self.contestants[0]

    @property
    def best_by_kind(self) -> dict[str, Contestant]:
        """Contestant of each `kind` that is best on the validation images."""
        best: dict[str, Contestant] = {}
        for contestant in self.contestants:
            best.setdefault(contestant.kind, contestant)
        return best

    @property
    def rivals(self) -> list[Pair]:
        """Pairs of the chosen contestant with each of the others."""
        return [pair for pair in self.pairs if pair.first is self.chosen]

    @property
    def scored(self) -> list[Scored]:
        """All models scored on the test set: winners, their runs with other seeds, other trials."""
        winners = [contestant.winner for contestant in self.contestants]
        seeds = [scored for contestant in self.contestants for scored in contestant.seeds]
        return [*winners, *seeds, *self.trials]

    @property
    def dataset(self) -> str:
        """Name of the dataset, without its folder."""
        return str(self.runs[0].record["dataset"]["name"]).rstrip("/").rsplit("/", 1)[-1]
