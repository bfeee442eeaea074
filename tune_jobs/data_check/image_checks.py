"""Findings about files and pixels: what cannot be read, and what is read in a certain way."""

from __future__ import annotations

import numpy as np

from trainables.arrays import Ints
from tune_jobs.analysis.formatting import counted
from tune_jobs.data_check.findings import NAMED, Finding, Severity
from tune_jobs.data_check.inspection import Inspection
from tune_jobs.data_check.thumbnails import image_galleries

BLANK = 2
"""Contrast in grey levels up to which an image is blank; JPEG moves an even area by 1."""
SMALL = 4
"""An image is small if its shorter side is this many times below the median."""
CUT = 0.5
"""Share of an image that a crop may cut off unmentioned."""
USUAL_CUT = 0.1
"""Share of the median image that a crop may cut off unmentioned."""
WIDE_MODE = "I;16"
"""Start of Pillow's names of 16-bit modes."""
TELLS = 0.5
"""Share of the mistakes of a constant answer that formats must save to be mentioned."""


def damaged_images(inspection: Inspection) -> Finding | None:
    """Name the images that cannot be decoded, with the reasons."""
    errors = inspection.facts.errors
    if not errors:
        return None
    skipped = inspection.options.skip_bad
    total = len(inspection.listing.labels)
    return Finding(
        "warning" if skipped else "error",
        f"{len(errors):,} of {total:,} images are damaged",
        "They are left out (--skip-bad), so what they show is not compared on."
        if skipped
        else "Training jobs stop at them, as nobody knows what is missing.",
        "Replace them." if skipped else "Replace them, or leave them out with --skip-bad.",
        [f"{inspection.origin(row)} ({errors[row]})" for row in sorted(errors)[:NAMED]],
        len(errors),
    )


def blank_images(inspection: Inspection) -> Finding | None:
    """Name the images of one colour."""
    rows = inspection.rows[inspection.facts.contrasts[inspection.rows] <= BLANK]
    if not len(rows):
        return None
    return _of_rows(
        inspection, rows, "warning", f"{counted(len(rows), 'image')} blank: all of one brightness",
        "There is nothing to recognise in them, so each is a lucky guess or a mistake.",
        "Delete them, or check how they were exported.",
    )  # fmt: skip


def small_images(inspection: Inspection) -> Finding | None:
    """Name the images that are much smaller than the others."""
    shorter = inspection.facts.sizes[inspection.rows].min(axis=1)
    median = int(np.median(shorter)) if len(shorter) else 0
    rows = inspection.rows[shorter * SMALL < median]
    if not len(rows):
        return None
    return _of_rows(
        inspection, rows, "warning",
        f"{counted(len(rows), 'image')} less than a quarter as large as the median of {median:,} "
        "pixels (shorter side)",
        "They are enlarged and blurred, and a model may learn the blur where one class has most of "
        "them.",
        "Replace thumbnails by the originals, or delete them.",
    )  # fmt: skip


def enlarged_images(inspection: Inspection) -> Finding | None:
    """Say how many images are smaller than the size that was asked for."""
    sizes = [size for size in inspection.options.image_size if isinstance(size, int)]
    if not sizes:
        return None
    rows = inspection.rows[inspection.facts.sizes[inspection.rows].min(axis=1) < max(sizes)]
    if not len(rows):
        return None
    return _of_rows(
        inspection, rows, "note",
        f"{counted(len(rows), 'image')} smaller than --image-size {max(sizes)} (shorter side)",
        "They are enlarged, which costs time and shows no more detail.",
        "A smaller --image-size may score as well.",
    )  # fmt: skip


def cut_images(inspection: Inspection) -> Finding | None:
    """Say how much of the images a crop cuts off."""
    if inspection.options.resize != "crop" or not len(inspection.rows):
        return None
    sizes = inspection.facts.sizes[inspection.rows]
    cut = 1 - sizes.min(axis=1) / sizes.max(axis=1)
    rows, usual = inspection.rows[cut > CUT], float(np.median(cut))
    if not len(rows) and usual <= USUAL_CUT:
        return None
    more = f", and more than half of {counted(len(rows), 'image')}" if len(rows) else ""
    return _of_rows(
        inspection, rows, "note",
        f"Cropping cuts off {usual:.0%} of the median image{more}",
        "What is recognised may stand outside the square that models see.",
        "Look at the contact sheets; --resize letterbox keeps whole images.",
    )  # fmt: skip


