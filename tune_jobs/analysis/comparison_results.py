"""Read the tables of a comparison as data frames."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from trainables.errors import InputError
from trainables.storage import PARQUET_DAMAGE
from tune_jobs.run_folder.folder import RunFolder

COMPARISON_FILE = "comparison.parquet"
PREDICTIONS_FILE = "predictions.parquet"
ROBUSTNESS_FILE = "robustness.parquet"
ATTRIBUTION_FILE = "attribution.parquet"
DOUBTFUL_LABELS_FILE = "doubtful_labels.parquet"
LEARNING_CURVE_FILE = "learning_curve.parquet"
COMPARISON_FORMAT = 1
"""Format version of these files, in their schema metadata; other versions are refused."""
FORMAT_KEY = b"bakeoff.format"
RUNS_KEY = b"bakeoff.runs"
"""Key of the compared runs, the time and the warnings, JSON, in the schema metadata; earlier
versions lack it."""


def load_comparison(path: str | Path) -> pd.DataFrame:
    """Load comparison.parquet of a comparison; `comparison_frame` describes its columns.

    Args:
        path: folder that a comparison wrote, local or s3://… or gs://….

    Raises:
        InputError: the folder holds no comparison, or one of another version.
    """
    return _load_table(path, COMPARISON_FILE)


def load_warnings(path: str | Path) -> list[str]:
    """Load what a comparison warns of, the most serious first; none of earlier versions.

    Arguments are the same as for `load_comparison`, which has read its folder.
    """
    return list(about_comparison(RunFolder.at(path)).get("warnings", []))


def about_comparison(folder: RunFolder) -> dict[str, Any]:
    """Return what RUNS_KEY has of a comparison, nothing of earlier versions.

    Raises:
        OSError, pyarrow.ArrowInvalid: the file cannot be read.
    """
    schema = pq.read_schema(io.BytesIO(folder.read(COMPARISON_FILE)))
    found: dict[str, Any] = json.loads((schema.metadata or {}).get(RUNS_KEY, b"{}"))
    return found


def load_predictions(path: str | Path) -> pd.DataFrame:
    """Load predictions.parquet of a comparison; `predictions_table` describes its columns.

    Arguments and errors are the same as for `load_comparison`.
    """
    return _load_table(path, PREDICTIONS_FILE)


def load_robustness(path: str | Path) -> pd.DataFrame:
    """Load robustness.parquet of a comparison; `robustness_table` describes its columns.

    Args:
        path: folder that a comparison wrote, local or s3://… or gs://….

    Raises:
        InputError: the folder holds no comparison with --robustness, or one of another version.
    """
    return _load_optional(path, ROBUSTNESS_FILE, "--robustness")


def load_attribution(path: str | Path) -> pd.DataFrame:
    """Load attribution.parquet of a comparison; `attribution_table` describes its columns.

    Arguments are the same as for `load_comparison`.

    Raises:
        InputError: the folder holds no comparison with --attribution, or one of another version.
    """
    return _load_optional(path, ATTRIBUTION_FILE, "--attribution")


def load_doubtful_labels(path: str | Path) -> pd.DataFrame:
    """Load doubtful_labels.parquet of a comparison, the images whose labels may be wrong.

    Returns:
        One row per image, the least probable label of each judge first: judge, part (training,
        validation or test), file, label, suggested, label_probability and suggested_probability.

    Arguments and errors are the same as for `load_comparison`.
    """
    return _load_table(path, DOUBTFUL_LABELS_FILE)


def load_learning_curve(path: str | Path) -> pd.DataFrame:
    """Load the learning curves of a comparison; `learning_curve_frame` describes the columns.

    Arguments are the same as for `load_comparison`.

    Raises:
        InputError: the folder holds no comparison with --learning-curve, or one of another version.
    """
    return _load_optional(path, LEARNING_CURVE_FILE, "--learning-curve")


def _load_optional(path: str | Path, name: str, option: str) -> pd.DataFrame:
    """Load a table that a comparison has if an option was given."""
    folder = RunFolder.at(path)
    if folder.has(COMPARISON_FILE) and not folder.has(name):
        raise InputError(
            f"{path} holds a comparison without {name}: compare the runs with {option}"
        )
    return _load_table(path, name if folder.has(name) else COMPARISON_FILE)


def _load_table(path: str | Path, name: str) -> pd.DataFrame:
    folder = RunFolder.at(path)
    if not folder.has(name):
        raise InputError(f"{path} holds no {name}: give the folder that a comparison wrote")
    try:
        table = pq.read_table(io.BytesIO(folder.read(name)))
    except PARQUET_DAMAGE as error:
        raise InputError(f"{path}/{name} is damaged ({error}): compare the runs again") from error
    version = (table.schema.metadata or {}).get(FORMAT_KEY, b"none").decode()
    if version != str(COMPARISON_FORMAT):
        raise InputError(
            f"{path}/{name} has format {version}, but this version reads {COMPARISON_FORMAT}: "
            "compare the runs again"
        )
    frame: pd.DataFrame = table.to_pandas()
    return frame
