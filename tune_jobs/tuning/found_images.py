"""Find the images of a run, before any is decoded."""

from __future__ import annotations

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainables.decoding import DecodingError, header_facts, largest_value, white_level_of
from trainables.image_cache import SquareImages
from trainables.sources import list_images
from trainables.sources.listing import Listing
from trainables.views import Decoding
from tune_jobs.command_line.options import DataOptions, JobOptions
from tune_jobs.run_folder.folder import RunFolder

LOOKED_AT = 101
"""Number of images whose headers are read to learn the usual size."""
SMALL_SIDE = 64
"""Shorter side in pixels up to which images are not photographs."""


@dataclass(frozen=True)
class FoundImages:
    """Images of a source, before they are decoded."""

    options: DataOptions
    """Options of the source and of its images."""
    listing: Listing
    """Labelled images of the source."""
    images: SquareImages
    """The same images as square arrays."""
    side: int
    """Shorter side of the median image in pixels."""
    stored_size: int | None = None
    """Height and width in pixels of all images, in runs of earlier versions; otherwise None."""

    @property
    def is_photographs(self) -> bool:
        """Whether the images have more pixels than a small network needs."""
        return self.side > SMALL_SIDE


def find_images_of_job(options: JobOptions) -> FoundImages:
    """Find the images of a job, without decoding them.

    Raises:
        InputError: the source cannot be read.
    """
    size = None
    if options.run.resume:
        assert options.run.name is not None  # checked when the options were read
        folder = RunFolder.at(options.run.storage_path).child(options.run.name)
        size = stored_size(folder.read_record())
    return find_images(options.data, size)


def find_images(options: DataOptions, stored_size: int | None = None) -> FoundImages:
    """Find the images of a source without decoding them.

    Args:
        options: the source and how its images are read.
        stored_size: height and width in pixels of all images in a run of an earlier version.

    Raises:
        InputError: the source cannot be read.
    """
    listing = list_images(options.source)
    how = Decoding(options.background_colour)
    looked_at = np.linspace(0, len(listing.labels) - 1, LOOKED_AT).astype(int)
    sides, wide = [], False
    for row in np.unique(looked_at).tolist():
        try:
            content = listing.images.read(row)
            about = header_facts(content)
            wide = wide or largest_value(content) is not None
        except (DecodingError, OSError):  # named when all images are decoded
            continue
        sides.append(min(about.height, about.width))
    if wide:
        how = dataclasses.replace(how, white_level=common_white_level(listing))
    side = 16 if options.data == "digits" else int(np.median(sides)) if sides else SMALL_SIDE
    images = SquareImages.of(listing.images, how, int(options.cache_gb * 1e9))
    return FoundImages(options, listing, images, side, stored_size)


def common_white_level(listing: Listing) -> int | None:
    """Return the value of white in the images of 16 bits: one for all, from the largest of all."""

    def largest(row: int) -> int | None:
        try:
            return largest_value(listing.images.read(row))
        except (DecodingError, OSError):  # named when all images are decoded
            return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return white_level_of(pool.map(largest, range(len(listing.labels))))


def stored_size(record: dict[str, Any]) -> int | None:
    """Return the size of all images of a run of an earlier version; None for other runs."""
    size = record["dataset"].get("image_size")
    return None if size is None else int(size)
