"""Options that say which labelled images a job reads.

Imports no large package, because --help of every job imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass

NAMED_SOURCES = ("digits", "cifar10", "cifar100", "fashion_mnist")
"""Names of the datasets that need no files of the user's."""


@dataclass(frozen=True)
class SourceOptions:
    """Which labelled images to read, and how."""

    data: str = "digits"
    """Dataset: digits (no download), cifar10, cifar100 or fashion_mnist.
    Or the path or URI (s3://…, gs://…) of a folder with one subfolder of
    images per class, of a parquet file or a folder of them, of a table
    with a column of paths, of a zip or tar archive, or of WebDataset shards."""
    image_column: str | None = None
    """Column of the images or of their paths; None tries the usual names."""
    label_column: str | None = None
    """Column of the labels; None tries the usual names."""
    group_column: str | None = None
    """Column of the groups, e.g. patients, whose images stay in one split; None: no groups."""
    group_by: str | None = None
    """Regular expression that finds the group in an image's path below the source: its first group,
    or the whole match; None: no groups."""
    min_per_class: int | None = None
    """Classes with fewer training images are left out; None leaves out none."""
