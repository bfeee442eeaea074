"""How far trials are within an epoch: sent by their workers, read by the driver.

It goes through the key-value store of Ray's head process (GCS), which takes a few bytes for each
trial. An actor of ours would be another process, and a report of Ray Tune would look like an epoch.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import NamedTuple

import ray
from ray.exceptions import RayError
from ray.experimental.internal_kv import internal_kv_get_gcs_client

TIMEOUT_S = 1.0
"""Longest time in seconds that a message may take; a lost one is replaced by the next."""


class Progress(NamedTuple):
    """How far a trial is within an epoch."""

    epoch: int
    """Number of the epoch, from 1."""
    images: int
    """Number of images that the network has seen in it."""
    of: int
    """Number of training and validation images."""


def send_progress(trial: str, *progress: int) -> None:
    """Send the fields of a Progress to the driver of this worker."""
    with contextlib.suppress(RayError):
        internal_kv_get_gcs_client().internal_kv_put(
            trial.encode(), json.dumps(progress).encode(), True, namespace(), TIMEOUT_S
        )


def read_progress(trials: Sequence[str]) -> dict[str, Progress]:
    """Return what the workers of trials have sent last; trials without a message are left out."""
    if not trials:
        return {}
    keys = [trial.encode() for trial in trials]
    with contextlib.suppress(RayError):
        found = internal_kv_get_gcs_client().internal_kv_multi_get(keys, namespace(), TIMEOUT_S)
        return {key.decode(): Progress(*json.loads(value)) for key, value in found.items()}
    return {}


def forget_progress() -> None:
    """Delete all messages of this job."""
    with contextlib.suppress(RayError):
        internal_kv_get_gcs_client().internal_kv_del(b"", True, namespace(), TIMEOUT_S)


def namespace() -> bytes:
    """Return the namespace of this Ray job, the same in its driver and its workers."""
    return f"bakeoff-progress-{ray.get_runtime_context().get_job_id()}".encode()
