"""The modules that a worker process needs for trials, imported before it takes work.

Ray imports this module in the workers that it starts with itself; see `ray_runtime/session.py`.
"""

import contextlib
import os
from pathlib import Path

import torch._dynamo  # noqa: F401  the first optimiser imports it

import trainables.trainable  # noqa: F401

if folder := os.environ.get("BAKEOFF_READY_WORKERS"):
    with contextlib.suppress(OSError):  # nobody waits for workers that are started later
        Path(folder, str(os.getpid())).touch()
