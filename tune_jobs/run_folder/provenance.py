"""What a reader needs to know to repeat a measurement."""

from __future__ import annotations

import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import torch

from trainables.costs import describe_device

PACKAGES = ("bakeoff", "ray", "torch", "torchvision", "numpy", "pyarrow")


def versions() -> dict[str, str]:
    """Of Python and of what results depend on."""
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def facts_of(device: torch.device, command: str) -> dict[str, str]:
    """Command, time, device, commit and versions.

    Args:
        device: that was measured on.
        command: as it can be typed again.
    """
    return {
        "command": command,
        "when": now(),
        "device": describe_device(device),
        "commit": git_commit() or "unknown",
        **versions(),
    }


def git_commit() -> str | None:
    """The commit of this source tree, marked when it has been changed; None outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def now() -> str:
    """This moment in UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
