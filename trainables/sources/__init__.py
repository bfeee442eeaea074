"""Where images come from: digits, torchvision, parquet files and folders -> ImageDataset."""

from __future__ import annotations

from pathlib import Path

from trainables.data import TRAIN, ImageDataset
from trainables.errors import InputError
from trainables.sources.decoding import decode
from trainables.sources.folders import image_files, load_folder
from trainables.sources.named import NAMED_SOURCES, cache_folder
from trainables.sources.parquet import load_parquet, parquet_parts

__all__ = ["NAMED_SOURCES", "cache_folder", "decode", "image_files", "load_dataset"]


def load_dataset(
    source: str,
    image_size: int | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
) -> ImageDataset:
    """Read a dataset into memory, every image RGB and `image_size` pixels square.

    Args:
        source: a name of `NAMED_SOURCES`, a parquet file, a folder with `train*.parquet`, or a
            folder with a subfolder of images a class.
        image_size: pixels of height and width; other images are resized (bilinear). None is 32,
            but 16 for digits, which are 8×8: more pixels would cost time and show nothing new.
        image_column: of parquet files; None finds the usual names.
        label_column: of parquet files; None finds the usual names.

    Raises:
        InputError: the source is unknown, empty, damaged or not labelled as described.
    """
    if image_size is None:
        image_size = 16 if source == "digits" else 32
    if image_size < 1:
        raise InputError(f"image size {image_size} must be 1 or more pixels")
    if source in NAMED_SOURCES:
        return NAMED_SOURCES[source](source, image_size)
    path = Path(source).expanduser()
    if path.is_file():
        return load_parquet(path, {TRAIN: [path]}, image_size, image_column, label_column)
    if not source or not path.is_dir():
        raise InputError(
            f"{source!r} is neither a file nor a folder here, nor one of "
            f"{', '.join(NAMED_SOURCES)}: check the spelling"
        )
    files = parquet_parts(path)
    if files:
        return load_parquet(path, files, image_size, image_column, label_column)
    return load_folder(path, image_size)
