"""Labelled image datasets: named downloads, folders, tables, parquet files and archives."""

from __future__ import annotations

from trainables.source_options import NAMED_SOURCES
from trainables.sources.assembly import describe, describe_ignored
from trainables.sources.find import list_images
from trainables.sources.image_folder import image_files
from trainables.sources.listing import Listing

__all__ = ["NAMED_SOURCES", "Listing", "describe", "describe_ignored", "image_files", "list_images"]
