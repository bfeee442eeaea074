"""Results of a comparison: the models, their test-set predictions and their costs.

Shape letters: N test images, S random seeds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trainables.costs import Costs
from trainables.model_file import Rejection
from trainables.target import Target
from tune_jobs.analysis.comparison.attribution import Attributions
from tune_jobs.analysis.comparison.calibration import Reliability, reliability
from tune_jobs.analysis.comparison.candidates import LoadedRun
from tune_jobs.analysis.comparison.effort import Effort, effort_of
from tune_jobs.analysis.comparison.equivalence import Decision, Word, decide
from tune_jobs.analysis.comparison.label_check import LabelCheck
from tune_jobs.analysis.comparison.learning_curve import LearningCurve
from tune_jobs.analysis.comparison.names import is_custom
from tune_jobs.analysis.comparison.rejection import Area, Realised, areas, confidence, realised
from tune_jobs.analysis.comparison.robustness import Corrupted
from tune_jobs.analysis.comparison.scored import Scored, TestSet
from tune_jobs.analysis.comparison.statistics import PairedTest, paired_tests
from tune_jobs.analysis.comparison.two_way import SeedSpread, seed_spread
from tune_jobs.analysis.formatting import class_counts, constant_answer

MARGIN = 0.01
"""Difference in accuracy below which two models are equivalent, if no other is given."""


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
    """Training time of all these trials, with that of the features of probes, in seconds."""
    dollars: float | None
    """Cost of the nodes for that time, in dollars; None if no price was given."""
    temperature: float
    """Temperature of the winner's probabilities, fitted on the validation images."""
    seeds: list[Scored] = field(default_factory=list)
    """Runs of the winner's configuration with different random seeds."""
    train_accuracy: float = float("nan")
    """Accuracy of the winner on training images in evaluation mode: without dropout, augmentation
    or batch statistics, in 0..1; NaN if not measured."""
    rejections: list[Rejection] = field(default_factory=list)
    """Thresholds below which the winner does not answer, by risk, chosen on validation images."""
    corrupted: Corrupted | None = None
    """The winner's predictions on corrupted test images (--robustness)."""
    attributions: Attributions | None = None
    """Attribution maps of the winner on some test images (--attribution)."""
    curve: LearningCurve | None = None
    """Learning curve of the winner's configuration; None without --learning-curve."""

    @property
    def name(self) -> str:
        """Name in tables and figures: EfficientNet-Lite0, ImageNet weights, 224 px."""
        return self.winner.name

    @property
    def short_name(self) -> str:
        """Name in sentences: pretrained EfficientNet-Lite0."""
        return self.winner.candidate.short_name

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

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """Calibrated probability of the class that the winner predicts, N, float64, in 0..1."""
        return confidence(self.winner.logits, self.temperature)

    def realised(self, rejection: Rejection) -> Realised:
        """Return the winner's coverage and risk on the test images at a threshold."""
        return realised(self.confidence, self.winner.correct, rejection.threshold)

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
    """McNemar's test of the two winners, as trained models."""
    decision: Decision
    """What the seeds and images say about the two, from three seeds on as model families."""

    @property
    def word(self) -> Word:
        """The first contestant, compared with the second."""
        return self.decision.word


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
    margin: float = MARGIN
    """Difference in accuracy below which two models are equivalent (--margin), in 0..1."""
    price_per_hour: float | None = None
    """Price of one node in dollars per hour; None if unknown."""
    label_checks: list[LabelCheck] = field(default_factory=list)
    """Labels that may be wrong, by who judged them."""

    @cached_property
    def pairs(self) -> list[Pair]:
        """Every pair of contestants, with the tests corrected for the number of pairs."""
        two = list(combinations(self.contestants, 2))
        tests = paired_tests([(a.winner.correct, b.winner.correct) for a, b in two])
        seeds = [
            (np.stack([s.correct for s in a.seeds]), np.stack([s.correct for s in b.seeds]))
            if a.seeds and b.seeds
            else None
            for a, b in two
        ]
        decisions = decide(tests, seeds, self.margin)
        return [
            Pair(a, b, test, decision)
            for (a, b), test, decision in zip(two, tests, decisions, strict=True)
        ]

    @property
    def trained_only(self) -> list[Pair]:
        """Those of `rivals` whose verdict is about two trained models, not model families."""
        return [p for p in self.rivals if p.decision.estimate.basis == "trained models"]

    @property
    def target(self) -> Target:
        """Metric that the models were selected by, on the validation images."""
        return self.runs[0].target

    @property
    def rescored(self) -> bool:
        """Whether validation scores of the winners are those in fp32, unlike those in training."""
        return any(each.winner.candidate.as_trained for each in self.contestants)

    @property
    def chosen_label(self) -> str:
        """Name of the validation score that the models were chosen by, for headings."""
        return f"validation {self.target.label}" + (" (fp32)" if self.rescored else "")

    @property
    def training_label(self) -> str:
        """Name of the validation score that trials had in training, for headings."""
        used = {row.get("precision") for run in self.runs for row in run.rows}
        names = "/".join(sorted(each for each in used if isinstance(each, str)))
        return f"validation {self.target.label}" + f" in training ({names})" * self.rescored

    @property
    def interval_label(self) -> str:
        """Name of the intervals of test accuracies, which may hold for several models together."""
        models = self.chosen.winner.models
        return "95% CI" + f", widened for {models} models" * (models > 1)

    @property
    def chosen_by(self) -> str:
        """What the chosen contestant is best by, as part of a sentence."""
        if not all(each.seeds for each in self.contestants):
            return f"validation {self.target.label}"
        count = min(len(each.seeds) for each in self.contestants)
        return f"mean validation {self.target.label} over {count} seeds"

    @property
    def constant_answer(self) -> str:
        """What one answer for all test images scores; empty if no class has most of them."""
        test = self.test_set
        return constant_answer(class_counts(test.labels, test.classes), test.classes)

    @property
    def chosen(self) -> Contestant:
        """Contestant that is best on the validation images, which the report recommends."""
        return self.contestants[0]

    @cached_property
    def areas(self) -> list[Area]:
        """Area under each contestant's risk-coverage curve, compared with the chosen one's."""
        return areas([(each.confidence, each.winner.correct) for each in self.contestants])

    @property
    def runner_up(self) -> Pair | None:
        """The chosen contestant and the next best one on the validation images, if any."""
        return self.rivals[0] if self.rivals else None

    @property
    def other_kind(self) -> Pair | None:
        """The chosen contestant and the best one of the other kind, custom or pretrained, if any.

        Of a chosen network that was trained from scratch, the best of either.
        """
        other = {"custom": ("pretrained",), "pretrained": ("custom",)}
        kinds = other.get(self.chosen.kind, ("custom", "pretrained"))
        return next((pair for pair in self.rivals if pair.second.kind in kinds), None)

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

    @cached_property
    def efforts(self) -> list[Effort]:
        """Effort that was spent on the family of each contestant."""
        return [
            effort_of(
                each.short_name,
                each.winner.candidate.family,
                self.runs,
                each.dollars / each.search_seconds if each.dollars is not None else None,
            )
            for each in self.contestants
        ]

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
