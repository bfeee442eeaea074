"""Figures of the page: images of each class, and their sizes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator, ScalarFormatter

from trainables.sources.names import PART_NAMES
from tune_jobs.analysis.formatting import shortened
from tune_jobs.analysis.report.blocks import Picture
from tune_jobs.analysis.style import COLOURS, finish_axes
from tune_jobs.data_check.inspection import Inspection

MOST_BARS = 40
"""Number of classes above which the smallest and the largest alone are drawn."""
MOST_POINTS = 1000
"""Number of images whose sizes are drawn."""


def class_figure(inspection: Inspection) -> Picture:
    """Draw the images of each class as bars, the largest class first."""
    counts, classes = inspection.counts, inspection.listing.classes
    order = np.argsort(-counts.sum(axis=1), kind="stable")
    caption = ""
    if len(order) > MOST_BARS:
        half = MOST_BARS // 2
        order = np.concatenate([order[:half], order[-half:]])
        caption = f"The {half} largest and the {half} smallest of {len(classes):,} classes."
    figure = Figure(figsize=(7, 1.1 + 0.24 * len(order)), layout="constrained")
    axes = figure.subplots()
    places, left = np.arange(len(order)), np.zeros(len(order))
    for code, part in PART_NAMES.items():
        if counts[:, code].any():
            axes.barh(places, counts[order, code], left=left, color=COLOURS[code], label=part)
        left += counts[order, code]
    axes.set_yticks(places, [shortened(classes[label], 24) for label in order])
    axes.invert_yaxis()
    axes.set_xlabel("images")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.margins(y=0.5 / len(order))
    finish_axes(axes)
    axes.grid(visible=False, axis="y")
    if counts.any():
        figure.legend(loc="outside upper center", ncols=len(PART_NAMES), frameon=False)
    most, least = order[0], order[-1]
    alt = (
        f"Images of each class in each split, from {classes[most]} with {counts[most].sum():,} to "
        f"{classes[least]} with {counts[least].sum():,}."
    )
    return Picture("classes", figure, alt, caption)


def size_figure(inspection: Inspection) -> Picture | None:
    """Draw width and height of images, and the ratio of both; None if all images are alike."""
    sizes = inspection.facts.sizes[inspection.rows]
    if not len(sizes) or (sizes == sizes[0]).all():
        return None
    height, width = sizes.T
    some = np.unique(np.linspace(0, len(sizes) - 1, MOST_POINTS).astype(int))
    figure = Figure(figsize=(7, 3.1), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.scatter(width[some], height[some], s=9, alpha=0.4, color=COLOURS[0], linewidths=0)
    if sizes.max() > 10 * sizes.min():
        for axis, scale in ((left.xaxis, left.set_xscale), (left.yaxis, left.set_yscale)):
            scale("log")
            axis.set_major_formatter(ScalarFormatter())
            axis.set_minor_formatter(NullFormatter())
    left.set_xlabel("width (pixels)")
    left.set_ylabel("height (pixels)")
    ratios = width / height
    right.hist(np.clip(ratios, 0.25, 4), bins=np.geomspace(0.25, 4, 33), color=COLOURS[0])
    right.set_xscale("log")
    right.set_xticks([0.25, 0.5, 1, 2, 4], ["≤ 1:4", "1:2", "1:1", "2:1", "≥ 4:1"])
    right.xaxis.set_minor_locator(NullLocator())
    right.set_xlabel("width : height")
    right.set_ylabel("images")
    for axes in (left, right):
        finish_axes(axes)
    alt = (
        f"Widths from {width.min():,} to {width.max():,} and heights from {height.min():,} to "
        f"{height.max():,} pixels."
    )
    caption = ""
    if len(some) < len(sizes):
        caption = f"{len(some):,} of {len(sizes):,} images on the left."
    return Picture("sizes", figure, alt, caption)
