"""Small images for the page, in a number that keeps it small."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from trainables.arrays import Ints
from trainables.sources.names import PART_NAMES
from trainables.views import Resize, View
from tune_jobs.analysis.formatting import counted
from tune_jobs.analysis.report.blocks import Block, Gallery, Text, Thumbnail, data_uri
from tune_jobs.data_check.inspection import Inspection

SHEET_SIZE, PAIR_SIZE = 96, 160
"""Height and width in pixels of the images of contact sheets and of pairs."""
SHEET_IMAGES = 12
"""Images of a class on its contact sheet."""
LEAST_SHEET_IMAGES = 4
"""Images of a class where there are many classes."""
ALL_SHEET_IMAGES = 1200
"""Images on all contact sheets: 4 to 5 MB of photographs."""
SHOWN_PAIRS = 12
"""Pairs that a finding shows."""


def drawn(
    inspection: Inspection, rows: Iterable[int], size: int, resize: Resize | None = None
) -> dict[int, str]:
    """Return small images as data URIs, by their row. Small images are not enlarged.

    Args:
        inspection: source.
        rows: rows of the images.
        size: largest height and width in pixels.
        resize: make squares as trials do; None: whole images.
    """
    images = inspection.found.images
    square = min(size, inspection.found.side)

    def draw(row: int) -> str:
        if resize is None:
            small = images.decode(row, [])[0]
            small.thumbnail((size, size))
        else:
            small = Image.fromarray(images.decode(row, [View(square, resize)])[1][0])
        return data_uri(small)

    wanted = sorted(set(rows))  # in the order in which sources are read fastest
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(wanted, pool.map(draw, wanted), strict=True))


def pair_galleries(inspection: Inspection, pairs: Ints) -> list[Block]:
    """Return the first pairs of copies side by side.

    Args:
        inspection: source.
        pairs: indices into its `facts.copies`.
    """
    copies, shown = inspection.facts.copies, pairs[:SHOWN_PAIRS].tolist()
    rows = copies.pairs[shown]
    images = drawn(inspection, rows.ravel().tolist(), PAIR_SIZE)
    return [
        Gallery(
            "identical" if copies.identical[pair] else "the same picture, saved differently",
            [
                Thumbnail(images[row], inspection.about(row), inspection.about(row))
                for row in copies.pairs[pair].tolist()
            ],
        )
        for pair in shown
    ]


def image_galleries(inspection: Inspection, rows: Ints) -> list[Block]:
    """Return the first of some images in a row, as a whole; nothing if there are none."""
    chosen = rows[:SHEET_IMAGES].tolist()
    if not chosen:
        return []
    images = drawn(inspection, chosen, SHEET_SIZE)
    return [Gallery("", [Thumbnail(images[row], inspection.about(row)) for row in chosen])]


def contact_sheets(inspection: Inspection) -> list[Block]:
    """Return training images of each class, as trials see them."""
    listing = inspection.listing
    training = inspection.training_rows
    by_class = training[np.argsort(listing.labels[training], kind="stable")]
    ends = np.cumsum(inspection.counts[:, 0])
    n_classes = len(listing.classes)
    each = min(SHEET_IMAGES, max(LEAST_SHEET_IMAGES, ALL_SHEET_IMAGES // n_classes))
    chosen = {}
    for label in range(min(n_classes, ALL_SHEET_IMAGES // each)):
        own = by_class[ends[label] - inspection.counts[label, 0] : ends[label]]
        places = np.linspace(0, len(own) - 1, min(each, len(own))).round().astype(int)
        chosen[label] = own[places].tolist()
    rows = [row for own_rows in chosen.values() for row in own_rows]
    images = drawn(inspection, rows, SHEET_SIZE, inspection.options.resize)
    text = (
        f"Up to {counted(each, 'training image')} of each class, evenly spaced over the source, "
        f"cut as --resize {inspection.options.resize} cuts them; images of the sealed "
        f"{PART_NAMES[2]} split are not shown."
    )
    if len(chosen) < n_classes:
        text += f" The first {len(chosen):,} of {n_classes:,} classes."
    sheets = [
        Gallery(
            f"{listing.classes[label]} ({counted(int(inspection.counts[label, 0]), 'image')})",
            [Thumbnail(images[row], inspection.origin(row)) for row in own_rows],
        )
        for label, own_rows in chosen.items()
    ]
    return [Text(text), *sheets]
