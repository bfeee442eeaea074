"""Findings about labels and splits: what makes a comparison of models wrong."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainables.arrays import Ints
from trainables.data import TRAIN
from trainables.sources.names import PART_NAMES
from tune_jobs.analysis.formatting import counted, listed
from tune_jobs.data_check.findings import NAMED, Finding, Severity
from tune_jobs.data_check.inspection import Inspection
from tune_jobs.data_check.thumbnails import pair_galleries
from tune_jobs.tuning.copies import count_copies

FEW = 20
"""Training images of a class below which its class is tiny."""
DOMINANT = 0.5
"""Share of the largest class above which a constant answer is hard to beat."""
NEARLY_EQUAL = 1.5
"""Ratio of the largest class to the smallest up to which two classes are not unequal."""
UNEQUAL = 10
"""Ratio of the largest class to the smallest above which accuracy hides the smallest."""

HARMFUL = 0.005
"""Share of the images above which what is wrong with them makes a comparison wrong, as it may move
an accuracy by half a point."""


def refused_split(inspection: Inspection) -> Finding | None:
    """Say why the images cannot be split."""
    if inspection.refusal is None:
        return None
    return Finding(
        "error",
        "The images cannot be split into training, validation and test images",
        f"No job can train on them: {inspection.refusal}.",
        "",
    )


def missing_classes(inspection: Inspection) -> Finding | None:
    """Name the classes that a split lacks."""
    counts, classes = inspection.counts, inspection.listing.classes
    used = counts.any(axis=0)
    missing = [
        f"{classes[label]}: none in {_parts(lacks)}"
        for label, lacks in enumerate((counts == 0) & used)
        if lacks.any()
    ]
    if not missing:
        return None
    return Finding(
        "error",
        f"Classes without images in a split: {len(missing):,} of {len(classes):,}",
        "A class that no model is trained on cannot be recognised, and one that is not in "
        "validation and test counts in no score.",
        "Add images of it, split anew with --split 0.6 0.2 0.2, or remove its folder or rows.",
        missing[:NAMED],
        len(missing),
    )


def tiny_classes(inspection: Inspection) -> Finding | None:
    """Name the classes with few training images."""
    own = inspection.counts[:, TRAIN]
    tiny = [label for label in np.argsort(own, kind="stable").tolist() if own[label] < FEW]
    if not tiny:
        return None
    classes = inspection.listing.classes
    return Finding(
        "warning",
        f"Classes with fewer than {FEW} training images: {len(tiny):,} of {len(classes):,}",
        "Models hardly learn them, and their few validation and test images make their scores "
        "chance.",
        f"Add images, or leave such classes out with --min-per-class {FEW}.",
        [f"{classes[label]} ({own[label]:,})" for label in tiny[:NAMED]],
        len(tiny),
    )


def unequal_classes(inspection: Inspection) -> Finding | None:
    """Say what a constant answer scores."""
    totals = inspection.counts.sum(axis=1)
    present = totals[totals > 0]
    if len(present) < 2:
        return None
    share, ratio = totals.max() / totals.sum(), present.max() / present.min()
    dominant = share > DOMINANT and ratio > NEARLY_EQUAL
    if not dominant and ratio < UNEQUAL:
        return None
    name = inspection.listing.classes[int(totals.argmax())]
    return Finding(
        "warning" if dominant else "note",
        f"Classes are unequal: {name} holds {share:.1%} of the images, {ratio:,.1f} times as many "
        "as the smallest class",
        f"A constant answer scores {share:.1%} accuracy, so accuracy says little about the small "
        "classes.",
        "Compare by --metric balanced_accuracy, and train with --class-weights balanced.",
    )


def label_conflicts(inspection: Inspection) -> Finding | None:
    """Show the pictures that have two labels."""
    pairs, labels = _pairs(inspection), inspection.listing.labels
    chosen = inspection.pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]]
    if not len(chosen):
        return None
    images = len(np.unique(inspection.facts.copies.pairs[chosen]))
    share = images / len(inspection.rows)
    return Finding(
        _severity(share),
        f"{images:,} images ({share:.2%}) show a picture that also stands under another label",
        "At least one of the labels is wrong, so models learn a contradiction and a right answer "
        "counts as a mistake.",
        "Correct the labels, or leave these pictures out with --duplicates drop.",
        _names(inspection, chosen),
        len(chosen),
        lambda: pair_galleries(inspection, chosen),
    )


def copies_across_splits(inspection: Inspection) -> Finding | None:
    """Show the pictures that are in two splits."""
    codes = inspection.codes[_pairs(inspection)]
    chosen = inspection.pairs[codes[:, 0] != codes[:, 1]]
    if not len(chosen):
        return None
    rows = inspection.rows
    counts = count_copies(inspection.listing, inspection.facts, rows, inspection.codes[rows])
    share = counts.across / max(1, int((inspection.codes[rows] != TRAIN).sum()))
    return Finding(
        _severity(share),
        "Validation or test images that are copies of images in an earlier split: "
        f"{counts.across:,} ({share:.2%})",
        "Models are scored on pictures that they have learned or were selected on, so their scores "
        "are too high, and higher for models that memorise.",
        "Leave the copies out with --duplicates drop; where one scene has several pictures, keep "
        "them together with --group-by or --group-column.",
        _names(inspection, chosen),
        len(chosen),
        lambda: pair_galleries(inspection, chosen),
    )


def _severity(share: float) -> Severity:
    """Return how much wrong images matter that are a share of all that are trained or scored on."""
    return "error" if share > HARMFUL else "warning"


def copies_within_a_split(inspection: Inspection) -> Finding | None:
    """Show the pictures that are in one split several times, under one label."""
    pairs, labels = _pairs(inspection), inspection.listing.labels
    same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    same &= inspection.codes[pairs[:, 0]] == inspection.codes[pairs[:, 1]]
    chosen = inspection.pairs[same]
    if not len(chosen):
        return None
    identical = int(inspection.facts.copies.identical[chosen].sum())
    return Finding(
        "note",
        f"{counted(len(chosen), 'pair')} of copies within a split: {identical:,} identical, "
        f"{len(chosen) - identical:,} saved differently",
        "Such a picture counts several times in training and in the scores.",
        "--duplicates drop keeps one of each.",
        _names(inspection, chosen),
        len(chosen),
        lambda: pair_galleries(inspection, chosen),
    )


def dropped_copies(inspection: Inspection) -> Finding | None:
    """Say how many copies were left out."""
    if not inspection.dropped:
        return None
    return Finding(
        "note",
        f"{counted(inspection.dropped, 'image')} left out as copies of others",
        "One image of each picture is compared on, and none of a picture under two labels "
        "(--duplicates drop).",
        "Give the training jobs the same option.",
    )


def divided_groups(inspection: Inspection) -> Finding | None:
    """Name the groups whose images are in several splits."""
    groups = inspection.listing.groups
    if groups is None:
        return None
    used = np.flatnonzero(inspection.codes >= 0)
    names, of_row = np.unique(np.array(groups)[used], return_inverse=True)
    splits = np.zeros((len(names), len(PART_NAMES)), dtype=bool)
    splits[of_row, inspection.codes[used]] = True
    divided = np.flatnonzero(splits.sum(axis=1) > 1)
    if not len(divided):
        return None
    examples = [f"{names[group]}: {_parts(splits[group])}" for group in divided[:NAMED]]
    return Finding(
        "error",
        f"{len(divided):,} of {len(names):,} groups have images in several splits of the source",
        "Models are scored on groups, e.g. patients, that they have learned, so their scores are "
        "too high for new ones.",
        "Move each group into one split of the source, or put all images into the training split "
        "and have it divided by group.",
        examples,
        len(divided),
    )


def _pairs(inspection: Inspection) -> Ints:
    """Return the rows of the pairs of copies in the splits, P×2, int64."""
    return inspection.facts.copies.pairs[inspection.pairs]


def _parts(which: npt.NDArray[np.bool_]) -> str:
    """Name the splits of which something is true."""
    return listed([PART_NAMES[code] for code in np.flatnonzero(which).tolist()])


def _names(inspection: Inspection, pairs: Ints) -> list[str]:
    """Name the images of the first pairs."""
    return [
        " and ".join(inspection.about(row) for row in rows)
        for rows in inspection.facts.copies.pairs[pairs[:NAMED]].tolist()
    ]


SPLIT_CHECKS = (
    refused_split,
    copies_across_splits,
    label_conflicts,
    divided_groups,
    missing_classes,
    unequal_classes,
    tiny_classes,
    dropped_copies,
    copies_within_a_split,
)
