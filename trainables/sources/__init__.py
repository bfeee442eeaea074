"""Loading of labelled image datasets: named downloads, parquet files and folders of images."""

from __future__ import annotations

from trainables.sources.parquet import (
    NAMED_SOURCES,
    cache_folder,
    decode,
    image_files,
    load_dataset,
    to_rgb_square,
)

__all__ = [
    "NAMED_SOURCES",
    "cache_folder",
    "decode",
    "image_files",
    "load_dataset",
    "to_rgb_square",
]
