"""The report's table of custom against pretrained, with what these measurements say of each row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tune_jobs.analysis.comparison.comparison import Comparison, Contestant
from tune_jobs.analysis.formatting import count, duration, milliseconds, percent, points
from tune_jobs.analysis.report.blocks import Section, Table, Text
from tune_jobs.run_folder.schema import SCORE

Measure = Callable[[Contestant], str]


def compute(contestant: Contestant) -> str:
    """Operations and training time."""
    return (
        f"{count(contestant.costs.macs)} MACs an image, "
        f"{duration(contestant.training_seconds)} to train the winner"
    )


def time_to_best(contestant: Contestant) -> str:
    """How soon the winner was as good as it got."""
    row = contestant.winner.candidate.row
    epochs = contestant.winner.candidate.run.epochs
    until = epochs[(epochs["trial"] == row["trial"]) & (epochs["epoch"] <= row["best/epoch"])]
    return f"{percent(row[SCORE])} after {duration(float(until['seconds'].sum()))} of training"


def generalisation(contestant: Contestant) -> str:
    """Accuracy on images seen in training against images never seen."""
    trained = contestant.winner.candidate.row["best/train_accuracy"]
    test = contestant.winner.accuracy
    return f"{percent(trained)} in training, {percent(test)} in the test: {points(test - trained)}"


def scalability(contestant: Contestant) -> str:
    """Speed and size in use."""
    return (
        f"{contestant.costs.images_per_second:,.0f} images/s, "
        f"{milliseconds(contestant.costs.latency_p50_ms)} an image, "
        f"{count(contestant.parameters)} parameters"
    )


@dataclass(frozen=True)
class Row:
    """A row of the report's table."""

    feature: str
    custom: str
    """What the report says."""
    pretrained: str
    """As `custom`."""
    measure: Measure | None = None
    """What is measured of it."""
    how: str = ""
    """How, or why nothing is."""


ROWS = (
    Row("Domain specificity", "High", "Medium – Low",
        how="none: it would take images of another domain"),
    Row("Control over architecture", "High", "Low",
        how="none: a property of the method, not a quantity"),
    Row("Data requirements", "High", "Low",
        how="none: it would take trainings on parts of the images"),
    Row("Computational requirements", "High", "Low", compute,
        "counted by FlopCounterMode; sum of the winner's epochs"),
    Row("Expertise requirements", "High", "Low", how="none: people were not observed"),
    Row("Ease of use", "Low", "High", how="none: people were not observed"),
    Row("Time efficiency", "Low", "High", time_to_best,
        "epochs up to the one that was best in validation; neither pretraining nor the features "
        "of a probe are counted"),
    Row("Generalization", "Medium – High", "Medium", generalisation,
        "accuracy over the epoch of the kept weights, with what dropout and augmentation take, "
        "against the sealed test images"),
    Row("Interpretability", "Medium – High", "Medium – Low",
        how="none: accuracy and cost say nothing of it"),
    Row("Scalability", "Medium – High", "Medium – Low", scalability,
        "throughput at batch 256 and median latency on this device"),
)  # fmt: skip


def section(comparison: Comparison) -> Section:
    """The ten rows, with the best custom and the best pretrained model's numbers."""
    best = comparison.best_by_kind
    columns = ("custom", "pretrained")
    rows = []
    for row in ROWS:
        cells = [
            row.measure(best[kind]) if row.measure and kind in best else "–" for kind in columns
        ]
        # Without one of the sides, nothing is settled between them.
        settled = row.measure is not None and all(kind in best for kind in columns)
        how = row.how if settled or row.measure is None else f"one side only: {row.how}"
        rows.append((row.feature, row.custom, row.pretrained, *cells, how))
    names = [best[kind].name if kind in best else "none compared" for kind in columns]
    return Section(
        "The report's discussion, measured",
        [
            Text(
                "The report ends with ten trade-offs between custom and pretrained models, "
                "without a number. Beside them stands what this comparison measured, of the best "
                f"custom model ({names[0]}) and the best pretrained one ({names[1]})."
            ),
            Table(
                ("feature", "report: custom", "report: pretrained", "measured: custom",
                 "measured: pretrained", "how"),
                rows,
                left=frozenset(range(6)),
            ),
        ],
    )  # fmt: skip
