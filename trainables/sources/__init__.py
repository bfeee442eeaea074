"""Loading of labelled image datasets: named downloads, parquet files and folders of images."""

from __future__ import annotations

from pathlib import Path

from trainables.data import TRAIN, ImageDataset
from trainables.errors import InputError
from trainables.sources.decoding import decode
from trainables.sources.folders import image_files, load_folder
from trainables.sources.named import NAMED_SOURCES, cache_folder
from trainables.sources.parquet import load_parquet, parquet_splits

__all__ = ["NAMED_SOURCES", "cache_folder", "decode", "image_files", "load_dataset"]


def load_dataset(
    source: str,
    image_size: int | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
) -> ImageDataset:
    """Load a dataset into memory, with all images converted to RGB and resized to a square.

    Args:
        source: One of NAMED_SOURCES, a parquet file, a folder with `train*.parquet`, or a folder
            with one subfolder of images per class.
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
    if source in NAMED_SOURCES:
        return NAMED_SOURCES[source](source, image_size)
    path = Path(source).expanduser()
    if path.is_file():
        return load_parquet(path, {TRAIN: [path]}, image_size, image_column, label_column)
    if not source or not path.is_dir():
        raise InputError(
            f"{source!r} is neither a file nor a folder nor one of {', '.join(NAMED_SOURCES)}: "
            "check the spelling"
        )
    files = parquet_splits(path)
    if files:
        return load_parquet(path, files, image_size, image_column, label_column)
    return load_folder(path, image_size)
