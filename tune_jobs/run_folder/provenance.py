"""Facts that are needed to reproduce a measurement: versions, commit, device and time."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from trainables.costs import describe_device

PACKAGES = ("bakeoff", "ray", "torch", "torchvision", "numpy", "pyarrow")
"""Packages whose versions are recorded."""


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def provenance_of(device: torch.device, command: str) -> dict[str, str]:
    """Return command, time, device, commit and versions of a measurement.

    Args:
        device: device of the measurement.
        command: complete command line.
    """
    return {
        "command": command,
        "when": now(),
        "device": describe_device(device),
        "commit": git_commit() or "unknown",
        **versions(),
    }


def git_commit() -> str | None:
    """Return the Git commit of the sources, with -dirty if they were changed; None outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def now(ago_s: float = 0.0) -> str:
    """Return the time in UTC, in ISO 8601: the current one, or that some seconds ago."""
    when = datetime.now(timezone.utc) - timedelta(seconds=ago_s)
    return when.isoformat(timespec="seconds")


def wall_seconds(record: Mapping[str, Any]) -> float | None:
    """Return the wall time of a run: from the start of its command to when its folder was complete.

    Pauses before it was resumed do not count. Runs of earlier versions start when Ray has been
    started and the images have been read.

    Args:
        record: content of run.json.

    Returns:
        Seconds; None if the run has not ended, or was resumed after a kill of its driver, as the
        time of the kill is not known.
    """
    resumed = record.get("resumed", [])
    starts = [record["started"], *resumed]
    ends = [*record.get("paused", [None] * len(resumed)), record.get("ended")]
    if None in ends or len(ends) != len(starts):  # an earlier version resumed it since
        return None
    parts = zip(starts, ends, strict=True)
    return sum((_time(end) - _time(start)).total_seconds() for start, end in parts)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
