"""Facts that are needed to reproduce a measurement: versions, commit, device and time."""

from __future__ import annotations

import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

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


def now() -> str:
    """Return the current time in UTC, in ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
