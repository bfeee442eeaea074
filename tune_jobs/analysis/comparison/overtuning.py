"""Overtuning: how much of a winner's validation score is owed to choosing the best of many trials.

Shape letters: N validation images, T trials, D bootstrap resamples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainables.checkpoint import CORRECT_FILE, unpack
from trainables.config import TrialConfig
from trainables.status import TrialStatus
from trainables.target import ACCURACY
from tune_jobs.analysis.comparison.candidates import LoadedRun, family
from tune_jobs.analysis.comparison.comparison import Comparison, Contestant
from tune_jobs.analysis.comparison.statistics import Bools, Floats, resamples
from tune_jobs.run_folder.constraints import may_be_chosen
from tune_jobs.run_folder.schema import config_of, is_soup, merit

DRAWS = 1000
"""Bootstrap resamples."""
CELLS = 5_000_000
"""Weights of images in memory at a time, 40 MB."""


@dataclass(frozen=True)
class Tuned:
    """What a bootstrap over validation images says about choosing the best of several trials."""

    chosen: float
    """Validation accuracy of the best trial, in 0..1."""
    corrected: float
    """Accuracy to expect of it on other images: that of the best trial of each resample on the
    images that are not in the resample, in 0..1."""
    default_as_good: float
    """Share of the resamples in which the untuned trial was at least as good as the best trial of
    the resample, on the images that are not in it, in 0..1; NaN without an untuned trial."""
    trials: int
    """Number of trials T."""

    @property
    def optimism(self) -> float:
        """How much too high the validation accuracy of the best trial is, in 0..1."""
        return self.chosen - self.corrected


def tuned(correct: Bools, default: int | None) -> Tuned:
    """Estimate the optimism of the accuracy of the best trial on the images that chose it.

    Bootstrap bias correction (Tsamardinos, Greasidou & Borboudakis 2018, Bootstrapping the
    out-of-sample predictions for efficient and accurate cross-validation): the choice is repeated
    on resamples of the images, and the chosen trial is scored on the images that were not drawn.
    Whether tuning beats an untuned trial there is the question of Schneider, Bischl & Feurer 2025,
    Overtuning in hyperparameter optimization.

    Args:
        correct: which images each trial classifies correctly, T×N, bool; of equal trials the first
            is chosen.
        default: position of the untuned trial; None if there is none.
    """
    trials, images = correct.shape
    hits: Floats = correct.T.astype(np.float64)
    generator = np.random.default_rng(0)
    outside, as_good = [], []
    block = max(1, CELLS // images)
    for count in np.diff([*range(0, DRAWS, block), DRAWS]):
        drawn = resamples(generator, count, images)
        left_out = (drawn == 0).astype(np.float64)
        best = (drawn @ hits).argmax(axis=1)
        scores = left_out @ hits / np.maximum(left_out.sum(axis=1), 1)[:, None]
        own = scores[np.arange(count), best]
        outside.append(own)
        as_good.append(scores[:, default] >= own if default is not None else own * np.nan)
    return Tuned(
        chosen=float(correct.mean(axis=1).max()),
        corrected=float(np.concatenate(outside).mean()),
        default_as_good=float(np.concatenate(as_good).mean()),
        trials=trials,
    )


@dataclass(frozen=True)
class Selection:
    """The trials of a model family, and what its winner owes to choosing among them."""

    contestant: Contestant
    """The family."""
    epochs: int
    """Epochs that all its trials trained for together."""
    unknown: int
    """Trials of which it is not known which validation images they classify correctly: those that
    earlier versions trained."""
    default: str
    """Name of the untuned trial; empty without `tuned`, and if there is none."""
    default_accuracy: float
    """Its validation accuracy, in 0..1; NaN if `default` is empty."""
    tuned: Tuned | None
    """Optimism of the winner's validation accuracy; None if fewer than two trials are known."""


def selections(comparison: Comparison) -> list[Selection]:
    """Return what each family owes to choosing among its trials."""
    return [selection_of(contestant, comparison.runs) for contestant in comparison.contestants]


def selection_of(contestant: Contestant, runs: Sequence[LoadedRun]) -> Selection:
    """Return what a model family owes to choosing among its trials.

    Args:
        contestant: the family.
        runs: compared runs.
    """
    name = contestant.winner.candidate.family
    trials = [
        Trial(run, row, config)
        for run in runs
        for row in run.rows
        if not is_soup(row) and family(config := config_of(row)) == name
    ]
    scored = [each for each in trials if each.may_win]
    known = [(each, bits) for each in scored if (bits := each.correct()) is not None]
    epochs = sum(int(each.row["epochs"]) for each in trials)
    unknown = len(scored) - len(known)
    selection = Selection(contestant, epochs, unknown, "", float("nan"), None)
    if len(known) < 2 or len({len(bits) for _, bits in known}) > 1:
        return selection
    place = untuned([each for each, _ in known])
    ranked = sorted(known, key=lambda each: merit(each[0].row, ACCURACY), reverse=True)
    correct = np.stack([bits for _, bits in ranked])
    if place is None:
        return dataclasses.replace(selection, tuned=tuned(correct, None))
    default = known[place][0]
    position = next(i for i, (each, _) in enumerate(ranked) if each is default)
    return dataclasses.replace(
        selection,
        default=default.row["trial"],
        default_accuracy=default.row[ACCURACY.best],
        tuned=tuned(correct, position),
    )


@dataclass(frozen=True)
class Trial:
    """A trial of a model family."""

    run: LoadedRun
    """Its run."""
    row: dict[str, Any]
    """Its row of trials.parquet."""
    config: TrialConfig
    """Its configuration."""

    @property
    def may_win(self) -> bool:
        """Whether it has weights and violates no constraint, so that it could have been chosen."""
        ended = TrialStatus(self.row["status"]).is_ended
        return ended and isinstance(self.row["checkpoint"], str) and may_be_chosen(self.row)

    def correct(self) -> Bools | None:
        """Return which validation images it classifies correctly, N, bool; None if not known."""
        file = f"{self.row['checkpoint']}/{CORRECT_FILE}"
        try:
            bits = unpack(self.run.folder.read(file), self.run.record["split"]["validation"])
        except (OSError, ValueError):
            return None
        # A trial that resumed from a checkpoint of an earlier version has none, or those of later
        # epochs alone.
        same = abs(bits.sum() - self.row[ACCURACY.best] * len(bits)) < 0.5
        return bits if same else None


def untuned(trials: Sequence[Trial]) -> int | None:
    """Return the position of the trial that one would have taken without tuning.

    In a search it is the first one, which has the settings of the recipe; in a grid the first one
    of the middle of the learning rates, or of the penalties. Of two, neither is the middle.
    """
    searched = [
        i
        for i, each in enumerate(trials)
        if each.run.record.get("search", {}).get("algorithm", "grid") != "grid"
    ]
    if searched:
        return searched[0]
    values = [each.config.lr or each.config.penalty or 0.0 for each in trials]
    distinct = sorted(set(values))
    if len(distinct) == 2:
        return None
    return values.index(distinct[(len(distinct) - 1) // 2])
