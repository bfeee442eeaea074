"""Folders on a disk or in an object store, by path or URI."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.fs

GOOGLE_ANSWERS_S = 10
"""Time limit in seconds of requests to Google's object store, unless the URI has one."""

PARQUET_DAMAGE = (
    pyarrow.ArrowException, OSError, UnicodeError, KeyError, TypeError, OverflowError,
    json.JSONDecodeError,
)  # fmt: skip
"""What pyarrow and pandas raise on the content of a damaged parquet file."""


def open_folder(uri: str | Path, *, patient: bool = False) -> tuple[pyarrow.fs.FileSystem, str]:
    """Return the file system of a folder, and the path of the folder in it.

    Args:
        uri: Local path, or s3://… or gs://….
        patient: Wait out Google's store for minutes when it does not answer; without credentials
            it would otherwise be asked for 15 minutes.

    Raises:
        OSError, pyarrow.ArrowException: The scheme is unknown, or the store does not answer.
    """
    text = str(uri)
    if "://" not in text:
        text = str(Path(uri).expanduser().absolute())
    elif text.startswith(("gs://", "gcs://")) and not patient and "retry_limit_seconds" not in text:
        text += f"{'&' if '?' in text else '?'}retry_limit_seconds={GOOGLE_ANSWERS_S}"
    fs, path = pyarrow.fs.FileSystem.from_uri(text)
    return fs, path
