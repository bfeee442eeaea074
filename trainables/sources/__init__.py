"""Labelled image datasets: named downloads, folders, tables, parquet files and archives."""

from __future__ import annotations

import numpy as np

from trainables.data import ImageDataset, image_digests
from trainables.errors import InputError
from trainables.source_options import SourceOptions
from trainables.sources.assembly import describe
from trainables.sources.decoding import decode, resize_all
from trainables.sources.find import list_images
from trainables.sources.image_folder import image_files
from trainables.sources.listing import Listing
from trainables.sources.named import NAMED_SOURCES, NamedImages, cache_folder

__all__ = [
    "NAMED_SOURCES",
    "Listing",
    "SourceOptions",
    "cache_folder",
    "decode",
    "describe",
    "image_files",
    "list_images",
    "load_dataset",
]


def load_dataset(
    source: str,
    image_size: int | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
) -> ImageDataset:
    """Load a dataset into memory, with all images converted to RGB and resized to a square.

    Args:
        source: What SourceOptions.data is.
        image_size: Height and width in pixels; other images are resized (bilinear). None means 32,
            or 16 for digits: they are 8×8, and more pixels would only cost time.
        image_column: Name of the image column of parquet files; None tries the usual names.
        label_column: Name of the label column of parquet files; None tries the usual names.

    Raises:
        InputError: The source is unknown, empty, damaged or not labelled.
    """
    if image_size is None:
        image_size = 16 if source == "digits" else 32
    if image_size < 1:
        raise InputError(f"image size {image_size} must be 1 or more pixels: try 32")
    listing = list_images(
        SourceOptions(source, image_column=image_column, label_column=label_column)
    )
    if isinstance(listing.images, NamedImages):
        arrays = listing.images.arrays
        images, digests = resize_all(arrays, image_size), image_digests(arrays)
    else:
        images, digests = decode(_contents(listing), image_size)
    return ImageDataset(
        name=listing.name,
        images=images,
        labels=listing.labels,
        classes=listing.classes,
        parts=np.asarray(listing.parts),
        digests=digests,
    )


def _contents(listing: Listing) -> list[tuple[str, bytes]]:
    """Read the origin and content of all images."""
    items = []
    for row in range(len(listing.images)):
        origin = listing.images.origin(row)
        try:
            content = listing.images.read(row)
        except OSError as error:
            raise InputError(
                f"{origin} cannot be read ({error}): replace the image or remove it"
            ) from error
        assert isinstance(content, bytes)
        items.append((origin, content))
    return items
