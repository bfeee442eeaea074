"""What a comparison found: the models, what they make of the test images, and what they cost.

Shape letters: N test images, H height, W width, C classes, S seeds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainables.costs import Costs
from trainables.data import Images, Ints
from tune_jobs.analysis.comparison.candidates import Candidate, LoadedRun, is_custom
from tune_jobs.analysis.comparison.statistics import (
    Interval,
    PairedTest,
    SeedSpread,
    WeightedScores,
    bootstrap_scores,
    confusion_matrix,
    paired_tests,
    seed_spread,
    weighted_scores,
    wilson,
)

Role: TypeAlias = Literal["winner", "seed", "trial"]
"""Of a family, chosen on validation; a retraining of one; any other trial."""


@dataclass(frozen=True)
class TestSet:
    """The images that were sealed until now."""

    images: Images
    """N×H×W×3, the largest that a run has them in."""
    labels: Ints
    """N."""
    indices: Ints
    """N, of the images in the dataset."""
    classes: tuple[str, ...]
    source_fingerprint: str
    """Of all images, whatever size they were resized to."""
    split_fingerprint: str
    """Of the cut."""
    duplicates: int
    """How many of them are in the training or validation part too, byte by byte."""


@dataclass(frozen=True)
class Scored:
    """A trained model, and what it makes of the test images."""

    role: Role
    candidate: Candidate
    labels: Ints
    """N, what the images are."""
    logits: NDArray[np.float32]
    """N×C."""

    @property
    def name(self) -> str:
        """In tables and figures."""
        run = self.candidate.run.name
        return self.candidate.family if self.role == "winner" else f"{run}/{self.candidate.trial}"

    @cached_property
    def predicted(self) -> Ints:
        """N, the label with the highest logit."""
        predicted: Ints = self.logits.argmax(axis=1)
        return predicted

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """N, whether that is what the image is."""
        right: NDArray[np.bool_] = self.predicted == self.labels
        return right

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """N, the probability of the predicted class."""
        shifted = self.logits.astype(np.float64)
        shifted -= shifted.max(axis=1, keepdims=True)
        confidence: NDArray[np.float64] = 1 / np.exp(shifted).sum(axis=1)
        return confidence

    @property
    def accuracy(self) -> float:
        """Share of the images that are right."""
        return float(self.right.mean())

    @cached_property
    def accuracy_interval(self) -> Interval:
        """Wilson's."""
        return wilson(int(self.right.sum()), len(self.right))

    @cached_property
    def confusion(self) -> Ints:
        """C×C, a row what images are, a column what they were taken for."""
        return confusion_matrix(self.labels, self.predicted, self.logits.shape[1])

    @cached_property
    def scores(self) -> WeightedScores:
        """Weighted precision, recall and F1."""
        return weighted_scores(self.confusion)

    @cached_property
    def score_intervals(self) -> dict[str, Interval]:
        """Of precision, recall and f1, by a stratified bootstrap."""
        return bootstrap_scores(self.confusion)


@dataclass(frozen=True)
class Contestant:
    """The winner of a family, and what it costs."""

    winner: Scored
    costs: Costs
    layers: dict[str, int]
    """Learnable parameters of each layer, in their order."""
    tried: int
    """Trials of the family in the runs that are compared."""
    search_seconds: float
    """Training time of all of them."""
    dollars: float | None
    """Of the machines for that time; None where no price was given."""
    seeds: list[Scored] = field(default_factory=list)
    """Retrainings of the winner."""

    @property
    def name(self) -> str:
        """Of the family."""
        return self.winner.name

    @property
    def kind(self) -> Literal["custom", "pretrained", "from scratch"]:
        """Which side of the question it is on; a known network from scratch is on neither."""
        config = self.winner.candidate.config
        if is_custom(config):
            return "custom"
        return "from scratch" if config.weights == "none" else "pretrained"

    @property
    def parameters(self) -> int:
        """Learnable ones."""
        return sum(self.layers.values())

    @property
    def training_seconds(self) -> float:
        """Of the winner alone."""
        return float(self.winner.candidate.row["seconds"])

    @property
    def seed_accuracies(self) -> NDArray[np.float64]:
        """S."""
        return np.array([seed.accuracy for seed in self.seeds])

    @cached_property
    def spread(self) -> SeedSpread | None:
        """What seeds and test images make of the mean accuracy; None with fewer than two seeds."""
        return seed_spread(np.stack([s.right for s in self.seeds])) if len(self.seeds) > 1 else None


@dataclass(frozen=True)
class Pair:
    """Two contestants on the same images."""

    first: Contestant
    second: Contestant
    paired: PairedTest

    @property
    def discordant(self) -> float:
        """Share of the images that one of the two alone has right."""
        return (self.paired.only_first + self.paired.only_second) / len(self.first.winner.right)


@dataclass(frozen=True)
class Comparison:
    """All that the report is made of."""

    runs: list[LoadedRun]
    test_set: TestSet
    contestants: list[Contestant]
    """The best on validation first, which is the one that is chosen."""
    trials: list[Scored]
    """Every other trial, where that was asked for."""
    openings: list[dict[str, Any]]
    """Of the test part, this one last."""
    facts: dict[str, str]
    """What a reader needs to repeat it: command, time, device, versions."""

    @cached_property
    def pairs(self) -> list[Pair]:
        """Each two contestants, in their order, tested together."""
        two = list(combinations(self.contestants, 2))
        tests = paired_tests([(a.winner.right, b.winner.right) for a, b in two])
        return [Pair(a, b, test) for (a, b), test in zip(two, tests, strict=True)]

    @property
    def chosen(self) -> Contestant:
        """The one to use: the best on validation images."""
        return self.contestants[0]

    @property
    def best_by_kind(self) -> dict[str, Contestant]:
        """The best on validation of each side of the question."""
        best: dict[str, Contestant] = {}
        for contestant in self.contestants:
            best.setdefault(contestant.kind, contestant)
        return best

    @property
    def rivals(self) -> list[Pair]:
        """The chosen one against each of the others."""
        return [pair for pair in self.pairs if pair.first is self.chosen]

    @property
    def scored(self) -> list[Scored]:
        """Every model that has seen the test images: winners, their seeds, other trials."""
        winners = [contestant.winner for contestant in self.contestants]
        seeds = [scored for contestant in self.contestants for scored in contestant.seeds]
        return [*winners, *seeds, *self.trials]

    @property
    def dataset(self) -> str:
        """What it is called, without the folder that it lay in."""
        return str(self.runs[0].record["dataset"]["name"]).rstrip("/").rsplit("/", 1)[-1]