def turned_images(inspection: Inspection) -> Finding | None:
    """Say how many images are turned upright."""
    turned = int(inspection.facts.turned[inspection.rows].sum())
    if not turned:
        return None
    return Finding(
        "note",
        f"{counted(turned, 'image')} stored lying or mirrored, with EXIF data that say so",
        "They are turned upright here; other programs may read them as they are stored.",
        "",
    )


def transparent_images(inspection: Inspection) -> Finding | None:
    """Say what transparent pixels become."""
    facts, rows = inspection.facts, inspection.rows
    transparent = int(facts.transparent[rows].sum())
    if not transparent:
        return None
    return Finding(
        "note",
        f"{counted(transparent, 'image')} with transparency",
        f"Transparent pixels become {inspection.options.background}, which may hide what is drawn "
        "in that colour.",
        "Another colour: --background.",
    )


def wide_images(inspection: Inspection) -> Finding | None:
    """Say which value is white in images of 16 bits per channel."""
    modes = inspection.facts.modes[inspection.rows]
    wide = int(np.char.startswith(modes, WIDE_MODE).sum())
    white = inspection.found.images.how.white_level
    if not wide and white is None:
        return None
    level = 65535 if white is None else white
    what = f"{counted(wide, 'image')} with 16 bits per pixel" if wide else "Images of 16 bits"
    return Finding(
        "note",
        f"{what}: {level:,} is read as white",
        "The level is one for the whole source, from its largest value, so that images keep their "
        "brightness relative to one another.",
        "",
    )


def telling_formats(inspection: Inspection) -> Finding | None:
    """Say where the format of a file tells the class."""
    rows = inspection.rows
    kinds, counts = formats_of_classes(inspection)
    if len(kinds) < 2:
        return None
    guess, told = counts.sum(axis=0).max() / len(rows), counts.max(axis=1).sum() / len(rows)
    if told - guess < TELLS * (1 - guess):
        return None
    return Finding(
        "warning",
        f"File format and mode alone tell the class of {told:.0%} of the images, and a constant "
        f"answer that of {guess:.0%}",
        "Classes come from different sources, and models may learn the traces of compression or "
        "the lack of colour instead of what is shown.",
        "Take the images of all classes from the same sources, or save them all alike.",
    )


def formats_of_classes(inspection: Inspection) -> tuple[list[str], Ints]:
    """Return the formats with their modes, F, and the number of images of each class, F×C."""
    facts, rows, listing = inspection.facts, inspection.rows, inspection.listing
    names = np.char.add(np.char.add(facts.formats[rows], " "), facts.modes[rows])
    kinds, of_row = np.unique(names, return_inverse=True)
    counts = np.zeros((len(kinds), len(listing.classes)), dtype=np.int64)
    np.add.at(counts, (of_row, listing.labels[rows]), 1)
    return kinds.tolist(), counts


def ignored_files(inspection: Inspection) -> Finding | None:
    """Say which files were not read."""
    ignored = inspection.listing.ignored
    if not ignored:
        return None
    kinds = sorted(ignored.items(), key=lambda item: (-item[1], item[0]))
    return Finding(
        "note",
        f"{counted(sum(ignored.values()), 'file')} of the source ignored",
        "They take no part in a comparison.",
        "Check that no images are among them.",
        [f"{count:,} {kind}" for kind, count in kinds[:NAMED]],
        len(kinds),
    )


def notes_of_source(inspection: Inspection) -> Finding | None:
    """Pass on what was read differently than it is written."""
    notes = inspection.listing.notes
    if not notes:
        return None
    return Finding(
        "note",
        f"{counted(len(notes), 'thing')} read differently than written",
        "Models are trained on what is read.",
        "Check that it is meant.",
        notes[:NAMED],
        len(notes),
    )


def _of_rows(
    inspection: Inspection, rows: Ints, severity: Severity, title: str, meaning: str, remedy: str
) -> Finding:
    """Return a finding about some images, with their names and pictures."""
    return Finding(
        severity=severity,
        title=title,
        meaning=meaning,
        remedy=remedy,
        examples=[inspection.about(row) for row in rows[:NAMED].tolist()],
        total=len(rows),
        pictures=lambda: image_galleries(inspection, rows),
    )


IMAGE_CHECKS = (
    damaged_images,
    blank_images,
    small_images,
    telling_formats,
    cut_images,
    enlarged_images,
    wide_images,
    transparent_images,
    turned_images,
    notes_of_source,
    ignored_files,
)
