"""Memory that training takes: how much, and what to do where there is too little."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether memory could not be had, of a GPU or, where the system says so, of a CPU."""
    words = "DefaultCPUAllocator", "CUDA error: out of memory"
    return isinstance(error, torch.OutOfMemoryError) or any(each in str(error) for each in words)


def reset_peak_memory(device: torch.device) -> None:
    """Count the highest memory from here, as one process trains many trials."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):  # only Linux can, and not everywhere
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb(device: torch.device) -> float:
    """Highest since the reset: of the process on a CPU (shared images included), or of the GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
