"""Options that say which labelled images a job reads.

Imports no large package, because --help of every job imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceOptions:
    """Which labelled images to read, and how."""

    data: str = "digits"
    """A named dataset, or the path or URI (s3://, gs://) of a folder, table, parquet file or
    archive."""
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
