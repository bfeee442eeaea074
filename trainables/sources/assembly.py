"""From labelled rows to a listing: groups, classes that are too small, and a description."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from trainables.data import TRAIN
from trainables.errors import InputError
from trainables.source_options import SourceOptions
from trainables.sources.labels import Labels
from trainables.sources.listing import Encoded, Listing
from trainables.sources.names import PART_NAMES, first_of
from trainables.sources.trees import SelectedImages


@dataclass
class Rows:
    """Images of a source with what it says of each, before anything is left out."""

    place: str
    """Path or URI of the source, the name of the dataset."""
    images: Encoded
    """Encoded images, N."""
    labels: Labels
    """Labels of the rows, some of which may be left out."""
    parts: npt.NDArray[np.int8]
    """Split of each image, N, int8."""
    paths: Sequence[str | None]
    """Path of each image below the source, N; None where the source has none."""
    groups: Sequence[object] | None = None
    """Value of the group column of each image, N; None: there is no such column."""
    ignored: Counter[str] = field(default_factory=Counter)
    """Number of files that were left out, by the reason."""
    notes: list[str] = field(default_factory=list)
    """Sentences about what was read differently than it is written."""


def check_options(options: SourceOptions) -> None:
    """Refuse contradictory options.

    Raises:
        InputError: They contradict one another, or the expression is none.
    """
    if options.group_by is not None and options.group_column is not None:
        raise InputError(
            "--group-by and --group-column both say what a group is: leave one of them out"
        )
    if options.min_per_class is not None and options.min_per_class < 1:
        raise InputError(
            f"--min-per-class {options.min_per_class} must be 1 or more images: try 5, or leave it "
            "out"
        )
    if options.group_by is not None:
        try:
            re.compile(options.group_by)
        except (re.error, OverflowError, RecursionError) as error:
            raise InputError(
                f"--group-by {options.group_by!r} is no regular expression ({error}): try e.g. "
                r"'patient(\d+)'"
            ) from error


def refuse_columns(options: SourceOptions, kind: str) -> None:
    """Refuse options that name a column where there are none.

    Raises:
        InputError: A column is named.
    """
    for name in ("image_column", "label_column", "group_column"):
        column = getattr(options, name)
        if column is not None:
            option = "--" + name.replace("_", "-")
            raise InputError(
                f"{option} {column}: {options.data} is {kind}, which has no columns: leave "
                f"{option} out, or give the table that has this column as --data"
            )


def assemble(rows: Rows, options: SourceOptions) -> Listing:
    """Make a listing of rows.

    Raises:
        InputError: There are no images, an image has no group, or no class is large enough.
    """
    kept = np.flatnonzero(rows.labels.kept)
    everything = len(kept) == len(rows.images)
    groups = _groups(rows, kept.tolist(), options)
    listing = Listing(
        name=rows.place,
        images=rows.images if everything else SelectedImages(rows.images, kept),
        labels=rows.labels.codes,
        classes=rows.labels.classes,
        parts=rows.parts[kept].astype(np.int8),
        groups=groups,
        ignored={k: n for k, n in (rows.labels.ignored + rows.ignored).items() if n},
        notes=(*rows.notes, *rows.labels.notes),
    )
    return leave_out_small_classes(listing, options.min_per_class)


def _groups(rows: Rows, kept: list[int], options: SourceOptions) -> tuple[str, ...] | None:
    """Return the group of each row that is kept, or None if there are no groups."""
    if rows.groups is not None:
        values = [rows.groups[row] for row in kept]
        lacking = [
            rows.images.origin(r) for r, v in zip(kept, values, strict=True) if v in ("", None)
        ]
        if lacking:
            raise InputError(
                f"{len(lacking):,} images have no value in --group-column {options.group_column}: "
                f"{first_of(lacking)}: fill it in, or leave the images out"
            )
        return tuple(map(str, values))
    if options.group_by is None:
        return None
    search = re.compile(options.group_by).search
    found: list[str] = []
    unmatched: list[str] = []
    for row in kept:
        path = rows.paths[row]
        match = None if path is None else search(path)
        group = match and (match.group(1) if match.re.groups else match.group())
        if group is None:
            unmatched.append(path or rows.images.origin(row))
        else:
            found.append(group)
    if unmatched:
        raise InputError(
            f"--group-by {options.group_by!r} matches the paths of all but {len(unmatched):,} of "
            f"{len(kept):,} images: {first_of(unmatched)}: let it match every path below "
            f"{rows.place}"
        )
    return tuple(found)


def leave_out_small_classes(listing: Listing, least: int | None) -> Listing:
    """Leave out the classes with fewer than a number of training images.

    Raises:
        InputError: That is every class.
    """
    if least is None:
        return listing
    counts = np.bincount(listing.labels[listing.parts == TRAIN], minlength=len(listing.classes))
    stay = counts >= least
    if stay.all():
        return listing
    if not stay.any():
        raise InputError(
            f"no class of {listing.name} has {least} training images, the largest has "
            f"{counts.max()}: lower --min-per-class"
        )
    rows = np.flatnonzero(stay[listing.labels])
    left = [
        f"{name} ({count})"
        for name, count, stays in zip(listing.classes, counts.tolist(), stay, strict=True)
        if not stays
    ]
    gone = len(listing.labels) - len(rows)
    reason = f"image of classes with fewer than {least} training images"
    groups = listing.groups
    return replace(
        listing,
        images=SelectedImages(listing.images, rows),
        labels=(np.cumsum(stay) - 1)[listing.labels[rows]].astype(np.int64),
        classes=tuple(n for n, stays in zip(listing.classes, stay, strict=True) if stays),
        parts=listing.parts[rows],
        groups=None if groups is None else tuple(groups[row] for row in rows.tolist()),
        ignored={**listing.ignored, **({reason: gone} if gone else {})},
        notes=(
            *listing.notes,
            f"{len(left):,} classes with fewer than {least} training images are left out: "
            f"{first_of(left)}",
        ),
    )


def describe(listing: Listing) -> list[str]:
    """Say what a source holds.

    Returns:
        A line with the number of images in each split and of files that were ignored, and a line
        for each note.
    """
    counts = {code: int((listing.parts == code).sum()) for code in PART_NAMES}
    n_classes = f" in {len(listing.classes):,} classes"
    if counts[TRAIN] == len(listing.parts):
        line = f"{counts[TRAIN]:,} images{n_classes}"
    else:
        line = ", ".join(
            f"{PART_NAMES[code]} {count:,}{n_classes if code == TRAIN else ''}"
            for code, count in counts.items()
            if count
        )
    if listing.groups is not None:
        line += f", {len(set(listing.groups)):,} groups"
    if listing.ignored:
        line += f"; {describe_ignored(listing)}"
    return [line, *listing.notes]


def describe_ignored(listing: Listing) -> str:
    """Say how many files were ignored, by kind; the empty text if none was."""
    if not listing.ignored:
        return ""
    kinds = sorted(listing.ignored.items(), key=lambda item: (-item[1], item[0]))
    total = sum(listing.ignored.values())
    named = ", ".join(f"{count:,} {kind}" for kind, count in kinds)
    return f"{total:,} file{'s' if total > 1 else ''} ignored: {named}"
