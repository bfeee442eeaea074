"""Names of the data sets of runs, and which runs may stand in one comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Record: TypeAlias = Mapping[str, Any]
"""Content of a run.json."""


def images_of(record: Record) -> str | None:
    """Return the fingerprint of a run's images; None if an earlier version did not record it."""
    found: str | None = record["dataset"].get("source_fingerprint")
    return found


def split_of(record: Record) -> str | None:
    """Return the fingerprint of a run's split; None if an earlier version did not record it."""
    found: str | None = record["split"].get("fingerprint")
    return found


def metric_of(record: Record) -> str:
    """Return the name of the metric that the trials of a run were selected by."""
    training = record.get("options", {}).get("training", {})
    found: str = training.get("metric", "accuracy")  # 0.1 selected by accuracy
    return found


def _classes_of(record: Record) -> list[str]:
    return list(record["dataset"].get("classes", ()))


def dataset_labels(records: Sequence[Record]) -> list[str]:
    """Return the data set of each run as --data named it.

    Where one name stands for several sets of images or several splits, the label has as much more
    as tells them apart: the number of images, the split, and at last the fingerprints.

    Args:
        records: run.json of each run.
    """
    keys = [(images_of(record), split_of(record)) for record in records]
    labels = [_label(record, 0) for record in records]
    for name in set(labels):
        same = [i for i, label in enumerate(labels) if label == name and None not in keys[i]]
        different = len({keys[i] for i in same})
        for detail in range(4):
            texts = {i: _label(records[i], detail) for i in same}
            if len(set(texts.values())) >= different:
                break
        for i, text in texts.items():
            labels[i] = text
    return labels


def _label(record: Record, detail: int) -> str:
    """Return the name of a data set, with more of what tells it from others at higher `detail`."""
    dataset, split = record["dataset"], record["split"]
    parts = [str(dataset.get("name", "unknown"))]
    if detail > 0:
        parts.append(f"{dataset['images']:,} images" if "images" in dataset else "images unknown")
    if detail > 1:
        shares = split.get("shares")
        given = f"--split {' '.join(map(str, shares))} " if shares else ""
        parts.append(f"{given}--split-seed {split.get('seed', 0)}")
    if detail > 2:
        parts.append(f"fingerprints {images_of(record)} and {split_of(record)}")
    return parts[0] + (f" ({', '.join(parts[1:])})" if parts[1:] else "")


def together(records: Sequence[Record]) -> list[list[int]]:
    """Return the groups of runs that have the same images, split and metric, by their positions.

    Args:
        records: run.json of each run.
    """
    groups: list[list[int]] = []
    for i, record in enumerate(records):
        for group in groups:
            if not any(differing(records[other], record) for other in group):
                group.append(i)
                break
        else:
            groups.append([i])
    return groups


def differing(first: Record, other: Record) -> str | None:
    """Return what keeps two runs out of one comparison: images, split or metric; None if nothing.

    A fingerprint that an earlier version did not record is like every other.
    """
    if _classes_of(first) != _classes_of(other):
        return "images"
    for what, ours, theirs in (
        ("images", images_of(first), images_of(other)),
        ("split", split_of(first), split_of(other)),
        ("metric", metric_of(first), metric_of(other)),
    ):
        if None not in (ours, theirs) and ours != theirs:
            return what
    return None
