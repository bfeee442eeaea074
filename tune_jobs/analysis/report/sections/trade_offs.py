"""Table of the student report on custom and pretrained models, with our measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tune_jobs.analysis.comparison.comparison import Comparison, Contestant
from tune_jobs.analysis.formatting import (
    count,
    duration,
    milliseconds,
    percent,
    points,
    signed,
    throughput,
)
from tune_jobs.analysis.report.blocks import Section, Table, Text
from tune_jobs.run_folder.schema import features_seconds, is_soup

Measure = Callable[[Contestant], str]
"""Function that formats a measurement of a contestant."""


def corrupted_accuracy(contestant: Contestant) -> str:
    """Return the mean accuracy on corrupted test images, and on the images as they are."""
    if contestant.corrupted is None:
        return "–"
    return (
        f"mean accuracy {percent(contestant.corrupted.accuracy)} on corrupted test images, "
        f"{percent(contestant.winner.accuracy)} on the images as they are"
    )


def attribution_maps(contestant: Contestant) -> str:
    """Return whether attribution maps passed their check, and its numbers."""
    if contestant.attributions is None:
        return "–"
    check = contestant.attributions.check
    words = {"passed": "maps passed their check", "failed": "maps failed their check",
             "alike": "maps mostly as without training"}  # fmt: skip
    return (
        f"{words[check.outcome]}: rank correlation {signed(check.correlation, '.2f')} with those "
        f"of untrained networks; {percent(check.covered)} probability left without the parts that "
        f"they mark, {percent(check.covered_random)} without random ones"
    )


def compute(contestant: Contestant) -> str:
    """Return multiply-accumulates and training time."""
    return (
        f"{count(contestant.costs.macs)} MACs per image, "
        f"{duration(contestant.training_seconds)} to train the winner"
    )


def data_requirements(contestant: Contestant) -> str:
    """Return the error with the fewest and with all training images."""
    if (curve := contestant.curve) is None:
        return "–"
    few, every = curve.cells.images[[0, -1]]
    first, last = curve.at(np.array([few, every]))
    return (
        f"validation error {percent(first)} with {few:,.0f} training images, {percent(last)} with "
        f"{every:,.0f}"
    )


def time_to_best(contestant: Contestant) -> str:
    """Return the best validation score and the training time until it was reached."""
    candidate = contestant.winner.candidate
    row, target = candidate.row, candidate.run.target
    if is_soup(row):
        score = target.show(row[target.best])
        return f"{score} validation {target.label} as an average of {row['members']}"
    epochs = candidate.run.epochs
    until = epochs[(epochs["trial"] == row["trial"]) & (epochs["epoch"] <= row["best/epoch"])]
    seconds = float(until["seconds"].sum()) + features_seconds(row)
    score, note = target.show(row[target.best]), " (fp32)" * bool(candidate.as_trained)
    return f"{score} validation {target.label}{note} after {duration(seconds)} of training"


def generalisation(contestant: Contestant) -> str:
    """Return training and test accuracy, both in evaluation mode, and their difference."""
    trained, test = contestant.train_accuracy, contestant.winner.accuracy
    return (
        f"training accuracy {percent(trained)}, test accuracy {percent(test)}: "
        f"{points(test - trained)} percentage points"
    )


def scalability(contestant: Contestant) -> str:
    """Return throughput, latency and number of parameters."""
    return (
        f"throughput {throughput(contestant.costs.images_per_second)}, latency "
        f"{milliseconds(contestant.costs.latency_p50_ms)}, "
        f"{count(contestant.parameters)} parameters"
    )


@dataclass(frozen=True)
class Row:
    """A row of the student report's table."""

    feature: str
    """Feature on which the student report compares custom and pretrained models."""
    custom: str
    """Rating of custom models in the student report."""
    pretrained: str
    """Rating of pretrained models in the student report."""
    measure: Measure | None = None
    """Our measurement; None if the feature is not measured."""
    how: str = ""
    """How the feature is measured, or why it is not."""


ROWS = (
    Row("Domain specificity", "High", "Medium – Low", corrupted_accuracy,
        "noise, blur, JPEG, brightness, contrast and pixelation, which --robustness measures; "
        "other domains need images of theirs"),
    Row("Control over architecture", "High", "Low",
        how="not measured: a property of the method, not a quantity"),
    Row("Data requirements", "High", "Low", data_requirements,
        "learning curve on the validation images, which --learning-curve measures"),
    Row("Computational requirements", "High", "Low", compute,
        "MACs counted by FlopCounterMode; training time summed over the winner's epochs"),
    Row("Expertise requirements", "High", "Low", how="not measured: no users were observed"),
    Row("Ease of use", "Low", "High", how="not measured: no users were observed"),
    Row("Time efficiency", "Low", "High", time_to_best,
        "epochs up to the one with the best validation score; excludes pretraining"),
    Row("Generalization", "Medium – High", "Medium", generalisation,
        "accuracy of the saved weights on up to 1,024 training images against that on the sealed "
        "test set, both in evaluation mode (no dropout, no augmentation)"),
    Row("Interpretability", "Medium – High", "Medium – Low", attribution_maps,
        "occlusion maps against those of untrained networks, which --attribution measures; whether "
        "people understand a model better by them needs people"),
    Row("Scalability", "Medium – High", "Medium – Low", scalability,
        "throughput in batches of up to 256 and median latency on this device"),
)  # fmt: skip


def near_duplicates(comparison: Comparison) -> str:
    """Say how many test images are of the very domain that models have learnt: near-duplicates."""
    test = comparison.test_set
    return (
        "Test images that show the same picture as a training or validation image: "
        f"{test.duplicates:,} of {len(test.labels):,}"
    )


def cells(row: Row, comparison: Comparison) -> tuple[str, str, str]:
    """Return what was measured of the best custom and pretrained model, and how."""
    best = comparison.best_by_kind
    custom, pretrained = (
        row.measure(best[kind]) if row.measure and kind in best else "–"
        for kind in ("custom", "pretrained")
    )
    how = row.how
    if row.measure is not None and "–" in (custom, pretrained):  # a comparison needs both kinds
        how = f"{'not measured' if custom == pretrained else 'one kind only'}: {how}"
    if row.measure is corrupted_accuracy:
        how += f". {near_duplicates(comparison)}"
    return custom, pretrained, how


def section(comparison: Comparison) -> Section | None:
    """Return the section, or None if the student report was not asked for."""
    if not comparison.student_report:
        return None
    best = comparison.best_by_kind
    columns = ("custom", "pretrained")
    rows = [(row.feature, row.custom, row.pretrained, *cells(row, comparison)) for row in ROWS]
    names = [best[kind].short_name if kind in best else "none compared" for kind in columns]
    return Section(
        "The student report's trade-offs, measured",
        [
            Text(
                "The student report ends with ten trade-offs between custom and pretrained models, "
                "without numbers. The table adds what this comparison measured for the best custom "
                f"model ({names[0]}) and the best pretrained model ({names[1]})."
            ),
            Table(
                ("feature", "student report: custom", "student report: pretrained",
                 "measured: custom", "measured: pretrained", "how measured"),
                rows,
                left=frozenset(range(6)),
            ),
        ],
    )  # fmt: skip
